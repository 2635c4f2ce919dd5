# shellcheck shell=bash disable=SC2034 # what is not used here is used by the tests
# The world of a test of ferrycopy: source it first, end with `finish`.
#
# A test stands in a folder of its own on a disk, $WORLD, which goes when it ends, with whatever loop devices
# and mounts it has made there.
#
#   volume NAME SIZE [KIND [SEED]]   a file: KIND is sparse (a tenth is data), dense or zeroes (written)
#   copies ARG...                    ferrycopy; its exit status is then in $STATUS, what it printed in $OUT and $ERR
#   exits N ARG...                   the same, and N is what $STATUS should be
#   begins ARG...                    the same in the background, $PID; `ends` waits for it
#   has_copied                       a copy with `--resume map` could go on from what it has done
#   half_a_copy SOURCE [OPTION...]   such a copy, to `copy`, ended half-way; SIGNAL: by what, else KILL
#   of_last KEY                      the number in the last line of --progress=json
#   loop FILE [losetup options]      a loop device over it: its name is in $LOOP. Only root's
#   proves SENTENCE, eq, like, holds, until_true ...   tests/checks.sh
#
# FERRYFS_BUILD is the build directory.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../checks.sh"
BUILD=${FERRYFS_BUILD:?the build directory}
FERRYCOPY=$BUILD/copy/ferrycopy
export LC_ALL=C
umask 022

skip() {
    echo "1..0 # SKIP $1"
    exit 77
}

die() {
    echo "Bail out! $1"
    exit 1
}

clean_up() {
    local pid point
    for pid in $(jobs -p); do kill -KILL "$pid"; done
    wait
    cd /
    while read -r point; do umount "$point"; done < <(awk -v at="$WORLD/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
    detach_loops
    rm -rf "$WORLD"
} 2>/dev/null

# Whoever gets the device next would find it read-only as a source that was killed has left it
detach_loops() {
    local device
    for device in "${LOOPS[@]}"; do
        blockdev --setrw "$device"
        losetup -d "$device"
    done
    LOOPS=()
}

LOOPS=()
WORLD=$(mktemp -d "${TMPDIR:-/var/tmp}/ferrycopy-test.XXXXXX") || exit 1
trap clean_up EXIT
trap 'exit 1' TERM INT
cd "$WORLD" || exit 1
[[ -x $FERRYCOPY ]] || die "$FERRYCOPY is not built"
open_tick
STATUS='' OUT='' ERR='' PID='' LOOP='' FAULT=''
look_at_sanitizers "$FERRYCOPY"

finish() {
    end_sentence
    echo "1..$N_TESTS"
    exit $((N_FAILED > 0))
}

# The world

volume() { "$BUILD/tests/fs/fill" "$1" "$(numfmt --from=iec "$2")" "${3:-sparse}" "${4:-1}" || die "no room for $1"; }
same() { cmp -s "$1" "$2"; }
allocated() { echo $(($(stat -c '%b * %B' "$1"))); }
size_of() { stat -c %s "$1"; }
sum() { sha256sum <"$1" | cut -d' ' -f1; }

# Into a pipe
feed() { cat "$1"; }
# $PID has a file open in that folder that has no name
# As O_TMPFILE names them: what the shell holds before it becomes ferrycopy may be a deleted file too
has_nameless() {
    local fd
    for fd in "/proc/$PID/fd/"*; do
        [[ $(readlink "$fd") != "$1"/'#'*deleted* ]] || return 0
    done
    return 1
}

need_root() { [[ $(id -u) == 0 ]] || skip "only root can make block devices"; }
loop() {
    LOOP=$(losetup -f --show "${@:2}" "$1") || skip "no loop devices here"
    LOOPS+=("$LOOP")
}

# The command

# What a signal does, whatever whoever started the test has it ignore (nohup, a background job)
SIGNALS=--default-signal=INT,TERM,HUP,USR1,PIPE

# In place of the shell, so that its pid is ferrycopy's
become_ferrycopy() {
    local preload=$ASAN_LIBRARY$TSAN_LIBRARY
    [[ -z $FAULT ]] || preload=${preload:+$preload:}$BUILD/tests/faultshim/libfaultshim.so
    exec env "$SIGNALS" ${preload:+LD_PRELOAD="$preload"} ${FAULT:+FAULTSHIM="$FAULT"} \
        ASAN_OPTIONS="detect_leaks=1:${ASAN_OPTIONS-}" UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS-}" \
        "$FERRYCOPY" "$@"
}

ferrycopy() { (become_ferrycopy "$@"); }

sane() { [[ $1 != *Sanitizer* && $1 != *'runtime error'* && $1 != *Assertion* ]] || wrong "$1"; }

copies() {
    ferrycopy "$@" >out 2>err </dev/null {TICK}>&- {SAYS}>&-
    STATUS=$?
    OUT=$(<out)
    ERR=$(<err)
    sane "$ERR"
}

exits() {
    copies "${@:2}"
    [[ $STATUS == "$1" ]] || wrong "exit status $STATUS, not $1, of ferrycopy ${*:2}: $ERR"
}

begins() {
    : >out
    : >err
    become_ferrycopy "$@" >out 2>err </dev/null {TICK}>&- {SAYS}>&- &
    PID=$!
}

# One look decides: between two the shell may reap what has ended
has_ended() {
    local stat
    stat=$(<"/proc/$PID/stat")
    [[ -z $stat || $stat == *') Z '* ]]
} 2>/dev/null

# Nothing here takes that long: what hangs fails its test and no other
ends() {
    local deadline=$((SECONDS + 60 * SLOW))
    until has_ended || ((SECONDS > deadline)); do tick; done
    has_ended || {
        wrong "it does not end: $(<err)"
        kill -KILL "$PID"
    }
    wait "$PID" 2>/dev/null
    STATUS=$?
    OUT=$(<out)
    ERR=$(<err)
    sane "$ERR"
}

# on_terminal COLUMNS COMMAND ARG...: with a terminal as its standard error and output; what was drawn is
# in `drawn`
on_terminal() {
    python3 - "$@" <<'END'
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
drawn = b""
try:
    while data := os.read(fd, 4096):
        drawn += data
except OSError:
    pass
open("drawn", "wb").write(drawn)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
}

# Since the map was made a checkpoint has come
has_copied() {
    [[ -e map ]] || return 1
    [[ -e first ]] || cp map first
    ! same map first
}
# By threads: what a killed process had begun by io_uring the kernel may still write after its end
half_a_copy() {
    rm -f map copy first
    begins --io=threads --speed=2M --progress=json --resume map "${@:2}" "$1" copy
    until_true has_copied || wrong "it has not begun: $(<err)"
    kill -"${SIGNAL-KILL}" "$PID"
    ends
}
of_last() { sed -n "\$s/.*\"$1\":\\([0-9]*\\).*/\\1/p" out; }
