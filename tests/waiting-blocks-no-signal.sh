#!/bin/bash
# Waiting leaves the signals of the shell alone, however late its turn comes.
. "$(dirname "$0")/checks.sh"
WORLD=$(mktemp -d) || exit 1
trap 'rm -r "$WORLD"' EXIT

# What it would block is what the stack happens to hold: each time a shell of its own
if [[ ${1-} == once ]]; then
    open_tick
    TICK_S=0.000001 # it is over before it has begun
    tick
    while read -r key value; do # and starts nothing: whoever waits for a child blocks SIGCHLD
        [[ $key != SigBlk: ]] || echo "$value"
    done <"/proc/$$/status"
    exit
fi

proves "a wait whose time is over at once blocks no signal"
for _ in {1..30}; do
    says 0000000000000000 env -u TICK_S "$BASH" "$0" once
done
end_sentence
echo "1..$N_TESTS"
exit $((N_FAILED > 0))
