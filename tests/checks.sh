# shellcheck shell=bash
# What shell tests say and wait with; for a lib.sh to source. WORLD is the folder of the test.
#
#   proves SENTENCE                         begins a test; the checks up to the next `proves` are its own
#   eq GOT WANTED                           checks; a failed one is told and fails the sentence, the test goes on
#   like GOT PATTERN   holds CMD...   fails CMD...   says OUTPUT CMD...   under LIMIT GOT
#   until_true CMD...                       waits for it (false after a deadline)
#   needs PROGRAM...                        without them the test ends as a failure

N_TESTS=0 N_FAILED=0 SENTENCE='' SENTENCE_OK=1
# What is said of a failure goes where the log of a run keeps it, also out of a block whose errors go nowhere
exec {SAYS}>&2

# Of a program under test: SLOW says how much slower than a plain build this one is
look_at_sanitizers() {
    ASAN_LIBRARY=$(ldd "$1" 2>/dev/null | sed -n 's/.*libasan[^ ]* => \([^ ]*\) .*/\1/p')
    TSAN_LIBRARY=$(ldd "$1" 2>/dev/null | sed -n 's/.*libtsan[^ ]* => \([^ ]*\) .*/\1/p')
    SLOW=1
    [[ -z $ASAN_LIBRARY$TSAN_LIBRARY ]] || SLOW=5
}

# Checks

end_sentence() {
    [[ -n $SENTENCE ]] || return 0
    N_TESTS=$((N_TESTS + 1))
    if ((SENTENCE_OK)); then
        echo "ok $N_TESTS - $SENTENCE"
    else
        echo "not ok $N_TESTS - $SENTENCE"
        N_FAILED=$((N_FAILED + 1))
    fi
    SENTENCE=''
}

proves() {
    end_sentence
    SENTENCE=$1 SENTENCE_OK=1
}

wrong() {
    local frame=0
    while [[ ${BASH_SOURCE[frame + 1]} == */@(lib|checks|places).sh ]]; do frame=$((frame + 1)); done
    printf '%s\n' "line ${BASH_LINENO[frame]}: $*" | sed 's/^/# /' >&"$SAYS"
    SENTENCE_OK=0
}

eq() { [[ $1 == "$2" ]] || wrong "it is \"$1\", not \"$2\"${3:+: $3}"; }
# shellcheck disable=SC2053 # a pattern
like() { [[ $1 == $2 ]] || wrong "it is \"$1\", not like \"$2\"${3:+: $3}"; }
under() { (($2 < $1)) || wrong "it is $2, not under $1${3:+: $3}"; }
holds() { "$@" || wrong "not true: $*"; }
fails() { ! "$@" || wrong "true but should not be: $*"; }
says() {
    local wanted=$1 got
    shift
    got=$("$@" 2>&1)
    [[ $got == "$wanted" ]] || wrong "$* says \"$got\", not \"$wanted\""
}

# Of what tests/run installs: a check that cannot be made is no success
needs() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || die "there is no $program, which tests/run would install"
    done
}

# Waiting

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

open_tick() {
    mkfifo "$WORLD/tick"
    exec {TICK}<>"$WORLD/tick"
    rm "$WORLD/tick"
}

# A short while: nobody ever writes into that pipe. In a shell of its own: when the time is over before it has begun,
# bash 5.2 sets a mask of signals that it never asked for, and a shell that blocks SIGCHLD takes the dead for alive
tick() {
    (read -r -t "${TICK_S:-0.01}" -u "$TICK" _)
    return 0
}

until_true() {
    local deadline=$((SECONDS + 20 * SLOW))
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        tick
    done
}

# $1 seconds at most for a command that may hang
within() {
    local seconds=$1
    shift
    timeout -k 1 "$((seconds * SLOW))" "$@"
}
