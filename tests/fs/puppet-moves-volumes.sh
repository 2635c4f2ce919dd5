#!/bin/bash
# Puppet moves a volume by an exec with `unless`; installs puppet-agent, which is why it runs at night alone.
. "$(dirname "$0")/lib.sh"
needs puppet
pool ssd tmpfs
pool hdd tmpfs
pool small tmpfs 2M
volume ssd db1 4M dense
start_ferryfs
export HOME=$WORLD LC_ALL=C.UTF-8
sed "s:/run/ferryfs:$MNT:" "$HERE/../../contrib/puppet/volumes.pp" >"$WORLD/volumes.pp"
# 0: nothing was to be done; 2: it was done; 4, 6: it failed
apply() {
    within 120 puppet apply --detailed-exitcodes --color false --confdir "$WORLD/puppet" --vardir "$WORLD/puppet/var" \
        "$@" "$WORLD/volumes.pp" >"$WORLD/applied" 2>&1
}

proves "--noop says what would be done, and does nothing"
apply --noop
holds grep -q "current_value 'notrun', should be \['0'\] (noop)" "$WORLD/applied"
eq "$(value db1/host) $(value db1/migrate/message)" "ssd null"

proves "the volume moves, and is there when puppet ends"
apply
eq "$?" 2 "$(<"$WORLD/applied")"
eq "$(value db1/host) $(value db1/migrate/status)" "hdd success"

proves "the second time there is nothing to do"
apply
eq "$?" 0 "$(<"$WORLD/applied")"
eq "$(number db1 job)" 1

proves "what is refused fails with the reason"
sed -i "s/'hdd'/'small'/" "$WORLD/volumes.pp"
apply
eq "$?" 4 "$(<"$WORLD/applied")"
holds grep -q "refused ENOSPC: small has [0-9]* bytes free, needs 4194304" "$WORLD/applied"
eq "$(value db1/host)" hdd

proves "the exec of README.md does the same"
migrate db1 ssd
sed -n '/^    exec {/,/^    }/p' "$HERE/../../README.md" | sed "s:/run/ferryfs:$MNT:g" >"$WORLD/volumes.pp"
for status in 2 0; do
    apply
    eq "$?" "$status" "$(<"$WORLD/applied")"
    eq "$(value db1/host) $(value db1/migrate/status)" "hdd success"
done
finish
