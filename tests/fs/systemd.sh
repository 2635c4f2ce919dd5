# shellcheck shell=bash
# A machine whose process 1 is systemd, for a test to source after lib.sh.
#
# Its / is ours, or that of $BASE, with whatever was installed for it laid over, and what it writes there goes with the
# test. It has processes, mounts, /dev, /run and a network of its own. $WORLD is in it as it is here, with what is mounted below when it boots.
#
#   install_machine             before it boots: `meson install`, for this machine alone, with its units
#   unit NAME <<<TEXT           a unit of the test's own, or a drop-in: NAME.service.d/x.conf
#   boot_machine                returns once systemd is up; no unit is started but what test.target asks for
#   in_machine CMD...           a command there
#   systemctl ...               its systemctl
#   property UNIT NAME          the value of a property of a unit
#   pid_here PID                of a process there: its pid here
#   $THERE/PATH                 a file there, seen from here
#   halt_machine                ends it at once, as a power cut does; the end of the test does so too

needs /lib/systemd/systemd systemctl unshare nsenter pivot_root
UNITS=$WORLD/units INSTALLED=$WORLD/installed BASE=${BASE:-/}
MACHINE='' # the pid of its process 1
mkdir "$UNITS" "$INSTALLED"

unit() {
    mkdir -p "$(dirname "$UNITS/$1")"
    cat >"$UNITS/$1"
}

# What services ask for by default: of the real ones, half a system would hang
for target in sysinit basic shutdown test; do
    unit "$target.target" <<<$'[Unit]\nDefaultDependencies=no'
done

install_machine() {
    DESTDIR=$INSTALLED meson install -C "$BUILD" --no-rebuild --quiet >"$WORLD/install.log" 2>&1 ||
        die "meson install: $(<"$WORLD/install.log")"
    find "$INSTALLED" -path '*/systemd/system/*' -type f -exec cp -t "$UNITS" {} +
}

# Process 1 before it becomes systemd. The first /proc that it sees is ours, and so is its pid there
become_machine() {
    local root=$WORLD/machine node pid rest
    set -eu
    read -r pid rest </proc/self/stat
    mount --make-rprivate /
    mkdir -p "$root" "$WORLD/written" "$WORLD/work"
    mount -t overlay -o "lowerdir=$INSTALLED:$BASE,upperdir=$WORLD/written,workdir=$WORLD/work" machine "$root"
    mkdir -p "$root$WORLD" "$root/before"
    mount --rbind "$WORLD" "$root$WORLD"
    umount "$root$root" # itself within itself
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=0755 run "$root/run"
    mount -t tmpfs -o mode=0755 dev "$root/dev"
    for node in null zero full random urandom tty fuse autofs; do
        [[ -e /dev/$node ]] || continue
        : >"$root/dev/$node"
        mount --bind "/dev/$node" "$root/dev/$node"
    done
    echo "$pid" >"$WORLD/machine.pid"
    cd "$root"
    pivot_root . before
    umount -l /before
    export SYSTEMD_UNIT_PATH=$UNITS:/run/systemd/generator container=test
    exec /lib/systemd/systemd --system --unit=test.target --log-target=null
}

machine_is_up() { [[ $(systemctl is-system-running 2>/dev/null) == running ]]; }

boot_machine() {
    unshare --mount --pid --fork --net --uts --ipc --cgroup --kill-child=SIGKILL \
        "$BASH" -c "$(declare -p WORLD UNITS INSTALLED BASE); $(declare -f become_machine); become_machine" </dev/null >>"$LOG" 2>&1 {TICK}>&- {SAYS}>&- &
    until_true test -s "$WORLD/machine.pid" || die "no process 1: $(tail "$LOG")"
    MACHINE=$(<"$WORLD/machine.pid")
    # shellcheck disable=SC2034 # for tests
    THERE=/proc/$MACHINE/root
    until_true machine_is_up || die "systemd does not boot"
}

in_machine() { nsenter -t "$MACHINE" -m -p -n -u -i -C --root --wd "$@"; }
systemctl() { in_machine systemctl "$@"; }
property() { systemctl show --value -p "$2" "$1"; }
pid_here() { awk -v pid="$1" '/^NSpid:/ && $NF == pid && NF > 2 { split(FILENAME, part, "/"); print part[3] }' /proc/[0-9]*/status; }

halt_machine() {
    kill -KILL "$MACHINE"
    until_true ended "$MACHINE" || die "process 1 does not end"
    rm "$WORLD/machine.pid"
    MACHINE=''
}
