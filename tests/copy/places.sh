# shellcheck shell=bash
# Where a volume can be, for tests of ferrycopy that go through all of it: source it after lib.sh.
#
#   filesystem KIND [SIZE]       mounts one at ./KIND: tmpfs ext4 xfs xfs-no-reflink btrfs
#   place KIND NAME              puts what is to be had as NAME behind an interface: its name for ferrycopy is then in
#                                $PLACE, the file that holds its bytes is $BACK. KIND: a file system's, or loop, nbdkit,
#                                qemu-nbd, which have theirs on the tmpfs. $BACK is there before, but for a file system
#   leave                        takes the interfaces away again; all that was written is in $BACK
#   mixed FILE BYTES SEED        a volume of that size that has some of everything: data, holes, written zeroes, single
#                                grains, a tail that is no whole grain
#   minimal FILE                 takes no grain of space more than its bytes need
#   serve SOCKET CMD...          a server that makes that socket; serves until `leave`
#
# $URING is io_uring, or threads where a container forbids it. EVERY=1: the whole of it, as at night.
# shellcheck disable=SC2034,SC2153 # the tests use PLACES and HELD; loop of lib.sh sets LOOP

need_root
FILE_SYSTEMS=(tmpfs ext4 xfs xfs-no-reflink btrfs)
# shellcheck disable=SC2034 # for who sources this
PLACES=("${FILE_SYSTEMS[@]}" loop nbdkit qemu-nbd)
PLACE='' BACK='' SERVERS=() N_PLACED=0
# Empty or 1
LONG=${EVERY:-}
LONG=${LONG#0}

truncate -s 4096 probe
URING=io_uring
copies --io=io_uring --progress=json --digest probe
if ((STATUS != 0)); then
    [[ $OUT =~ \"error\":\"(EPERM|ENOSYS)\" ]] || die "io_uring is broken: $ERR"
    URING=threads
    echo "# no io_uring here: $ERR"
fi

filesystem() {
    local kind=$1 size=${2:-512M} options=() image=$WORLD/$1.image
    mkdir -p "$kind"
    if [[ $kind == tmpfs ]]; then
        mount -t tmpfs -o "size=$size" ferrycopy-test tmpfs || skip "no tmpfs here"
        return
    fi
    truncate -s "$size" "$image"
    case $kind in
    ext4) options=(-F -m 0) ;;
    xfs) options=(-m reflink=1) ;;
    xfs-no-reflink) options=(-m reflink=0) ;;
    esac
    "mkfs.${kind%%-*}" -q "${options[@]}" "$image" >/dev/null || skip "no mkfs.${kind%%-*} here"
    mount -o loop "$image" "$kind" || skip "no ${kind%%-*} here"
}

# Bound it is before it listens: __SO_ACCEPTCON of linux/net.h tells
listens() { grep -q " 00010000 .* $1\$" /proc/net/unix; }
listens_or_dead() { listens "$1" || ! kill -0 "${SERVERS[-1]}" 2>/dev/null; }

serve() {
    local socket=$1
    shift
    rm -f "$socket"
    "$@" </dev/null >>servers.log 2>&1 {TICK}>&- &
    SERVERS+=($!)
    holds until_true listens_or_dead "$socket"
    listens "$socket" || die "no server: $* $(<servers.log)"
}

place() {
    local kind=$1 name=$2 socket=$WORLD/socket.$((++N_PLACED))
    BACK=$WORLD/tmpfs/$name PLACE="nbd+unix:///?socket=$socket"
    case $kind in
    loop)
        loop "$BACK"
        PLACE=${LOOPS[-1]}
        ;;
    nbdkit) serve "$socket" nbdkit -f -U "$socket" file "$BACK" ;;
    qemu-nbd) serve "$socket" qemu-nbd -k "$socket" -t -e 64 -f raw --discard=unmap --cache=writeback "$BACK" ;;
    *)
        PLACE=$WORLD/$kind/$name
        BACK=$PLACE
        ;;
    esac
}

leave() {
    local pid
    for pid in "${SERVERS[@]}"; do kill "$pid"; done
    for pid in "${SERVERS[@]}"; do wait "$pid" 2>/dev/null; done
    detach_loops
    SERVERS=()
}

# A part that others need not share with the rest: bytes that are nowhere zero
mixed() {
    local file=$1 bytes=$2 seed=$3 at
    rm -f "$file"
    "$BUILD/tests/fs/fill" "$file" "$bytes" sparse "$seed" || die "no room for $file"
    "$BUILD/tests/fs/fill" "$file.part" 262144 dense "$seed"
    # Written zeroes; single grains in every second place; what begins and ends anywhere; the tail
    dd if=/dev/zero of="$file" bs=4096 seek=$((bytes / 8192)) count=32 conv=notrunc status=none
    for at in 1 3 5 6 9 12; do
        dd if="$file.part" of="$file" bs=4096 skip="$at" seek=$((bytes / 8192 + 40 + at)) count=1 conv=notrunc status=none
    done
    dd if="$file.part" of="$file" bs=1000 seek=$((bytes / 1400)) count=37 conv=notrunc status=none
    dd if="$file.part" of="$file" bs=1 seek=$((bytes - 300)) count=300 conv=notrunc status=none
    rm "$file.part"
}

# As the file system tells its data, and as it counts its blocks: to the grain on tmpfs, where nothing else takes any
minimal() {
    local data wasted took room
    read -r data wasted < <("$BUILD/tests/copy/grains" "$1")
    sync -f "$1"
    took=$(allocated "$1")
    room=$([[ $1 == */tmpfs/* ]] || echo 65536)
    ((wasted == 0 && took <= data * 4096 + room)) && return
    echo "# $1: $data grains of data, $wasted of zeroes that take space, $took bytes allocated"
    return 1
}
