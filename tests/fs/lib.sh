# shellcheck shell=bash
# The world of an end-to-end test: source it first, end with `finish`.
#
# A test runs in mount and process namespaces of its own, so that nothing it mounts, starts or attaches
# outlives it, however it ends. Its world is a tmpfs: $POOLS/NAME, $STATE, $MNT, $LOG.
#
#   pool NAME [tmpfs|ext4|ext4-128|xfs [SIZE]] a pool, and `--host NAME=...` for the daemon
#   volume HOST NAME SIZE [KIND [SEED]]     a volume of bytes (fill.c) with an odd mode, owner, xattr, mtime
#   start_ferryfs [OPTION...]               returns once it answers and lists the volumes; $DAEMON is its pid
#   stop_ferryfs kill_ferryfs               SIGTERM and status 0; SIGKILL to it and all its children
#   proves SENTENCE                         begins a test; the checks up to the next `proves` are its own
#   eq GOT WANTED                           checks; a failed one is told and fails the sentence, the test goes on
#   like GOT PATTERN   holds CMD...   fails CMD...   says OUTPUT CMD...   under LIMIT GOT
#   until_true CMD...                       waits for it (false after a deadline)
#   KEEP=1                                  old sources may be retained: tests/invariants looks at them then
#   record_world  check_world               tests/invariants: before and after; `finish` checks once more
#   serve_checker                           for a test that checks very often
#   skip REASON   die REASON                end here
#
#   fault RULES  no_fault                   for the next start: what tests/faultshim does (FAULTSHIM without file=)
#   CRASH=NAME[:N]                          for the next start: the named crash point (copy/base/crash.h)
#   set_clocks, ahead SECONDS               of the next starts: their clocks are ahead of ours by that (clockshim.c)
#   hold_copies  ctl hit 20  ctl release    for the next start: workers wait in their first write; wait; let go;
#                            ctl pass N     let N writes go on
#
# FERRYFS_BUILD is the build directory. SLOW says how much slower than a plain build this one is.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../checks.sh"
BUILD=${FERRYFS_BUILD:?the build directory}
FERRYFS=$BUILD/fs/ferryfs

skip() {
    trap - EXIT
    echo "1..0 # SKIP $1"
    exit 77
}

# Readers that wait for a daemon which neither answers nor dies cannot be killed otherwise
abort_mount() {
    local connections=$WORLD/connections device
    device=$(awk -v "mount=$MNT" '$5 == mount { sub(/.*:/, "", $3); print $3 }' /proc/self/mountinfo | tail -n 1)
    mkdir -p "$connections" && mount -t fusectl none "$connections" && echo 1 >"$connections/$device/abort"
} 2>/dev/null

# Where each thread of a process is, for a daemon that hangs
stacks_of() {
    local task key value
    while read -r key value; do # without a child: whoever waits for one blocks SIGCHLD
        [[ $key != SigBlk: ]] || echo "# this shell blocks the signals $value"
    done <"/proc/$$/status"
    grep -H ^State "/proc/$1/status" | sed 's/^/# /'
    for task in "/proc/$1/task/"*; do
        sed "s:^:# ${task##*/} $(<"$task/comm")\: :" "$task/stack"
        sed "s:^:# ${task##*/} syscall\: :" "$task/syscall"
    done
    command -v gdb >/dev/null && timeout 20 gdb -p "$1" -batch -ex 'thread apply all backtrace' | sed 's/^/# /'
} >&"$SAYS" 2>&1

die() {
    echo "Bail out! $1"
    [[ -z ${DAEMON-} ]] || gone || stacks_of "$DAEMON"
    [[ -z ${MNT-} ]] || abort_mount
    [[ -e ${LOG-} ]] && sed 's/^/# log: /' "$LOG" | tail -n 40 >&"$SAYS"
    trap - EXIT
    exit 1
}

if [[ -z ${FERRYFS_TEST_WORLD-} ]]; then
    [[ $(id -u) == 0 ]] || skip "only root can mount pools"
    unshare --mount --pid --fork --kill-child --mount-proc true 2>&1 || skip "no namespaces of its own for a test here"
    FERRYFS_TEST_WORLD=$(mktemp -d "${TMPDIR:-/tmp}/ferryfs-test.XXXXXX") || exit 1
    export FERRYFS_TEST_WORLD
    unshare --mount --pid --fork --kill-child --mount-proc -- "$BASH" "$0" "$@" </dev/null
    status=$?
    rmdir "$FERRYFS_TEST_WORLD"
    exit $status
fi

[[ -x $FERRYFS ]] || die "$FERRYFS is not built"
export LC_ALL=C
umask 022
WORLD=$FERRYFS_TEST_WORLD
mount -t tmpfs -o mode=0755,size=80% ferryfs-test "$WORLD" || die "cannot mount a tmpfs"
POOLS=$WORLD/pools STATE=$WORLD/state MNT=$WORLD/mnt LOG=$WORLD/log MANIFEST=$WORLD/manifest BIN=$WORLD/bin
mkdir "$POOLS" "$MNT" "$BIN"
cp "$BUILD/tests/fs/"{op,fill,churn} "$BIN" || die "tests/fs/op, fill and churn are not built"
PATH=$BIN:$PATH
: >"$LOG"
open_tick

DAEMON='' # its pid
HOST_ARGS=()
POOL_ARGS=()
VOLUMES=()
look_at_sanitizers "$FERRYFS"

# The world

pool() {
    local name=$1 kind=${2:-tmpfs} size=${3:-1G} path=$POOLS/$1
    mkdir -p "$path"
    case $kind in
    tmpfs) mount -t tmpfs -o "mode=0755,size=$size" "pool-$name" "$path" || die "no tmpfs for $name" ;;
    plain) ;;
    ext4 | ext4-128 | xfs)
        truncate -s "$size" "$WORLD/$name.image"
        if [[ $kind == ext4 ]]; then
            mkfs.ext4 -q -F -m 0 "$WORLD/$name.image" || skip "mkfs.ext4 does not work here"
        elif [[ $kind == ext4-128 ]]; then # inodes of 128 bytes: no birth times, and whole seconds
            mkfs.ext4 -q -F -m 0 -I 128 "$WORLD/$name.image" >"$WORLD/mkfs" 2>&1 || skip "mkfs.ext4 does not work here"
        else
            mkfs.xfs -q "$WORLD/$name.image" || skip "mkfs.xfs does not work here"
        fi
        mount -o loop "$WORLD/$name.image" "$path" || skip "no $kind on a loop device here"
        ;;
    esac
    host "$name"
}

# A host whose directory is there already
host() {
    HOST_ARGS+=(--host "$1=$POOLS/$1")
    POOL_ARGS+=(--pool "$1=$POOLS/$1")
}

volume() {
    local name=$2 size=$3 kind=${4:-sparse} path=$POOLS/$1/$2
    fill "$path" "$(numfmt --from=iec "$size")" "$kind" "${5:-$((${#VOLUMES[@]} + 1))}" || die "no room for $name"
    chown 1234:2345 "$path"
    chmod 0640 "$path"
    setfattr -n user.note -v "of $name" "$path" 2>/dev/null
    touch -d @1600000000.123456789 "$path"
    VOLUMES+=("$name")
}

begin_ferryfs() {
    local preload=$ASAN_LIBRARY
    [[ -z ${FAULT-} ]] || preload=${preload:+$preload:}$BUILD/tests/faultshim/libfaultshim.so
    [[ -z ${CLOCK-} ]] || preload=${preload:+$preload:}$BUILD/tests/fs/libclockshim.so
    [[ -e $MANIFEST ]] || record_world
    env ${preload:+LD_PRELOAD="$preload"} ${FAULT:+FAULTSHIM="$FAULT"} ${CRASH:+FERRYFS_CRASH="$CRASH"} \
        ${CLOCK:+CLOCKSHIM="$CLOCK"} \
        FERRYFS_OF_TEST=1 \
        FERRYFS_WORKER="$BUILD/copy/copy-worker" \
        ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=1:${ASAN_OPTIONS-}" \
        UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS-}" \
        "$FERRYFS" "${HOST_ARGS[@]}" --state "$STATE" -f "$@" "$MNT" </dev/null >>"$LOG" 2>&1 {TICK}>&- {SAYS}>&- &
    DAEMON=$!
}

alive() { [[ -n $DAEMON ]] && kill -0 "$DAEMON" 2>/dev/null; }
# By reading: the kernel may remember a name of a mount that is dead
answers() { [[ -n $(cat "$MNT/.control/health" 2>/dev/null) ]]; }
answers_or_dead() { answers || ! alive; }
recovered() { [[ $(<"$MNT/.control/health") != recovering* ]]; }
lists() {
    local name
    for name in "$@"; do [[ -n $(cat "$MNT/$name/status" 2>/dev/null) ]] || return 1; done
}

start_ferryfs() {
    begin_ferryfs "$@"
    holds until_true answers_or_dead
    answers || die "ferryfs does not answer"
    until_true lists "${VOLUMES[@]}" || die "ferryfs does not list ${VOLUMES[*]}, only $(echo "$MNT"/*)"
    until_true recovered || wrong "it is still $(<"$MNT/.control/health")"
}

stop_ferryfs() {
    local status
    kill -TERM "$DAEMON" 2>/dev/null
    until_true gone || die "ferryfs does not end"
    wait "$DAEMON"
    status=$?
    DAEMON=''
    eq "$status" 0 "the exit status of ferryfs"
    until_true no_family || wrong "left over of ferryfs: $(family)"
}

gone() { ! alive; }
ended() { ! kill -0 "$1" 2>/dev/null; }

# All processes that were started by a daemon of this test
family() { grep -lsz '^FERRYFS_OF_TEST=' /proc/[0-9]*/environ | sed 's:/proc/\([0-9]*\)/.*:\1:'; }
no_family() { [[ -z $(family) ]]; }

kill_family() {
    local pids
    mapfile -t pids < <(family)
    ((${#pids[@]} == 0)) && return 0
    kill -KILL "${pids[@]}" 2>/dev/null
    return 1
}

# bash tells of a child that was killed: not here
kill_ferryfs() {
    {
        kill -KILL "$DAEMON"
        holds until_true kill_family
        wait "$DAEMON"
    } 2>/dev/null
    no_family || die "processes of ferryfs cannot be killed: $(family)"
    DAEMON=''
}

# Faults

SHARED=$WORLD/shared FAULT='' CRASH='' CLOCK=''
set_clocks() {
    CLOCK=$WORLD/clock
    truncate -s 8 "$CLOCK"
}
ahead() { python3 -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("q", int(sys.argv[2])))' "$CLOCK" "$1"; }
CTL=("$BUILD/tests/faultshim/faultctl" "$SHARED")
ctl() { "${CTL[@]}" "$@"; }
no_fault() { FAULT=''; }
fault() {
    rm -f "$SHARED"
    ctl reset
    chmod 0666 "$SHARED"
    FAULT="file=$SHARED,$1"
}
hold_copies() { fault "call=pwrite,program=copy-worker,from,do=hold"; }
held() { ctl hit $((20 * SLOW)) || die "no worker has begun to write"; }

# What a user does

# 0 where the write was accepted; says nothing
put() { op write "$2" "$1"$'\n' >/dev/null; }
value() { cat "$MNT/$1"; }
is() { [[ $(cat "$MNT/$1" 2>/dev/null) == "$2" ]]; }
phase_is() { is "$1/migrate/phase" "$2"; }
number() { sed -n "s/^$2 //p" "$MNT/$1/migrate/stat"; }

# Wait for the end of a job; prints its result
result() { within 60 cat "$MNT/$1/migrate/wait"; }

migrate() {
    says ok op write "$MNT/$1/migrate/target" "$2"
    eq "$(result "$1")" success "$1 -> $2: $(value "$1/migrate/error")"
    eq "$(value "$1/host")" "$2"
}

sum() { sha256sum <"$1" | cut -d' ' -f1; }

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# The write of WORD to FILE of VOLUME is refused with ERRNO at CALL (open or write), and said three times
refused() {
    local errno=$1 call=$2 file=$MNT/$3 word=$4 before log_bytes
    before=$(state_of "${file%/migrate/*}")
    log_bytes=$(stat -c %s "$LOG")
    says "$call $errno" op write "$file" "$word"
    eq "$(state_of "${file%/migrate/*}" | diff - <(echo "$before"))" "" "a refusal changed"
    [[ $file == */migrate/* ]] || return 0
    like "$(<"${file%/*}/message")" "refused $errno: ?*"
    tail -c "+$((log_bytes + 1))" "$LOG" | grep -q " by uid 0 pid [1-9][0-9]* refused: $errno: " ||
        wrong "the log does not tell of $errno and of who was refused"
}

state_of() { grep -H . "$1"/{uuid,size,host,status,previous_status,migrate/{target,status,phase,error,stat,verify}}; }

# Invariants

idle() { is .control/jobs null && is .control/hidden null; }
# No job is under way, and what is hidden is retained
settled() { is .control/jobs null && ! grep -qv -e '^null$' -e '^[^ ]* retained ' "$MNT/.control/hidden"; }

# For a test that asks very often: one checker, asked through two pipes, answers all
serve_checker() {
    mkfifo "$WORLD/ask" "$WORLD/answer"
    exec {ASK}<>"$WORLD/ask" {ANSWER}<>"$WORLD/answer"
    rm "$WORLD/ask" "$WORLD/answer"
    "$HERE/../invariants" serve <&"$ASK" >&"$ANSWER" {ASK}>&- {ANSWER}>&- &
    disown
}

invariants() {
    local line
    [[ -n ${ASK-} ]] || {
        "$HERE/../invariants" "$@"
        return
    }
    echo "${*@Q}" >&"$ASK"
    while read -r -t 60 line <&"$ANSWER"; do
        [[ ! $line =~ ^-?[0-9]+$ ]] || return "${line#-}"
        echo "$line"
    done
    echo "the checker does not answer"
    return 2
}

record_world() { invariants record "$MANIFEST" "${POOL_ARGS[@]}" || die "the world cannot be recorded"; }

check_world() {
    local found
    found=$(invariants check "$MANIFEST" "${POOL_ARGS[@]}" ${KEEP:+--keep} "$@" 2>&1) || wrong "$found"
}

sanitizers_are_content() {
    local report='AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion .* failed'
    ! grep -E -A 30 "$report" "$LOG" | sed 's/^/# log: /' | head -n 60 | grep . >&"$SAYS"
}

finish() {
    if alive; then
        proves "at the end all volumes are whole, each in one place"
        until_true "${REST:-idle}" || wrong "jobs: $(value .control/jobs), hidden: $(value .control/hidden)"
        check_world --mount "$MNT"
        proves "ferryfs ends cleanly"
        stop_ferryfs
    fi
    proves "at the end the pools hold what they held, and nothing else"
    check_world
    proves "no sanitizer has anything to report"
    holds sanitizers_are_content
    end_sentence
    echo "1..$N_TESTS"
    ((N_FAILED == 0)) || tail -n 40 "$LOG" | sed 's/^/# log: /' >&"$SAYS"
    trap - EXIT
    exit $((N_FAILED > 0))
}

trap 'die "the test ended early"' EXIT
trap 'exit 1' TERM
