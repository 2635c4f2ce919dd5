#!/bin/bash
# A source with a bad sector: where it is is told to the grain, and nothing is made up for it.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/copy/places.sh
. "$HERE/places.sh"

filesystem tmpfs
volume tmpfs/source 4M dense 5
BLOCK=$((3 * 1024 * 1024))
BAD=$((BLOCK + 5 * 4096)) # and the 512 bytes there

# A server that cannot read these bytes, ever
bad_server() {
    cat >bad.sh <<END
#!/bin/bash
case "\$1" in
get_size) stat -L -c %s $WORLD/tmpfs/source ;;
pread)
    if ((\$4 < $BAD + 512 && \$4 + \$3 > $BAD)); then
        echo "EIO bad sector" >&2
        exit 1
    fi
    dd if=$WORLD/tmpfs/source iflag=skip_bytes,count_bytes skip="\$4" count="\$3" status=none ;;
*) exit 2 ;;
esac
END
    chmod +x bad.sh
    serve "$WORLD/bad" nbdkit -f -U "$WORLD/bad" --filter=noextents sh bad.sh
}

bad_server
SOURCE="nbd+unix:///?socket=$WORLD/bad"
for block in 64K 1M; do
    proves "the grain that cannot be read is named, with blocks of $block, and no file is left"
    exits 1 --block-size=$block --progress=json "$SOURCE" tmpfs/copy
    like "$ERR" "*at byte $BAD*"
    like "$OUT$ERR" "*\"offset_bytes\":$BAD*"
    fails test -e tmpfs/copy
done

proves "with --resume the blocks that could be read are kept, and nothing is made up at the bad place"
exits 1 --resume=map "$SOURCE" tmpfs/copy
holds test -e map
exits 1 --resume=map "$SOURCE" tmpfs/copy
like "$ERR" "*at byte $BAD*"
eq "$(cmp -n "$BLOCK" tmpfs/source tmpfs/copy 2>&1)" ''
eq "$(dd if=tmpfs/copy iflag=skip_bytes,count_bytes skip=$BAD count=4096 status=none | tr -d '\0' | wc -c)" 0

proves "a comparison and a digest name it too"
copies --compare "$SOURCE" tmpfs/source
eq "$STATUS" 4 "$ERR"
like "$ERR" "*$BAD*"
copies --digest "$SOURCE"
eq "$STATUS" 1
like "$ERR" "*$BAD*"
leave
finish
