#!/bin/bash
# Every option, and every way to misuse one: exit status 2 and a message that names it.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"

volume source 3M sparse 1
hint='ferrycopy: ferrycopy --help tells the options'

misuse() {
    exits 2 "${@:2}"
    eq "$ERR" "ferrycopy: $1"$'\n'"$hint"
    eq "$OUT" ''
}

proves "--help and --version print to standard output and succeed, whatever else is there"
exits 0 --help
like "$OUT" "Usage: ferrycopy *--verify*Exit status: *"
eq "$ERR" ''
exits 0 -h source
exits 0 --compare --help a b c
like "$OUT" "Usage: *"
exits 0 --version
like "$OUT" "ferrycopy [0-9]*"
exits 0 -V

proves "output that cannot be written is a failure"
(become_ferrycopy --help >/dev/full 2>err)
eq $? 1
eq "$(<err)" "ferrycopy: cannot write standard output: No space left on device"

proves "names are counted"
misuse "a copy wants SOURCE and DESTINATION, not 0 names"
misuse "a copy wants SOURCE and DESTINATION, not 1 name" source
misuse "a copy wants SOURCE and DESTINATION, not 3 names" source a b
misuse "--compare wants two volumes, not 1 name" --compare source
misuse "--map wants one SOURCE, not 2 names" --map source a
misuse "--digest wants one SOURCE, not 0 names" --digest
misuse "an empty name" source ''

proves "an unknown option is named"
misuse "there is no option --bogus, or several begin so" --bogus source a
misuse "there is no option -x" -x source a
misuse "there is no option --v, or several begin so" --v source a

proves "a value that is missing, or too much, is told"
misuse "--speed wants a value: RATE" source a --speed
misuse "--force takes no value" --force=yes source a

proves "a value that is wrong is named, with those that are right"
misuse '--verify: "half" is not full or off' --verify=half source a
misuse '--sparse: "always" is not auto or never' --sparse always source a
misuse '--reflink: "always" is not auto or never' --reflink=always source a
misuse '--progress: "xml" is not bar or json' --progress=xml source a
misuse '--io: "aio" is not auto, io_uring or threads' --io=aio source a
for size in 0 1 3M 32K 8M 512k x ''; do
    misuse "--block-size: \"$size\" is not a power of 2 from 64K to 4M" --block-size "$size" source a
done
for n in 0 65 x -1; do misuse "--queue-depth: \"$n\" is not a number from 1 to 64" --queue-depth="$n" source a; done
for n in 0 17 x; do misuse "--connections: \"$n\" is not a number from 1 to 16" --connections="$n" source a; done
for rate in 0 -1 1.5G fast 1P ''; do
    misuse "--speed: \"$rate\" is no rate: bytes a second above 0, as 500M (K, M, G, T are powers of 1024), or max" \
        --speed="$rate" source a
done

misuse "--control: an empty name" --control= source a
misuse "--resume: an empty name" --resume= source a

proves "options that contradict each other, or have no meaning, are refused"
misuse "--create makes a new file, --force overwrites: not both" --create --force source a
misuse "--create makes a new file, --force overwrites: not both" --force --create source a
misuse "one of --compare, --map and --digest, not two" --compare --digest source a
misuse "--force has no meaning for --compare" --compare --force source a
misuse "--resume has no meaning for --digest" --digest --resume map source
misuse "--block-size has no meaning for --digest" --digest --block-size=64K source
misuse "--progress has no meaning for --map" --map --progress source
misuse "--verify has no meaning for --compare" --verify --compare source a
fails test -e a

proves "every option that is right is taken"
for options in --verify --verify=full --verify=off --speed=max '--speed 1T' --sparse=auto --reflink=never --reflink=auto \
    --create --force --block-size=64K --block-size=4M --queue-depth=1 --queue-depth=64 --connections=1 --connections=16 \
    --io=auto --io=threads '--queue-depth 1 --io=threads --block-size 64K'; do
    # shellcheck disable=SC2086 # words
    exits 0 $options source copy
    eq "$ERR$OUT" '' "$options"
    holds same source copy
    rm -f copy
done
exits 0 -- source copy
rm copy
exits 0 source --force copy
holds same source copy

proves "--sparse=never writes every byte, holes too"
exits 0 --sparse=never source dense
holds same source dense
holds test "$(allocated dense)" -ge $((3 << 20))
under $((2 << 20)) "$(allocated copy)"

proves "--io=io_uring is taken, or says how to do without"
copies --io=io_uring --force source copy
if [[ $STATUS == 0 ]]; then
    holds same source copy
else
    like "$ERR" "ferrycopy: cannot begin I/O: *; try --io=threads"
fi

proves "without libnbd a file is copied all the same, and NBD says what is missing"
# In a mount namespace of its own: what a machine is where it is not installed
without_libnbd() {
    local library
    library=$(ldconfig -p | sed -n 's/.*libnbd\.so\.0 .*=> //p' | head -n 1)
    unshare --mount --map-root-user sh -c 'mount --bind /dev/null "$1" && shift && exec "$@"' sh "$library" "$@" 2>&1
}
eq "$(without_libnbd "$FERRYCOPY" source --force copy)" ''
holds same source copy
like "$(without_libnbd "$FERRYCOPY" nbd://localhost/ copy2)" \
    "ferrycopy: cannot open nbd://localhost/: *libnbd.so.0: *; NBD needs libnbd 1.14 or newer (package libnbd0)"

proves "an abbreviation is taken as long as it is clear"
exits 0 --forc --verif=off source copy
finish
