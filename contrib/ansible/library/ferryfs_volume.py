#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ansible: a volume of ferryfs is on the wanted host."""

DOCUMENTATION = r"""
---
module: ferryfs_volume
short_description: Move a storage volume of ferryfs to a host
description:
  - Sees to it that a volume is on a host, by the files of a ferryfs mount on the managed machine.
  - What ferryfs refuses fails with its reason and changes nothing; a job that fails leaves the volume where it was.
  - In check mode C(migrate/candidates) tells whether the move would be refused. It does not know what ferryfs asks a
    disk only when it is written, such as whether somebody has the volume open.
options:
  name:
    description: The volume.
    type: str
    required: true
  host:
    description:
      - The host where it shall be. Needed unless I(state=aborted).
      - C(auto) takes the best of its candidates, wherever it is, so it moves the volume each time.
    type: str
  state:
    description:
      - C(present), it is on I(host); or C(aborted), no job moves it any more, and it is where it was before.
    type: str
    choices: [present, aborted]
    default: present
  wait:
    description: Wait until the job has ended, and fail if it has not succeeded.
    type: bool
    default: true
  timeout:
    description: Seconds to wait at most; 0 waits as long as it takes. The job goes on when they are over.
    type: int
    default: 0
  verify:
    description: Whether every byte is read back and compared. Cannot be changed while the volume moves.
    type: str
    choices: ['full', 'off']
  speed:
    description: The most bytes a second, with K, M, G or T for powers of 1024, or C(max).
    type: str
  keep:
    description: Seconds that the old copy is retained. Cannot be changed while the volume moves.
    type: int
  mount:
    description: Where ferryfs is mounted.
    type: path
    default: /run/ferryfs
notes:
  - What is not given of I(verify), I(speed) and I(keep) stays as it is; what is given also holds for later jobs.
  - The user needs to be in the group that may write the files, or root.
attributes:
  check_mode:
    support: full
    description: Nothing is written.
  diff_mode:
    support: full
    description: The host and the settings, before and after.
  platform:
    platforms: linux
    support: full
    description: The managed machine needs Python alone.
author:
  - The ferryfs project
"""

EXAMPLES = r"""
- name: db1 is on hdd
  ferryfs_volume:
    name: db1
    host: hdd

- name: db2 begins to move, slowly
  ferryfs_volume:
    name: db2
    host: hdd
    speed: 50M
    wait: false

- name: db2 has arrived, or has an hour left to
  ferryfs_volume:
    name: db2
    host: hdd
    timeout: 3600

- name: db3 stays where it is
  ferryfs_volume:
    name: db3
    state: aborted
"""

RETURN = r"""
host:
  description: Where the volume is.
  returned: always
  type: str
  sample: hdd
target:
  description: Where it goes; at rest the same as C(host).
  returned: always
  type: str
  sample: hdd
status:
  description: What the volume is now.
  returned: always
  type: str
  sample: available
result:
  description: The state of the job, or how the last one ended; C(null) if there was none.
  returned: always
  type: str
  sample: success
message:
  description: What ferryfs answered to the last request.
  returned: always
  type: str
  sample: 'accepted 17: ssd -> hdd, 5368709120 bytes'
error:
  description: What went wrong in the last job (errno, phase, offset and words), or C(null).
  returned: always
  type: str
  sample: 'EIO copying 1048576 cannot read the source: Input/output error'
stat:
  description: The numbers of the job under way, or of the last one.
  returned: always
  type: dict
  sample: {job: 17, bytes_total: 5368709120, bytes_done: 5368709120, resumes: 0}
"""

# pylint: disable=wrong-import-position
import errno  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import signal  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

SETTINGS = ("verify", "speed", "keep")


class Refused(Exception):
    """What a user has to know; the task fails with it."""


class TimedOut(Exception):
    """The alarm rang."""


def plain(word):
    """A setting as its file reads: sizes are bytes there."""
    size = re.match(r"(\d+)([KMGT]?)$", str(word).strip())
    if not size:
        return str(word).strip()
    return str(int(size.group(1)) << " KMGT".index(size.group(2) or " ") * 10)


class Volume:
    def __init__(self, mount, name):
        self.name = name
        self.folder = os.path.join(mount, name)
        if not os.path.exists(os.path.join(mount, ".control", "health")):
            raise Refused("no ferryfs is mounted at %s" % mount)
        if name.startswith(".") or "/" in name or not os.path.isdir(self.folder):
            raise Refused("there is no volume %s in %s" % (name, mount))

    def read(self, file):
        with open(os.path.join(self.folder, file), encoding="utf-8", errors="replace") as stream:
            value = stream.read().rstrip("\n")
        return None if value == "null" else value

    def has(self, file):
        return os.path.exists(os.path.join(self.folder, file))

    def write(self, file, word):
        """One write is one command. The message has the reason of a refusal, unless the kernel refused by itself."""
        try:
            descriptor = os.open(os.path.join(self.folder, file), os.O_WRONLY)
            try:
                os.write(descriptor, word.encode() + b"\n")
            finally:
                os.close(descriptor)
        except OSError as failure:
            message = self.read("migrate/message") or ""
            told = message.split(":")[0].split()
            if told[:1] != ["refused"] or getattr(errno, told[-1], None) != failure.errno:
                message = os.strerror(failure.errno)
            raise Refused("cannot write %s to %s of %s: %s" % (word, file, self.name, message)) from failure

    def is_moving(self):
        return self.read("migrate/phase") != "idle"

    def wait(self, seconds):
        """A read that blocks until no job runs. The alarm repeats: one may ring before the read has begun."""
        def ring(*_):
            raise TimedOut

        signal.signal(signal.SIGALRM, ring)
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds, 1 if seconds else 0)
            self.read("migrate/wait")
            signal.setitimer(signal.ITIMER_REAL, 0)
        except TimedOut:
            signal.setitimer(signal.ITIMER_REAL, 0)
            if self.is_moving():
                raise Refused("%s has not ended after %d s: it is %s, %s %%" % (
                    self.name, seconds, self.read("migrate/phase"), self.read("migrate/progress"))) from None

    def foretell(self, host):
        """The host that a write would choose, by the dry run."""
        for line in (self.read("migrate/candidates") or "").split("\n"):
            candidate, answer = (line.split(" ", 1) + [""])[:2]
            if host not in ("auto", candidate):
                continue
            answer = answer.rpartition(" ")[0]
            if answer != "ok":
                code, _, reason = answer.partition(" ")
                raise Refused("%s would be refused: %s: %s" % (self.name, code, reason))
            return candidate
        raise Refused("%s would be refused: ENXIO: there is no host %s" % (self.name, host))

    def facts(self):
        stat = (line.split() for line in (self.read("migrate/stat") or "").split("\n"))
        return dict(host=self.read("host"), target=self.read("migrate/target"), status=self.read("status"),
                    result=self.read("migrate/status"), message=self.read("migrate/message"),
                    error=self.read("migrate/error"), stat={pair[0]: int(pair[1]) for pair in stat if len(pair) == 2})


def apply_settings(volume, wanted, dry, diff):
    for file in SETTINGS:
        if wanted[file] is None:
            continue
        if not volume.has("migrate/" + file):
            raise Refused("this ferryfs has no migrate/%s" % file)
        was, word = volume.read("migrate/" + file), plain(wanted[file])
        if was == word:
            continue
        if not dry:
            volume.write("migrate/" + file, word)
        diff["before"][file], diff["after"][file] = was, word


def move(volume, host, dry, diff):
    if volume.read("migrate/target") == host:
        return
    was = volume.read("host")
    if dry:
        host = volume.foretell(host)
    else:
        volume.write("migrate/target", host)
        host = volume.read("migrate/target")
    diff["before"]["host"], diff["after"]["host"] = was, host


def abort(volume, dry, diff):
    if not volume.is_moving() or volume.read("migrate/abort") == "1":
        return
    target, host = volume.read("migrate/target"), volume.read("host")
    if not dry:
        volume.write("migrate/abort", "1")
    diff["before"]["target"], diff["after"]["target"] = target, host


def check_arrived(volume, host):
    """Where `auto` led is known no more: how the job ended is. Else only the host counts: an old job may have failed."""
    result, is_on = volume.read("migrate/status"), volume.read("host")
    if result != "success" if host == "auto" else is_on != host:
        raise Refused("%s is on %s, not on %s: %s: %s" % (
            volume.name, is_on, host, result, volume.read("migrate/error") or volume.read("migrate/message")))


def work(volume, wanted, dry, diff):
    if wanted["state"] == "aborted":
        abort(volume, dry, diff)
    else:
        apply_settings(volume, wanted, dry, diff)
        move(volume, wanted["host"], dry, diff)
    if not wanted["wait"] or dry:
        return
    volume.wait(wanted["timeout"])
    if wanted["state"] == "present":
        check_arrived(volume, wanted["host"])


def reason(failure):
    if isinstance(failure, OSError):
        return "cannot use %s: %s" % (failure.filename or "ferryfs", failure.strerror)
    return str(failure)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            host=dict(type="str"),
            state=dict(type="str", choices=["present", "aborted"], default="present"),
            wait=dict(type="bool", default=True),
            timeout=dict(type="int", default=0),
            verify=dict(type="str", choices=["full", "off"]),
            speed=dict(type="str"),
            keep=dict(type="int"),
            mount=dict(type="path", default="/run/ferryfs")),
        required_if=[("state", "present", ("host",))],
        supports_check_mode=True)
    name, facts, failure = module.params["name"], {}, None
    diff = dict(before={}, after={}, before_header=name, after_header=name)
    try:
        volume = Volume(module.params["mount"], name)
        try:
            work(volume, module.params, module.check_mode, diff)
        finally:
            facts = volume.facts()
    except (Refused, OSError) as error:
        failure = reason(error)
    if failure:
        module.fail_json(msg=failure, changed=bool(diff["after"]), diff=diff, **facts)
    module.exit_json(changed=bool(diff["after"]), diff=diff, **facts)


if __name__ == "__main__":
    main()
