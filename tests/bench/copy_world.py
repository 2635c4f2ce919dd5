"""The folder that a benchmark works in, and the running of commands in it."""
import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BENCH = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(BENCH))
MIB = 1 << 20
GIB = 1 << 30

# Command -> Debian package: what only the benchmark needs
PACKAGES = {"fio": "fio", "gnuplot": "gnuplot-nox", "nbdcopy": "libnbd-bin", "nbdkit": "nbdkit",
            "qemu-img": "qemu-utils", "rsync": "rsync", "mkfs.xfs": "xfsprogs",
            "mkfs.ext4": "e2fsprogs", "losetup": "mount", "cc": "gcc"}


class Failure(Exception):
    """What ends the benchmark, as a sentence."""


class TooSlow(Exception):
    """A command was ended because it took longer than it was given."""


@dataclasses.dataclass
class Cost:
    """What one run of a command took."""
    wall_s: float
    cpu_s: float
    rss_bytes: int
    server_cpu_s: float = 0.0


def say(text):
    print(text, file=sys.stderr, flush=True)


def install_missing(packages=None):
    missing = sorted({package for program, package in (packages or PACKAGES).items()
                      if not shutil.which(program)})
    if not missing:
        return
    say(f"installing what the benchmark needs: {' '.join(missing)}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    try:
        subprocess.run(["apt-get", "update", "-qq"], env=env, check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
                       env=env, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as e:
        raise Failure(f"please install them by hand: {' '.join(missing)} ({e})") from e


def check_disk(place):
    kind = command(["stat", "-f", "-c", "%T", place]).strip()
    if kind == "tmpfs":
        raise Failure(f"{place} is memory: give a folder on a disk")
    if "ext" not in kind:
        say(f"{place} is {kind}; the goals were set on ext4")


def gib(n_bytes):
    return f"{n_bytes / GIB:.1f} GiB"


class World:
    """A fresh folder, and whatever is mounted or attached in it; leaving takes all of it away."""
    prefix = "ferrycopy-bench."

    def __init__(self, place):
        self.place = place
        self.root = None
        self.build = None
        self.binaries = None
        self._exit = contextlib.ExitStack()

    def __enter__(self):
        self.check_place()
        self.root = tempfile.mkdtemp(prefix=self.prefix, dir=self.place)
        self._exit.callback(shutil.rmtree, self.root, ignore_errors=True)
        return self

    def __exit__(self, *what):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        return self._exit.__exit__(*what)

    def check_place(self):
        check_disk(self.place)

    def path(self, *names):
        return os.path.join(self.root, *names)

    def at_exit(self, *argv):
        """A command that takes something away; it may be gone by then."""
        self._exit.callback(subprocess.run, argv, check=False, stderr=subprocess.DEVNULL)

    def mount(self, image, folder):
        """A filesystem in a file; unmounting detaches its device."""
        os.mkdir(folder)
        device = self.attach(image)
        self.at_exit("umount", folder)
        command(["mount", "-o", "nodiscard", device, folder])
        detach(device)

    def attach(self, path):
        # By the file, when it ends early: once detached, the device may be somebody else's
        self.at_exit("sh", "-c", 'losetup -nO NAME -j "$0" | xargs -r losetup --detach', path)
        return attach(path)

    def check_space(self, needed):
        place = os.statvfs(self.root)
        free = place.f_bavail * place.f_frsize
        say(f"needs {gib(needed)} in {self.place}, {gib(free)} are free")
        if free < needed:
            raise Failure(f"too little space in {self.place}")

    def build_helper(self):
        command(["cc", "-O2", "-D_GNU_SOURCE", "-o", self.path("measure"), f"{BENCH}/measure.c"])

    def find_ferrycopy(self, build):
        """Put the command under test where the tools look first."""
        if not build:
            build = self.path("build")
            say("building ferrycopy, optimised")
            command(["meson", "setup", build, TOP, "--buildtype=release"])
            command(["ninja", "-C", build, "copy/ferrycopy", "copy/copy-worker", "fs/ferryfs"])
        self.build = os.path.realpath(build)
        self.binaries = os.path.join(self.build, "copy")
        if not os.access(os.path.join(self.binaries, "ferrycopy"), os.X_OK):
            raise Failure(f"{self.binaries}/ferrycopy is not built")

    def environment(self, variables):
        path = os.environ["PATH"]
        if self.binaries:
            path = f"{self.binaries}:{path}"
        return dict(os.environ, PATH=path, LC_ALL="C", **variables)

    def start(self, argv, variables, name):
        """A process in a group of its own; what it says goes to a log."""
        with open(self.path(f"{name}.log"), "wb") as log:
            process = subprocess.Popen(argv, env=self.environment(variables),
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True)
        self._exit.callback(end_if_alive, process)
        return process

    def load_program(self, script):
        """Its first word into the page cache: the loading of a program is not what is measured."""
        for program in (script.split()[0], "sync", "sh"):
            subprocess.run([program, "--version"], env=self.environment({}),
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)

    def log_of(self, name):
        with open(self.path(f"{name}.log"), errors="replace") as log:
            return log.read()

    def measure(self, script, variables, patience_s):
        """Run a shell script, which splits no variable at blanks; raises TooSlow, or Failure."""
        result = self.path("cost")
        process = self.start([self.path("measure"), result, "sh", "-ec", "IFS=; " + script],
                             variables, "command")
        try:
            status = process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired as e:
            raise TooSlow from e
        finally:
            if process.returncode is None:
                end_group(process)
        if status != 0:
            raise Failure(f"exit status {status}: {self.log_of('command').strip()[-500:]}")
        with open(result) as line:
            wall_ns, user_us, system_us, rss_kib = map(int, line.read().split())
        return Cost(wall_ns / 1e9, (user_us + system_us) / 1e6, rss_kib * 1024)


def end_group(process):
    """SIGKILL to all of a group, until its first process is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_if_alive(process):
    """Of one that was not waited for: its number is still its own."""
    if process.poll() is None:
        end_group(process)


def command(argv):
    """Run what only has to succeed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(argv)}: {(done.stdout + done.stderr).strip()[-500:]}")
    return done.stdout


def attach(path):
    """A loop device on a file, with direct I/O; writable, whatever BLKROSET has left of it."""
    device = command(["losetup", "--find", "--show", "--direct-io=on", path]).strip()
    command(["blockdev", "--setrw", device])
    return device


def detach(device):
    command(["losetup", "--detach", device])


def until_true(what, condition, limit_s=60.0, pause_s=0.002):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"not true in {limit_s:.0f} s: {what}")
        time.sleep(pause_s)


def quiet_disk(path):
    """All that was written is on the disk, and the disk has nothing more to do: no late discard."""
    device = os.stat(path).st_dev
    stat = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat"
    os.sync()
    if not os.path.exists(stat):
        return
    before = None
    end = time.monotonic() + 2
    while time.monotonic() < end:
        with open(stat) as f:
            now = f.read().split()
        # Field 9: requests in flight; the others count what was done
        if now == before and now[8] == "0":
            return
        before = now
        time.sleep(0.05)


def drop_caches():
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3\n")


def read_through(path):
    """Into the page cache."""
    buffer = bytearray(4 * MIB)
    with open(path, "rb", buffering=0) as f:
        while f.readinto(buffer):
            pass
