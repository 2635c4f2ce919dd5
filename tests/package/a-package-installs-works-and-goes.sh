#!/bin/bash
# The Debian packages: they are built, installed in a Debian that has only what they ask for, used there, and purged.
# shellcheck disable=SC2317 # functions are called by their names
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../checks.sh"

skip() {
    echo "1..0 # SKIP $1"
    exit 77
}

die() {
    echo "Bail out! $1"
    exit 1
}

if [[ -z ${FERRYFS_TEST_WORLD-} ]]; then
    [[ $(id -u) == 0 ]] || skip "only root can change his root directory"
    unshare --mount --pid --fork --kill-child --mount-proc true 2>&1 || skip "no namespaces of its own for a test here"
    FERRYFS_TEST_WORLD=$(mktemp -d "${TMPDIR:-/tmp}/ferryfs-test.XXXXXX") || exit 1
    export FERRYFS_TEST_WORLD
    unshare --mount --pid --fork --kill-child --mount-proc -- "$BASH" "$0" "$@" </dev/null
    status=$?
    rmdir "$FERRYFS_TEST_WORLD"
    exit $status
fi

needs apt-get dh dpkg-buildpackage lintian mandoc mmdebstrap
export LC_ALL=C
umask 022
WORLD=$FERRYFS_TEST_WORLD
mount -t tmpfs -o mode=0755,size=80% ferryfs-test "$WORLD" || die "cannot mount a tmpfs"
PACKAGES=$WORLD/packages ROOT=$WORLD/root LOG=$WORLD/log SLOW=1
mkdir "$ROOT" "$WORLD/tmp"
export TMPDIR=$WORLD/tmp
: >"$LOG"
open_tick
BASE=$ROOT
. "$HERE/../fs/systemd.sh"

# What a command has to say matters where it fails
quietly() { "$@" >"$WORLD/output" 2>&1 || die "$(tail -n 40 "$WORLD/output")"; }

# Debian's own among the sources that apt has here
sources() {
    # shellcheck disable=SC2016 # apt fills it in
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' | sort -u
}

# Without versions, the first of alternatives
depends() {
    local package
    for package in "$@"; do dpkg-deb -f "$package" Depends; done |
        tr ',' '\n' | sed 's/|.*//; s/(.*//; s/ //g' | sort -u | paste -sd,
}

# Its root is a mount point, as everybody's is
make_root() {
    local node
    mount -t tmpfs -o mode=0755 root "$ROOT" || die "cannot mount a tmpfs"
    [[ -n $(sources) ]] || quietly apt-get update
    sources >"$WORLD/sources.list"
    quietly mmdebstrap --mode=root --variant=essential --include="$(depends "$PACKAGES"/*.deb)" \
        --aptopt='Acquire::Languages "none"' "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$ROOT" "$WORLD/sources.list"
    mount -t proc proc "$ROOT/proc"
    mount -t tmpfs -o mode=0755 dev "$ROOT/dev"
    for node in null zero urandom fuse; do
        : >"$ROOT/dev/$node"
        mount --bind "/dev/$node" "$ROOT/dev/$node" || die "there is no /dev/$node"
    done
}

IN_ROOT=(chroot "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C)
in_root() { "${IN_ROOT[@]}" "$@"; }

install_packages() {
    rm -rf "$ROOT/tmp/packages"
    cp -r "$PACKAGES" "$ROOT/tmp/packages"
    quietly in_root sh -c 'dpkg -i /tmp/packages/*.deb'
    rm -r "$ROOT/tmp/packages"
}

# Everything but the logs of installing and what umount(8) keeps, and what is inside of /etc
look_at_root() {
    (
        cd "$ROOT" || exit
        find . -xdev \( -path ./var/lib/dpkg -o -path ./var/log -o -path ./srv -o -path ./tmp -o -path ./run/mount \) -prune -o \
            -printf '%p %M %U:%G %l\n'
        find ./etc -type f -exec sha256sum {} +
    ) | sort
}

ended() { ! kill -0 "$1" 2>/dev/null; }

# A machine with what is in the root and enabled there, and with pools that are there before it boots. Overlayfs is none.
boot_root() {
    mkdir -p "$WORLD/pools"/{ssd,hdd} "$INSTALLED/etc/ferryfs"
    head -c 64M /dev/urandom >"$WORLD/pools/ssd/db1"
    SUM=$(sha256sum <"$WORLD/pools/ssd/db1")
    {
        cat "$ROOT/etc/ferryfs/ferryfs.conf"
        printf '[host %s]\npath = %s\n' ssd "$WORLD/pools/ssd" hdd "$WORLD/pools/hdd"
    } >"$INSTALLED/etc/ferryfs/ferryfs.conf"
    cp -P "$ROOT/lib/systemd/system/ferryfs.service" "$UNITS"
    cp -rP "$ROOT/etc/systemd/system/multi-user.target.wants" "$UNITS/test.target.wants"
    boot_machine
    MNT=$THERE/run/ferryfs
}
lists_there() { [[ -n $(cat "$MNT/db1/status" 2>/dev/null) && $(<"$MNT/.control/health") != recovering* ]]; }
phase_there() { [[ $(<"$MNT/db1/migrate/phase") == "$1" ]]; }
restarted() { [[ $(property ferryfs MainPID) != "$1" ]] && lists_there; }

add_hosts() { printf '[host %s]\npath = %s\n' ssd /srv/ssd hdd /var/lib/ferryfs/hdd >>"$ROOT/etc/ferryfs/ferryfs.conf"; }

start_ferryfs() {
    "${IN_ROOT[@]}" ferryfs -f -c /etc/ferryfs/ferryfs.conf /run/ferryfs </dev/null >>"$LOG" 2>&1 {TICK}>&- {SAYS}>&- &
    DAEMON=$!
    until_true lists || die "ferryfs does not list the volume: $(<"$LOG")"
}

# What was begun is taken up by then
lists() { [[ -n $(value db1/status 2>/dev/null) && $(value .control/health) != recovering* ]]; }
gone() { ! kill -0 "$DAEMON" 2>/dev/null; }
nobody_has_the_catalogue() { in_root ferryfs --check-catalogue >/dev/null 2>&1; }
value() { in_root cat "/run/ferryfs/$1"; }
is() { [[ $(value "$1" 2>/dev/null) == "$2" ]]; }
ask_for() { in_root sh -c "echo $1 >/run/ferryfs/db1/migrate/target"; }
sum() { sha256sum <"$ROOT/$1" | cut -d' ' -f1; }

proves "the packages are built, and lintian finds nothing to object to"
DEB_BUILD_OPTIONS=noautodbgsym quietly "$HERE/../../contrib/debian/build" "$PACKAGES"
says "" lintian --allow-root --tag-display-limit 0 "$PACKAGES"/*.changes

proves "ferrycopy needs nothing of ferryfs"
fails grep -E 'fuse|tdb|inih|ferryfs' <<<"$(depends "$PACKAGES"/ferrycopy_*.deb)"

proves "they install where there is only what they depend on"
make_root
look_at_root >"$WORLD/before"
install_packages
eq "$(in_root ferryfs --version)" "ferryfs $(in_root dpkg-query -W -f "\${Version}" ferryfs)"
eq "$(stat -c '%a %U:%G' "$ROOT/run/ferryfs" "$ROOT/var/lib/ferryfs")" $'755 root:root\n700 root:root'
like "$(in_root getent group ferryfs)" "ferryfs:*"

proves "nothing is enabled before an administrator does it, and the configuration says what it lacks"
says disabled in_root systemctl is-enabled ferryfs
says "ferryfs: the configuration has no [host NAME]" in_root ferryfs --check-config -c /etc/ferryfs/ferryfs.conf
quietly in_root systemctl enable ferryfs
says enabled in_root systemctl is-enabled ferryfs

proves "a systemd that boots starts what is enabled"
boot_root
eq "$(property ferryfs ActiveState) $(property ferryfs NRestarts)" "active 0"
holds lists_there
like "$(property ferryfs StatusText)" "1 volumes on 2 hosts; *health: ok"

proves "an upgrade starts it anew, and its jobs go on"
echo 1M >"$MNT/db1/migrate/speed"
holds eval 'echo hdd >"$MNT/db1/migrate/target"'
until_true phase_there copying || wrong "it does not copy"
before=$(property ferryfs MainPID)
quietly in_machine sh -c "dpkg -i '$PACKAGES'/*.deb"
until_true restarted "$before" || wrong "$(systemctl status --no-pager ferryfs)"
eq "$(property ferryfs ActiveState) $(property ferryfs Result)" "active success"
eq "$(<"$MNT/db1/migrate/wait") $(<"$MNT/db1/host")" "success hdd"
like "$(<"$MNT/db1/migrate/stat")" $'*\nresumes 1\n*'
eq "$(sha256sum <"$WORLD/pools/hdd/db1")" "$SUM"

proves "a package that is removed takes its service along, and leaves the pools"
quietly in_machine dpkg -r ferryfs
eq "$(property ferryfs ActiveState)" inactive
fails in_machine mountpoint -q /run/ferryfs
eq "$(cd "$WORLD/pools" && find . -type f ! -name .ferryfs-pool)" ./hdd/db1
halt_machine

proves "the manual can be read, and bash completes"
for page in man1/ferrycopy.1 man1/ferrytop.1 man5/ferryfs.5 man8/ferryfs.8; do
    zcat "$ROOT/usr/share/man/$page.gz" | mandoc -T ascii | sed 's/.\x08//g' | grep -qx "SEE ALSO" || wrong "$page has no end"
done
for name in ferrycopy ferryfs; do
    says "complete -F _$name $name" in_root bash -c ". /usr/share/bash-completion/completions/$name; complete -p $name"
done

proves "a volume moves"
mkdir "$ROOT/srv/ssd" "$ROOT/var/lib/ferryfs/hdd"
head -c 128M /dev/urandom >"$ROOT/srv/ssd/db1"
SUM=$(sum srv/ssd/db1)
add_hosts
start_ferryfs
holds ask_for hdd
says success value db1/migrate/wait
eq "$(sum var/lib/ferryfs/hdd/db1)" "$SUM"
fails test -e "$ROOT/srv/ssd/db1"

proves "check_ferryfs and ferrytop are there, and say how it is"
# by the Python of this machine: it is recommended, and not in there
like "$(python3 "$ROOT/usr/bin/ferrytop" --once "$ROOT/run/ferryfs" 2>&1)" "*no jobs*"
like "$(in_root /usr/share/ferryfs/monitoring/check_ferryfs)" "FERRYFS OK - *"

proves "ferrycopy copies and compares, and says what NBD lacks"
holds in_root ferrycopy /var/lib/ferryfs/hdd/db1 /srv/copy
holds in_root ferrycopy --compare /var/lib/ferryfs/hdd/db1 /srv/copy
like "$(in_root ferrycopy /srv/copy nbd://localhost/copy 2>&1)" "*(package libnbd0)*"

proves "an umount ends it"
holds in_root umount /run/ferryfs
until_true gone || wrong "it runs still"

proves "mount(8) knows it"
holds in_root mount -t fuse.ferryfs /etc/ferryfs/ferryfs.conf /run/ferryfs
until_true lists || wrong "it is not there"
holds in_root umount /run/ferryfs
until_true nobody_has_the_catalogue || wrong "it runs still"

proves "an upgrade keeps the configuration and what is enabled"
install_packages
says "the configuration is right: 2 hosts, state in /var/lib/ferryfs" in_root ferryfs --check-config -c /etc/ferryfs/ferryfs.conf
says enabled in_root systemctl is-enabled ferryfs

proves "a purge in the middle of a job leaves what finishes it"
start_ferryfs
holds ask_for ssd
{
    kill -KILL "$DAEMON"
    wait "$DAEMON"
} 2>/dev/null # bash tells of it
until_true nobody_has_the_catalogue || wrong "it is held"
in_root umount -l /run/ferryfs
like "$(in_root dpkg -P ferryfs 2>&1)" "*the catalogue in /var/lib/ferryfs stays*copy * db1 host ssd destination *job 2 *"
eq "$(sum var/lib/ferryfs/hdd/db1)" "$SUM"
install_packages
add_hosts
start_ferryfs
until_true is db1/host ssd || wrong "the job does not go on"
says success value db1/migrate/wait
eq "$(sum srv/ssd/db1)" "$SUM"
holds in_root umount /run/ferryfs
until_true gone || wrong "it runs still"

proves "a purge leaves the pools, wherever they are, and the group, and nothing else"
quietly in_root dpkg -P ferryfs ferrycopy
eq "$(sum srv/ssd/db1)" "$SUM"
eq "$(in_root find /srv/ssd /var/lib/ferryfs | sort)" "\
/srv/ssd
/srv/ssd/.ferryfs-pool
/srv/ssd/db1
/var/lib/ferryfs
/var/lib/ferryfs/hdd
/var/lib/ferryfs/hdd/.ferryfs-pool"
rm -r "$ROOT/var/lib/ferryfs/hdd"
install_packages
quietly in_root dpkg -P ferryfs ferrycopy
eq "$(look_at_root | diff "$WORLD/before" - | sed -n 's:^[<>].* \(\./[^ ]*\).*:\1:p' | sort -u)" "\
./etc/group
./etc/group-
./etc/gshadow
./etc/gshadow-"
end_sentence
echo "1..$N_TESTS"
exit $((N_FAILED > 0))
