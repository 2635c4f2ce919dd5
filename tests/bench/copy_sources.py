"""What tests/bench/copy copies: how the volumes are built, and whether a copy is right."""
import dataclasses
import errno
import mmap
import os
import random
import shutil

from copy_world import GIB, MIB, Failure, command

GRAIN = 64 * 1024
CHUNK = 4 * MIB


def pieces(begin, end, size=CHUNK):
    for at in range(begin, end, size):
        yield at, min(size, end - at)


def write_random(fd, begin, end):
    for at, n in pieces(begin, end):
        os.pwrite(fd, os.urandom(n), at)


def new_volume(path, size):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.ftruncate(fd, size)
    return fd


def close_flushed(fd):
    os.fsync(fd)
    os.close(fd)


def sparse_extents(size, data, seed=3):
    """Extents of 64 KiB to 1 MiB at places that are the same every time, `data` bytes in all."""
    chance = random.Random(seed)
    n_slots = size // (2 * MIB)
    left = data // GRAIN
    for slot in chance.sample(range(n_slots), min(n_slots, 4 * data // MIB)):
        n = min(left, chance.randint(1, 16))
        begin = slot * 2 * MIB + chance.randrange(16) * GRAIN
        if n == 0:
            return
        left -= n
        yield begin, begin + n * GRAIN


def build_dense(path, size):
    fd = new_volume(path, size)
    write_random(fd, 0, size)
    close_flushed(fd)


def build_sparse(path, size, data):
    fd = new_volume(path, size)
    for begin, end in sorted(sparse_extents(size, data)):
        write_random(fd, begin, end)
    close_flushed(fd)


def build_zeroed(path, size, data):
    """The sparse volume with its holes written as zeroes."""
    fd = new_volume(path, size)
    zero = bytes(CHUNK)
    for at, n in pieces(0, size):
        os.pwrite(fd, zero[:n], at)
    for begin, end in sparse_extents(size, data):
        write_random(fd, begin, end)
    close_flushed(fd)


def build_small(path, n_volumes):
    os.mkdir(path)
    for i in range(n_volumes):
        build_dense(os.path.join(path, f"volume-{i:04}"), 4 * MIB)


def files_of_usr():
    top = os.stat("/usr").st_dev
    for folder, folders, names in os.walk("/usr"):
        folders[:] = sorted(d for d in folders if os.lstat(os.path.join(folder, d)).st_dev == top)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def fill_with_usr(root, share):
    """Copies of the files of /usr, over and over, until that share of the filesystem is used."""
    place = os.statvfs(root)
    room = int(place.f_bavail * place.f_frsize - place.f_blocks * place.f_frsize * (1 - share))
    for turn in range(1000):
        for path in files_of_usr():
            n = os.path.getsize(path) + 4096
            to = os.path.join(root, f"usr-{turn}{path}")
            if room < MIB:
                return
            if n < room and not os.path.exists(to):
                os.makedirs(os.path.dirname(to), exist_ok=True)
                shutil.copyfile(path, to)
                room -= n


def age(root):
    """Remove every third file, so that what comes next lies scattered."""
    files = sorted(os.path.join(folder, name)
                   for folder, _, names in os.walk(root) for name in names)
    for path in files[::3]:
        os.unlink(path)


def build_image(world, path, size):
    """An ext4 filesystem with /usr in it, nine tenths full and fragmented."""
    os.close(new_volume(path, size))
    command(["mkfs.ext4", "-q", "-F", path])
    root = path + ".mnt"
    world.mount(path, root)
    try:
        fill_with_usr(root, 0.9)
        age(root)
        os.sync()
        fill_with_usr(root, 0.9)
    finally:
        command(["umount", root])
    os.rmdir(root)


def fill_old(path, size):
    """What a destination held before: no byte is zero, and it is on the disk."""
    pattern = mmap.mmap(-1, CHUNK)
    pattern.write(b"\xa5" * CHUNK)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT | os.O_CLOEXEC, 0o600)
    try:
        for at, n in pieces(0, size):
            if os.pwrite(fd, memoryview(pattern)[:n], at) != n:
                raise Failure(f"cannot fill {path}")
        os.ftruncate(fd, size)
    finally:
        close_flushed(fd)


def data_extents(fd, size):
    at = 0
    while at < size:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e:
            if e.errno == errno.ENXIO:
                return
            raise
        at = min(os.lseek(fd, begin, os.SEEK_HOLE), size)
        yield begin, at


def same_where_data(a, b, size):
    """Is b as a wherever a has data?"""
    for begin, end in data_extents(a, size):
        for at, n in pieces(begin, end):
            if os.pread(a, n, at) != os.pread(b, n, at):
                return False
    return True


def same_bytes(path, other):
    """Are two volumes equal? A hole reads as zeroes: what is a hole in both is not read."""
    a = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    b = os.open(other, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(a).st_size
        return (os.fstat(b).st_size == size and same_where_data(a, b, size)
                and same_where_data(b, a, size))
    finally:
        os.close(a)
        os.close(b)


def volumes_of(path):
    """The files of a folder, or the file."""
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(path, name) for name in sorted(os.listdir(path))]


def marks(path):
    """What changes when somebody writes to a source."""
    return [(v, os.stat(v).st_size, os.stat(v).st_mtime_ns) for v in volumes_of(path)]


def is_right(source, copy):
    sources, copies = volumes_of(source), volumes_of(copy)
    return len(sources) == len(copies) and all(map(same_bytes, sources, copies))


def allocated(path):
    return sum(os.stat(volume).st_blocks * 512 for volume in volumes_of(path))


def data_bytes(path):
    """The bytes of all grains of 4 KiB that are not zero: what has to be written at least."""
    zero = bytes(4096)
    n_bytes = 0
    for volume in volumes_of(path):
        fd = os.open(volume, os.O_RDONLY | os.O_CLOEXEC)
        for begin, end in data_extents(fd, os.fstat(fd).st_size):
            for at, n in pieces(begin, end):
                block = os.pread(fd, n, at)
                n_bytes += sum(4096 for i in range(0, n, 4096) if block[i:i + 4096] != zero)
        os.close(fd)
    return n_bytes


def small_volumes(size):
    """1000 beside volumes of 4 GiB."""
    return max(1, size * 1000 // (4 * GIB))


@dataclasses.dataclass(frozen=True)
class Source:
    """A volume, or a folder of volumes. `build`: of world, path, size in bytes; `space`: on the
    disk, of the size."""
    what: str
    build: callable
    space: callable = lambda size: size


SOURCES = {
    "a": Source("dense, random", lambda _, path, size: build_dense(path, size)),
    "b": Source("sparse: a tenth is data, in extents of 64 KiB to 1 MiB",
                lambda _, path, size: build_sparse(path, size, size // 10), lambda size: size // 8),
    "c": Source("as b, its holes written as zeroes",
                lambda _, path, size: build_zeroed(path, size, size // 10)),
    "d": Source("an ext4 filesystem with /usr in it", build_image),
    "empty-16G": Source("16 GiB, 64 MiB of data",
                        lambda _, path, size: build_sparse(path, 16 * GIB, 64 * MIB),
                        lambda size: 64 * MIB),
    "empty-1T": Source("1 TiB, 64 MiB of data",
                       lambda _, path, size: build_sparse(path, 1024 * GIB, 64 * MIB),
                       lambda size: 64 * MIB),
    "small": Source("many volumes of 4 MiB",
                    lambda _, path, size: build_small(path, small_volumes(size))),
}
