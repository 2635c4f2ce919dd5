"""Who copies in tests/bench/copy: a row per tool, with its command for every kind of destination.

In a command $S is the source, $D the destination, both a path or an NBD URI, and $F the file whose
flush makes the copy durable. Each ends when the copy is on the disk: who does not flush gets
`sync`. None: cannot be done.
"""
import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Tool:
    """A way to copy. `family`: the bar of the chart that it belongs to."""
    name: str
    family: str
    file: str               # to a new file
    device: str = None      # to a block device with old data
    nbd_to: str = None      # from a file to a server
    nbd_from: str = None    # from a server to a new file
    ours: bool = False

    def command(self, kind):
        return getattr(self, kind)


OURS, VERIFIED = "ferrycopy", "ferrycopy-verified"
DIRECT = "bs=1M iflag=direct oflag=direct"
FAST = "qemu-img convert -f raw -O raw -W -m 16 -T none -t none"


def nbdcopy(size):
    text = f"nbdcopy --flush --request-size={size} -- $S $D"
    return {"file": text, "device": text, "nbd_to": text, "nbd_from": text}


def ferrycopy(options):
    text = f"ferrycopy {options} --force $S $D"
    return {"file": text, "device": text, "nbd_to": text, "nbd_from": text}


TOOLS = (
    Tool(OURS, "ferrycopy", **ferrycopy("--verify=off"), ours=True),
    Tool(VERIFIED, "ferrycopy, verified", **ferrycopy("--verify=full"), ours=True),
    # As Cinder runs it: volume_utils.copy_volume; conv=sparse would leave the old bytes of a device
    Tool("dd", "dd", file=f"dd if=$S of=$D {DIRECT} conv=fdatasync,sparse",
         device=f"dd if=$S of=$D {DIRECT} conv=fdatasync"),
    Tool("dd-cached", "dd", file="dd if=$S of=$D bs=1M conv=fdatasync,sparse",
         device="dd if=$S of=$D bs=1M conv=fdatasync"),
    Tool("cp-sparse", "cp", file="cp --sparse=always $S $D; sync $F",
         device="cp --sparse=never $S $D; sync $F"),
    Tool("cp-reflink", "cp", file="cp --reflink=auto $S $D; sync $F"),
    Tool("qemu-img", "qemu-img", file="qemu-img convert -f raw -O raw $S $D; sync $F",
         device="qemu-img convert -n -f raw -O raw $S $D; sync $F",
         nbd_to="qemu-img convert -n -f raw -O raw $S $D; sync $F",
         nbd_from="qemu-img convert -f raw -O raw $S $D; sync $F"),
    Tool("qemu-img-direct", "qemu-img", file=f"{FAST} $S $D", device=f"{FAST} -n $S $D",
         nbd_to=f"{FAST} -n $S $D; sync $F", nbd_from=f"{FAST} $S $D"),
    Tool("nbdcopy-256K", "nbdcopy", **nbdcopy(256 * 1024)),
    Tool("nbdcopy-1M", "nbdcopy", **nbdcopy(1024 * 1024)),
    Tool("rsync", "rsync", file="rsync -S $S $D; sync $F"),
)

# What the disk can do; $R bytes are read and $W written. In huge pages: buffers that are contiguous
# in physical memory make it half as fast again.
FIO = ("GLIBC_TUNABLES=glibc.malloc.hugetlb=1 fio --output-format=json --direct=1 --bs=512k "
       "--iodepth=16 --ioengine=io_uring --fallocate=none --thread")
FIO_READ = "--name=read --filename=$S --rw=read --size=$R"
FIO_WRITE = "--name=write --filename=$D --rw=write --size=$W --end_fsync=1"
LIMITS = {
    "read": f"{FIO} {FIO_READ}",
    "write": f"{FIO} {FIO_WRITE}",
    "both": f"{FIO} {FIO_READ} {FIO_WRITE}",
}


def limit_seconds(output):
    """Of what fio said: how long the longer of its jobs took, without its own start and end."""
    jobs = json.loads(output[output.index("{"):])["jobs"]
    return max(job["job_runtime"] for job in jobs) / 1000
