#!/bin/bash
# Never a success after a lost write. Every call that writes or flushes fails once, by the fault shim (which sees what
# threads do), by an NBD server, by a full disk and by a disk that breaks (which io_uring sees too): ferrycopy fails in
# words and leaves nothing that looks like a copy, or what it says is whole is whole.
# EVERY=1 leaves no call out.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/copy/places.sh
. "$HERE/places.sh"

filesystem tmpfs
filesystem ext4
mixed source $((3 * 1024 * 1024 + 777)) 3
SHARED=$WORLD/shared
ctl() { "$BUILD/tests/faultshim/faultctl" "$SHARED" "$@"; }
fault() {
    rm -f "$SHARED"
    ctl reset
    FAULT="file=$SHARED,$1"
}

# A success is one, a failure is told and leaves no copy. WHAT DESTINATION
is_honest() {
    if [[ $STATUS == 0 ]]; then
        same source "$2" || wrong "$1: a success that is none: $(cmp source "$2")"
    else
        like "$STATUS" '[15]' "$1: $ERR"
        like "$ERR" "ferrycopy: *" "$1"
        [[ ! -e $2 ]] || wrong "$1: $2 is still there"
    fi
    rm -f "$2"
}

# CALL ERRNO STRIDE [OPTION...]: the first, then every STRIDE-th call until there is none left
sweep() {
    local call=$1 errno=$2 stride=$3 n=1 hits=0
    while true; do
        fault "call=$call,at=$n,do=$errno,under=$WORLD/ext4"
        copies --io=threads --block-size=64K "${@:4}" source "$WORLD/ext4/copy"
        FAULT=''
        [[ -n $(ctl log) ]] || break
        hits=$((hits + 1))
        is_honest "$errno of $call number $n" ext4/copy
        ((SENTENCE_OK)) || break
        n=$((n + stride))
    done
    ((STATUS == 0)) || wrong "without a fault: $ERR"
    rm -f ext4/copy
    echo "# $hits faults"
    ((hits > 0)) || wrong "no call of $call was ever hit"
}

for fault in "pwrite EIO 5" "pwrite ENOSPC 11" "pwrite short 5" "fsync EIO 1" "fsync ENOSPC 1" "ftruncate ENOSPC 1" \
    "linkat EIO 1" "openat EACCES 1"; do
    read -r call errno stride <<<"$fault"
    proves "$errno of $call: told, or made good"
    sweep "$call" "$errno" "${LONG:-$stride}"
    sweep "$call" "$errno" "${LONG:-$stride}" --verify=off
done

# Slow enough for a checkpoint
proves "EIO of fdatasync: told, or made good"
sweep fdatasync EIO "${LONG:-3}" --speed=400K
[[ -z $LONG ]] || sweep fdatasync EIO 1 --speed=400K --verify=off

# The same onto what is there, which cannot be removed: what is said of it is true
onto() {
    local call=$1 errno=$2 n=1
    while true; do
        cp old ext4/old
        fault "call=$call,at=$n,do=$errno,under=$WORLD/ext4"
        copies --io=threads --force source "$WORLD/ext4/old"
        FAULT=''
        [[ -n $(ctl log) ]] || break
        if ((STATUS == 0)); then
            same source ext4/old || wrong "$errno of $call number $n: a success that is none"
        elif ! same old ext4/old; then
            like "$ERR" "*not complete*" "$errno of $call number $n"
        fi
        n=$((n + 1))
    done
    holds same source ext4/old
    rm ext4/old
}
volume old "$(size_of source)" dense 9
proves "onto an old file too, which is said to be incomplete"
onto fsync EIO
onto pwrite EIO
onto ftruncate EIO

# nbdkit's error filter: some request in some hundred, as it comes; and a flush that fails
nbd() {
    local what=$1 io=$2 n=$3
    shift 3
    for ((i = 0; i < n; i++)); do
        rm -f tmpfs/remote
        truncate -s "$(size_of source)" tmpfs/remote
        serve "$WORLD/bad" nbdkit -f -U "$WORLD/bad" --filter=error file tmpfs/remote "$@"
        copies --io="$io" --block-size=64K --force source "nbd+unix:///?socket=$WORLD/bad"
        leave
        if ((STATUS == 0)); then
            same source tmpfs/remote || wrong "$what, $io: a success that is none: $(cmp source tmpfs/remote)"
        else
            like "$ERR" "ferrycopy: *" "$what, $io"
        fi
    done
}
proves "errors of an NBD server: told, or made good"
N=${LONG:+40}
for io in threads auto; do
    nbd "writes that fail" $io "${N:-3}" error-pwrite=EIO error-pwrite-rate=3%
    nbd "zeroes that fail" $io "${N:-2}" error-zero=EIO error-zero-rate=20%
    nbd "no room" $io "${N:-2}" error-pwrite=ENOSPC error-pwrite-rate=100%
    eq "$STATUS" 1
    like "$ERR" "*No space left*"
done

# A flush that fails: nbdkit's filter knows none
proves "a flush that an NBD server fails is no success"
cat >no-flush.sh <<END
#!/bin/bash
case "\$1" in
get_size) stat -L -c %s $WORLD/tmpfs/remote ;;
can_write | can_flush) exit 0 ;;
pread) dd if=$WORLD/tmpfs/remote iflag=skip_bytes,count_bytes skip="\$4" count="\$3" status=none ;;
pwrite) dd of=$WORLD/tmpfs/remote oflag=seek_bytes seek="\$4" conv=notrunc status=none ;;
flush)
    echo "EIO the flush failed" >&2
    exit 1
    ;;
*) exit 2 ;;
esac
END
chmod +x no-flush.sh
truncate -s 300000 tmpfs/remote
"$BUILD/tests/fs/fill" small 300000 dense 3
serve "$WORLD/bad" nbdkit -f -U "$WORLD/bad" sh no-flush.sh
exits 1 --force small "nbd+unix:///?socket=$WORLD/bad"
like "$ERR" "*flush*"
leave

# Of a volume that was written before, what a failed write-back has lost may still stand in the page cache
proves "a source that has lost writes is in no copy, no digest and no comparison"
mkdir ext4/lost
yes lost | head -c 3M | tee lost-source >ext4/lost/source
lost() {
    fault "call=fdatasync,from,do=EIO,under=$WORLD/ext4/lost"
    exits "$@"
    FAULT=''
    [[ -n $(ctl log) ]] || wrong "nobody asked: ${*:2}"
    like "$ERR" "ferrycopy: *holds writes that did not reach its disk: Input/output error*" "${*:2}"
}
lost 1 --io=threads --reflink=never ext4/lost/source copy
fails test -e copy
lost 1 ext4/lost/source -
lost 1 --digest ext4/lost/source
lost 4 --compare ext4/lost/source lost-source
lost 4 --compare lost-source ext4/lost/source

# Byte 200000 is another one than was written, whatever is written
proves "storage that gives back something else leaves no map to go on from"
sed "/^pwrite/s|;;|; printf '\\\\377' \| dd of=$WORLD/tmpfs/remote bs=1 seek=200000 conv=notrunc status=none ;;|
    s|^flush)|flush) exit 0 ;;\nno)|" no-flush.sh >lying.sh
chmod +x lying.sh
truncate -s 0 tmpfs/remote
truncate -s 300000 tmpfs/remote
serve "$WORLD/bad" nbdkit -f -U "$WORLD/bad" sh lying.sh
exits 5 --block-size=64K --force --resume lying.map small "nbd+unix:///?socket=$WORLD/bad"
like "$ERR" "*at byte 200000; do not trust that storage*is not complete and not what it was; do not use it"
fails test -e lying.map
leave

# A disk that is full, with either way of I/O
full() {
    local io=$1 kind=$2
    exits 1 --io="$io" dense "$kind/copy"
    like "$ERR" "*No space left on device*make room*" "$io, $kind"
    fails test -e "$kind/copy"
    exits 1 --io="$io" --resume="map.$io" dense "$kind/copy"
    holds test -e "map.$io"
    rm "$kind/full"
    exits 0 --io="$io" --resume="map.$io" dense "$kind/copy"
    same dense "$kind/copy" || wrong "$io, $kind: what was gone on with differs"
    fails test -e "map.$io"
    rm "$kind/copy"
}
proves "a full disk is told, and where there is room again --resume goes on"
volume dense 24M dense 4
filled() { fallocate -l $(($(stat -f -c '%a * %S' "$1") - 12 * 1024 * 1024)) "$1/full"; }
for io in threads "$URING"; do
    for kind in tmpfs ext4; do
        filled "$kind"
        full "$io" "$kind"
    done
done

# A disk that breaks: a device over a file that cannot grow. What cannot be stored is lost, and a flush tells
proves "a disk that breaks is told, with either way of I/O, by a device and by a file system on it"
mkdir below top
mount -t tmpfs -o size=12M ferrycopy-test below
for io in threads "$URING"; do
    for verify in full off; do
        truncate -s 64M below/image
        loop below/image
        exits 1 --io="$io" --verify=$verify --force dense "$LOOP"
        like "$ERR" "ferrycopy: *"
        leave
        rm below/image
        truncate -s 64M below/image
        mkfs.ext4 -q -F -m 0 -E lazy_itable_init=1,lazy_journal_init=1 below/image
        mount -o loop below/image top
        exits 1 --io="$io" --verify=$verify dense top/copy
        like "$ERR" "ferrycopy: *"
        fails test -e top/copy
        umount top
        rm below/image
    done
done
finish
