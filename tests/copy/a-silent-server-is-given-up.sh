#!/bin/bash
# A server that takes the connection and never says a word is not waited for without end.
. "$(dirname "$0")/lib.sh"
proves "it is given up, in words, and nothing is left"
python3 "$HERE/liar.py" "$WORLD/mute" all &
until_true test -e mute || die "the server does not come up"
exits 1 "nbd+unix:///?socket=$WORLD/mute" copy
eq "$ERR" "ferrycopy: cannot connect to nbd+unix:///?socket=$WORLD/mute: no answer within 30 s"
fails test -e copy
kill %%
finish
