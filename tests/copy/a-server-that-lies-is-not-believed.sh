#!/bin/bash
# What an NBD server says is held against what it was asked: what it leaves out is no data, and what it says twice
# counts once.
. "$(dirname "$0")/lib.sh"
head -c 8M /dev/zero | tr '\0' A >truth

# LIE: serve, and copy from it
copies_from() {
    python3 "$HERE/liar.py" "$WORLD/$1" "$1" &
    until_true test -e "$1" || die "the server does not come up"
    copies "nbd+unix:///?socket=$WORLD/$1" "from-$1" "${@:2}"
    kill %%
}

proves "a server that tells the truth is copied"
copies_from nothing
eq "$STATUS" 0 "$ERR"
holds same truth from-nothing

proves "of a read that is answered in part, nothing is invented"
for options in --verify=full --verify=off --io=threads; do
    rm -f parts
    copies_from parts "$options"
    eq "$STATUS" 1
    like "$ERR" "ferrycopy: *Protocol error*"
    fails test -e from-parts
done

proves "extents that are told twice count once"
copies_from twice --verify=off
eq "$STATUS" 0 "$ERR"
holds same truth from-twice
finish
