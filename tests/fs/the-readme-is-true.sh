#!/bin/bash
# What README.md has under "Use it from" is run as it stands there, but for the paths.
. "$(dirname "$0")/lib.sh"
needs entr jq promtool ansible-playbook journalctl
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
ROOT=$HERE/../..
start_ferryfs

# What is indented in the paragraph that begins with **TITLE, or in the one after it
example() {
    awk -v title="**$1" '/^## / { within = $0 == "## Use it from" }
        within && index($0, "**") == 1 { mine = index($0, title) == 1 }
        within && mine && /^    / { print substr($0, 5) }' "$ROOT/README.md" |
        sed "s:/run/ferryfs:$MNT:g; s:/usr/share/ferryfs/monitoring:$ROOT/contrib/monitoring:g; s:/var/lib/prometheus/node-exporter:$WORLD:g"
}
# A line of the example that has this, without its remark
line_of() { example "$1" | grep -F -- "$2" | sed 's/  *# .*//'; }
# In the background: NAME COMMAND
follow() {
    setsid bash -c "$2" </dev/null >"$WORLD/$1" 2>&1 {TICK}>&- {SAYS}>&- &
    FOLLOWERS+=($!)
}
FOLLOWERS=()

proves "a shell script begins a job, waits for its end, and shows what went wrong"
example "a shell script" >"$WORLD/script"
eq "$(wc -l <"$WORLD/script")" 3
for shell in bash dash; do
    eq "$(within 60 "$shell" "$WORLD/script")" ""
    eq "$(value db1/host) $(value db1/migrate/status)" "hdd success"
    migrate db1 ssd
done
hold_copies
stop_ferryfs
start_ferryfs
within 60 bash "$WORLD/script" >"$WORLD/said" &
held
put 1 "$MNT/db1/migrate/abort"
wait "$!"
eq "$(<"$WORLD/said")" $'aborting 5\nnull'
no_fault
stop_ferryfs
start_ferryfs

proves "a program follows the events, and another one file"
follow events "$(line_of "a program" tail)"
follow entr "$(line_of "a program" entr)"
# It says nothing when it has begun to look: what comes before that is no news. And it waits until nothing has changed for
# 50 ms
is_news() {
    local i
    migrate db1 hdd
    migrate db1 ssd
    for ((i = 0; i < 20; i++)); do
        ! grep -qx success "$WORLD/entr" || return 0
        tick
    done
    return 1
}
holds until_true is_news
holds until_true grep -q "^volume db1: job [0-9]* of uid 0 ended: success: ssd -> hdd" "$WORLD/events"
for follower in "${FOLLOWERS[@]}"; do kill -- "-$follower"; done
{ wait "${FOLLOWERS[@]}"; } 2>/dev/null

proves "journalctl knows such a field"
line_of "a program" journalctl >"$WORLD/journal"
within 60 bash "$WORLD/journal" >"$WORLD/said" 2>&1
fails grep -qi "failed to\|invalid\|unknown" "$WORLD/said"

proves "the link for node_exporter leads to what promtool has no fault to find with"
holds bash -c "$(line_of monitoring "ln -s")"
says "" promtool check metrics <"$WORLD/ferryfs.prom"

proves "check_ferryfs says how it is"
like "$(within 60 bash -c "$(line_of monitoring check_ferryfs) -m $MNT")" "FERRYFS OK - *"

proves "Ansible moves it, by the module and by what it brings along"
{
    printf -- '- hosts: all\n  gather_facts: false\n  tasks:\n'
    example Ansible | sed "s|name: db1|mount: $MNT, &|; s|^|    |"
} >"$WORLD/play.yml"
play() {
    HOME=$WORLD ANSIBLE_LIBRARY=$ROOT/contrib/ansible/library LC_ALL=C.UTF-8 within 120 ansible-playbook -i localhost, \
        -c local -e ansible_python_interpreter=/usr/bin/python3 "$WORLD/play.yml" >"$WORLD/played" 2>&1
}
migrate db1 ssd
holds play
like "$(tail -n 3 "$WORLD/played")" "*ok=3*changed=1*failed=0*"
eq "$(value db1/host)" hdd
holds play
like "$(tail -n 3 "$WORLD/played")" "*ok=3*changed=0*failed=0*"

proves "an operator empties a host, slows it down, and holds everything"
migrate db1 ssd
example "an operator" >"$WORLD/script"
holds within 60 bash -e "$WORLD/script"
eq "$(value .control/hosts/ssd/drain) $(value .control/speed) $(value .control/pause)" "1 $((50 << 20)) 0"
holds until_true is db1/host hdd
finish
