#!/bin/bash
# meson install, into a staging folder: what is there, with which modes, and that it works from there.
. "$(dirname "$0")/lib.sh"
needs mandoc meson ansible-playbook
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
record_world

INSTALLED=$WORLD/installed
put_there() {
    DESTDIR=$INSTALLED meson install -C "$BUILD" --no-rebuild --quiet >"$WORLD/install.log" 2>&1 ||
        die "meson install: $(<"$WORLD/install.log")"
}
put_there
PREFIX=$(find "$INSTALLED" -path '*/sbin/ferryfs' -printf '/%P')
PREFIX=${PREFIX%/sbin/ferryfs}
CONF=$(find "$INSTALLED" -path '*/etc/ferryfs/ferryfs.conf')

proves "everything is where the FHS has it, with the mode that it should have"
eq "$(find "$INSTALLED" ! -type d -printf '%m /%P\n' | sed "s:$PREFIX/::; s: /etc/: etc/:" | sort -k 2)" "\
755 bin/ferrycopy
755 bin/ferrytop
644 etc/ferryfs/ferryfs.conf
644 lib/systemd/system/ferryfs.service
644 lib/sysusers.d/ferryfs.conf
644 lib/tmpfiles.d/ferryfs.conf
755 libexec/ferryfs/copy-worker
755 sbin/ferryfs
777 sbin/mount.fuse.ferryfs
644 share/ansible/plugins/modules/ferryfs_volume.py
644 share/bash-completion/completions/ferrycopy
644 share/bash-completion/completions/ferryfs
644 share/doc/ferryfs/LICENSE
644 share/doc/ferryfs/README.md
644 share/doc/ferryfs/ansible/move.yml
644 share/doc/ferryfs/ferryfs.conf
644 share/doc/ferryfs/puppet/volumes.pp
644 share/ferryfs/monitoring/README.md
755 share/ferryfs/monitoring/check_ferryfs
644 share/ferryfs/monitoring/collectd.conf
755 share/ferryfs/monitoring/collectd_ferryfs
644 share/ferryfs/monitoring/grafana-dashboard.json
644 share/ferryfs/monitoring/monitrc
644 share/ferryfs/monitoring/prometheus-rules.yml
644 share/ferryfs/monitoring/telegraf.conf
644 share/ferryfs/monitoring/zabbix_agentd.conf
644 share/man/man1/ferrycopy.1
644 share/man/man1/ferrytop.1
644 share/man/man5/ferryfs.5
644 share/man/man8/ferryfs.8"
eq "$(find "$INSTALLED" -type d ! -perm 755)" ""

proves "the pages of the manual can be read"
for page in "$INSTALLED$PREFIX"/share/man/man*/*; do
    says "" mandoc -T lint -W warning "$page"
    mandoc -T ascii "$page" | sed 's/.\x08//g' | grep -qx "SEE ALSO" || wrong "$page has no end"
done

proves "the configuration says that it lacks hosts, and one that was edited is not replaced"
sed -i 's/^group = .*/group = root/' "$CONF"
says "ferryfs: the configuration has no [host NAME]" "$INSTALLED$PREFIX/sbin/ferryfs" -f -c "$CONF"
printf '[host %s]\npath = %s\n' ssd "$POOLS/ssd" hdd "$POOLS/hdd" >>"$CONF"
sed -i "s:^;state = .*:state = $STATE:" "$CONF"
put_there
holds grep -q "^path = $POOLS/hdd" "$CONF"

proves "the installed daemon finds its worker and moves a volume"
mount -t overlay -o "lowerdir=$INSTALLED$PREFIX:$PREFIX" installed "$PREFIX" || die "nothing can be laid over $PREFIX"
FERRYFS_OF_TEST=1 "$PREFIX/sbin/ferryfs" -f -c "$CONF" "$MNT" </dev/null >>"$LOG" 2>&1 &
DAEMON=$!
holds until_true answers_or_dead
holds until_true lists db1
migrate db1 hdd

proves "so do ferrytop, check_ferryfs and the playbook with its module"
like "$("$PREFIX/bin/ferrytop" --once "$MNT" 2>&1)" "*no jobs*"
like "$("$PREFIX/share/ferryfs/monitoring/check_ferryfs" -m "$MNT")" "FERRYFS OK - *"
ansible() {
    HOME=$WORLD ANSIBLE_LIBRARY=$PREFIX/share/ansible/plugins/modules LC_ALL=C.UTF-8 within 60 ansible-playbook \
        -i localhost, -c local -e ansible_python_interpreter=/usr/bin/python3 -e "mount=$MNT" "$@" >"$WORLD/played" 2>&1
}
holds ansible "$PREFIX/share/doc/ferryfs/ansible/move.yml" -e volume=db1 -e host=ssd
eq "$(value db1/host)" ssd
finish
