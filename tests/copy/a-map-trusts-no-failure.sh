#!/bin/bash
# What a failure leaves behind says nothing that is not so, and what is none is not called one.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"

volume source 24M dense 1

proves "a source that was cut or appended to meanwhile leaves no map: there is nothing to go on from"
cp source grows
for change in +1M -3M; do
    rm -f map copy
    begins --speed=8M --resume map grows copy
    holds until_true test -e map
    truncate -s "$change" grows
    ends
    eq "$STATUS" 1 "$change"
    fails test -e map
done

proves "what could not be read back is copied again, without verification too"
rm -f map copy
FAULT="file=$WORLD/shim,call=pread,at=20,from,do=EIO,under=$WORLD/copy"
exits 1 --io=threads --resume map source copy
FAULT=''
volume garbage 512K dense 9
dd if=garbage of=copy bs=512K seek=47 conv=notrunc status=none
exits 0 --resume map --verify=off source copy
holds same source copy

proves "a source on what knows no flush is copied: there is nothing to be flushed"
rm -f copy
FAULT="file=$WORLD/shim,call=fdatasync,from,do=EINVAL,under=$WORLD/source"
exits 0 source copy
holds same source copy
FAULT="file=$WORLD/shim,call=fdatasync,from,do=EIO,under=$WORLD/source"
exits 1 --force source copy
like "$ERR" "*the source holds writes that did not reach its disk*"
FAULT=''
finish
