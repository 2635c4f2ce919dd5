#!/bin/bash
# The fault shim does what its rules say, to a victim whose every call is known.
# usage: test.sh DIRECTORY-OF-ITS-PROGRAMS
set -u
BUILD=$1
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
VICTIM=$BUILD/victim SHIM=$BUILD/libfaultshim.so FILE=$T/shared
mkdir "$T/in" "$T/out"
n=0 failed=0
# As with the daemon: the library of a sanitizer comes first
ASAN=$(ldd "$VICTIM" | sed -n 's/.*lib[at]san[^ ]* => \([^ ]*\) .*/\1/p')
export ASAN_OPTIONS=${ASAN_OPTIONS-}:allocator_may_return_null=1

ctl() { "$BUILD/faultctl" "$FILE" "$@"; }

# RULES VICTIM-ARGUMENTS...
run() {
    local rules=$1
    shift
    env LD_PRELOAD="${ASAN:+$ASAN:}$SHIM" FAULTSHIM="file=$FILE,$rules" "$VICTIM" "$@" 2>&1 | tr '\n' ' '
    return "${PIPESTATUS[0]}"
}

check() {
    n=$((n + 1))
    if [[ $2 == "$3" ]]; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1"
        echo "# it is \"$2\", not \"$3\""
        failed=$((failed + 1))
    fi
    rm -f "$FILE"
}

echo 12345678 >"$T/in/f"
for call in pwrite pread fsync fdatasync ftruncate fallocate renameat2 openat2; do
    counted=${call%2}
    [[ $call == renameat2 ]] && counted=renameat2
    good=ok
    [[ $call == p* ]] && good=8
    check "the third $call alone fails with the errno asked for" \
        "$(run "call=$counted,at=3,do=EDQUOT,under=$T/in/f" "$call" "$T/in/f" 4)" \
        "$([[ $call == openat2 ]] && echo "$good EDQUOT $good $good " || echo "$good $good EDQUOT $good ")"
done
check "unlinkat fails where it is asked to" "$(run "call=unlinkat,do=EROFS,under=$T/in" unlinkat "$T/in/f" 2)" "EROFS ok "
check "openat counts open(2) too" "$(run "call=openat,at=2,do=EMFILE,under=$T" openat "$T/in/f" 2)" "EMFILE ok "
check "from: every later one fails too" "$(run "call=fsync,at=2,from,do=EIO,under=$T" fsync "$T/in/f" 4)" "ok EIO EIO EIO "
for call in pwrite pread; do
    check "short: half of the bytes of a $call" "$(run "call=$call,at=2,do=short,under=$T" "$call" "$T/in/f" 3)" "8 4 8 "
done
check "what is not under the path does not count" "$(run "call=fsync,do=EIO,under=$T/out" fsync "$T/in/f" 2)" "ok ok "
check "a path is not under another that only begins like it" "$(run "call=fsync,do=EIO,under=$T/i" fsync "$T/in/f" 1)" "ok "
check "another program is left alone" "$(run "call=fsync,program=pool-agent,do=EIO" fsync "$T/in/f" 1)" "ok "
check "program: a word of the command line" "$(run "call=fsync,program=victim,do=EIO" fsync "$T/in/f" 1)" "EIO "
if [[ -z $ASAN ]]; then
    check "malloc returns NULL" "$(run "call=malloc,at=1,do=ENOMEM,from" malloc "$T/in/f" 2)" "ENOMEM ENOMEM "
fi
run "call=pwrite,at=1000000,do=EIO,under=$T" crowd "$T/in/f" 500
check "the calls of all threads and processes are counted together" "$(ctl counts | grep pwrite)" "pwrite 2000"
run "call=pwrite,at=3,do=kill,under=$T" pwrite "$T/in/f" 5 >"$T/said"
check "kill: the N-th call is the last" "$? $(<"$T/said")" "137 8 8 "
run "call=pwrite,at=2,do=EIO,under=$T" sandbox "$T/in/f" 5
check "a sandboxed process is hit by path too" "$? $(ctl log)" "5 victim: pwrite 2"

run "call=pwrite,at=2,do=hold,under=$T" sandbox "$T/in/f" 5 &
holder=$!
ctl hit 20
hit=$?
held=$(ctl counts | grep pwrite)
ctl release
wait $holder
check "hold: a sandboxed process waits at its call until it is released" "$? $hit $held $(ctl counts | grep pwrite)" \
    "0 0 pwrite 2 pwrite 5"

run "call=pwrite,from,do=hold,under=$T" pwrite "$T/in/f" 5 >"$T/said" &
holder=$!
ctl hit 20
ctl pass 3
until [[ $(ctl counts | grep pwrite) == "pwrite 4" ]] || ((SECONDS > 20)); do :; done
held=$(ctl counts | grep pwrite)
ctl release
wait $holder
check "pass: as many go on, and the next is held" "$held, $(<"$T/said")" "pwrite 4, 8 8 8 8 8 "

"$BUILD/faultctl" "$FILE" killer VICTIM_FAMILY &
VICTIM_FAMILY=1 run "call=pwrite,at=2,do=killtree,under=$T" sandbox "$T/in/f" 5
check "killtree: a sandboxed process is killed from outside" $? 137
ctl reset
run "call=pwrite,armed,from,do=EIO,under=$T" pwrite "$T/in/f" 1 >"$T/said"
ctl arm
run "call=pwrite,armed,from,do=EIO,under=$T" pwrite "$T/in/f" 1 >>"$T/said"
check "armed: nothing counts before it is" "$(<"$T/said")" "8 EIO "
echo "1..$n"
exit $((failed > 0))
