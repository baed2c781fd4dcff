"""Become a container's process: enter namespaces, lay out its files, take its identity, run its program.

A program of its own that needs the standard library alone, because it is started once for each container and each
command in one: ``launch.py create SPEC`` or ``launch.py join SPEC COMMAND...``. What fails is written to the file
descriptor that SPEC names; nothing is written there once the program runs.
"""

# Neither pathlib nor shutil: they take longer to import than all the rest takes to do.

from __future__ import annotations

import ctypes
import json
import os
import stat
import sys
from collections.abc import Sequence
from typing import NamedTuple

_NEWNS, _NEWUTS, _NEWIPC, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_DETACH = 2
_SET_PDEATHSIG, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 1, 24, 38
_SIGKILL = 9
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
# The machine's files while the container's are laid out.
_OLD = "/.machine"

_libc = ctypes.CDLL(None, use_errno=True)


class Identity(NamedTuple):
    """As whom a program runs; ``capabilities`` are the numbers of those that it may ever have."""

    user: int = 0
    group: int = 0
    groups: Sequence[int] = ()
    capabilities: Sequence[int] = ()
    no_new_privileges: bool = False


class Mount(NamedTuple):
    """A folder or file of the machine, seen in the container at ``target``."""

    source: str
    target: str
    read_only: bool = False


class Create(NamedTuple):
    """A new container.

    ``scratch`` is the folder that its changes are mounted on, ``netns`` the path of its network namespace ("" for that
    of the caller), ``layers`` folders that it sees beside those of the machine's own file system, ``opened`` folders
    that everybody may pass through, ``files`` pairs of path and text.
    """

    scratch: str
    netns: str
    hostname: str
    sysctls: Sequence[Sequence[str]]
    layers: Sequence[str]
    opened: Sequence[str]
    files: Sequence[Sequence[str]]
    mounts: Sequence[Mount]
    read_only: bool
    identity: Identity
    environment: dict[str, str]
    folder: str
    command: Sequence[str]
    told: int


class Join(NamedTuple):
    """A further program in the container whose process is ``pid``."""

    pid: int
    identity: Identity
    environment: dict[str, str]
    folder: str


def create(spec: Create) -> None:
    """Make the container and become its process. Raises OSError."""
    if spec.netns:
        _enter(spec.netns, _NEWNET)
        for name, value in spec.sysctls:
            with open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
                file.write(value)
    _call("unshare", _NEWNS | _NEWUTS | _NEWIPC)
    if spec.hostname:
        hostname = spec.hostname.encode()
        _call("sethostname", hostname, len(hostname))
    _mount("", "/", "", _REC | _PRIVATE)
    program = _program(spec.command[0])
    root = _layered_root(spec.scratch, spec.layers)
    # While links still lead where the machine means them to.
    mounts = [mount._replace(source=_OLD + os.path.realpath(mount.source)) for mount in spec.mounts]
    os.mkdir(root + _OLD)
    if _libc.syscall(_PIVOT_ROOT[os.uname().machine], root.encode(), (root + _OLD).encode()):
        raise _failure("pivot_root")
    os.chdir("/")
    for path in spec.opened:
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | 0o111)  # noqa: S103 - in the container's layer only
    for path, text in spec.files:
        _write(path, text)
    for mount in mounts:
        _bind(mount)
    _call("umount2", _OLD.encode(), _DETACH)
    os.rmdir(_OLD)
    if spec.read_only:
        _mount("", "/", "", _REMOUNT | _BIND | _RDONLY)
        for path in ("/tmp", "/run"):  # noqa: S108 - the container's own
            _mount("", path, "", _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
        for path in spec.layers:
            _mount("", path, "", _REMOUNT | _BIND | _RDONLY)
    _become(spec.identity, spec.environment, spec.folder, spec.command, program, is_bound=True)


def join(spec: Join, command: Sequence[str]) -> None:
    """Enter a container and become a further process of it. Raises OSError."""
    # All are opened first: from inside the container the machine's processes have other paths.
    kinds = (("ns/ipc", _NEWIPC), ("ns/uts", _NEWUTS), ("ns/net", _NEWNET), ("ns/mnt", _NEWNS))
    opened = [(os.open(f"/proc/{spec.pid}/{name}", os.O_RDONLY), kind) for name, kind in kinds]
    root = os.open(f"/proc/{spec.pid}/root", os.O_RDONLY)
    for descriptor, kind in opened:
        _call("setns", descriptor, kind)
        os.close(descriptor)
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    _become(spec.identity, spec.environment, spec.folder, command, is_bound=False)


def _layered_root(scratch: str, layers: Sequence[str]) -> str:
    """The machine's files with a layer above them that takes all changes; the path of what both make."""
    _mount("tmpfs", scratch, "tmpfs", 0, "mode=0755")
    root = f"{scratch}/root"
    os.mkdir(root, 0o755)
    _layer("/", f"{scratch}/0", root)
    _mount("/dev", root + "/dev", "", _BIND | _REC)
    _mount("tmpfs", root + "/dev/shm", "tmpfs", _NOSUID | _NODEV, "mode=1777")  # noqa: S108 - the container's own
    _mount("proc", root + "/proc", "proc", 0)
    _mount("sysfs", root + "/sys", "sysfs", 0)
    _mount("tmpfs", root + "/tmp", "tmpfs", _NOSUID | _NODEV, "mode=1777")  # noqa: S108 - likewise
    _mount("tmpfs", root + "/run", "tmpfs", _NOSUID | _NODEV, "mode=0755")
    for number, folder in enumerate(layers, 1):
        os.makedirs(root + folder, exist_ok=True)
        _layer(folder, f"{scratch}/{number}", root + folder)
    return root


def _layer(below: str, scratch: str, target: str) -> None:
    upper, work = f"{scratch}/upper", f"{scratch}/work"
    os.makedirs(upper, 0o755)
    os.mkdir(work, 0o755)
    _mount("overlay", target, "overlay", 0, f"lowerdir={below},upperdir={upper},workdir={work}")


def _bind(mount: Mount) -> None:
    if os.path.isdir(mount.source):
        os.makedirs(mount.target, exist_ok=True)
    elif not os.path.exists(mount.target):
        os.makedirs(os.path.dirname(mount.target), exist_ok=True)
        with open(mount.target, "wb"):
            pass
    _mount(mount.source, mount.target, "", _BIND | _REC)
    if mount.read_only:
        _mount("", mount.target, "", _REMOUNT | _BIND | _RDONLY)


def _write(path: str, text: str) -> None:
    # The machine's own may be a link to somewhere else.
    if os.path.islink(path):
        os.unlink(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _become(
    identity: Identity,
    environment: dict[str, str],
    folder: str,
    command: Sequence[str],
    hidden: int | None = None,
    *,
    is_bound: bool,
) -> None:
    """Run the program; one that ``is_bound`` ends when the process that started it does.

    ``hidden`` is the program as it was before the container's volumes, if it was there.
    """
    for descriptor in (1, 2):
        # So that /dev/stdout can be opened, which is how many programs write their logs.
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.fchown(descriptor, identity.user, identity.group)
    # Bytes: a volume may hide the folder from which Python would load another codec now.
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        last = int(file.read())
    for capability in range(last + 1):
        if capability not in identity.capabilities:
            _call("prctl", _CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups(identity.groups)
    os.setresgid(identity.group, identity.group, identity.group)
    os.setresuid(identity.user, identity.user, identity.user)
    if identity.no_new_privileges:
        _call("prctl", _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if is_bound:
        # After the change of user, which forgets it.
        _call("prctl", _SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    os.chdir(folder)
    program: str | int = command[0]
    if "/" not in command[0]:
        program = _found(command[0], environment.get("PATH", os.defpath))
    elif hidden is not None and not os.path.exists(command[0]):
        program = hidden
    os.execve(program, list(command), environment)


def _program(path: str) -> int | None:
    """A program of the machine, opened; None if the path is none of one.

    What is in an image is there whatever volumes a container has, but what stands for it here may be in somebody's
    home folder, whose place a volume takes.
    """
    try:
        return os.open(path, os.O_RDONLY) if os.path.isabs(path) else None
    except OSError:
        return None


def _found(program: str, path: str) -> str:
    for folder in path.split(os.pathsep):
        candidate = os.path.join(folder, program)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError(2, f"{program}: not found in {path}")


def _enter(path: str, kind: int) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    _call("setns", descriptor, kind)
    os.close(descriptor)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode() or None):
        raise _failure(f"mount {target}")


def _call(function: str, *arguments: bytes | int) -> None:
    if getattr(_libc, function)(*arguments):
        raise _failure(function)


def _failure(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def encoded(spec: Create | Join) -> str:
    """A spec as this program reads it."""
    return json.dumps(spec)


def _created(text: str) -> Create:
    spec = Create(*json.loads(text))
    return spec._replace(identity=Identity(*spec.identity), mounts=[Mount(*mount) for mount in spec.mounts])


def _joined(text: str) -> Join:
    spec = Join(*json.loads(text))
    return spec._replace(identity=Identity(*spec.identity))


def main(arguments: Sequence[str]) -> None:
    """Do what the arguments say; returns only if that failed, after having told why."""
    mode, path, *command = arguments
    with open(path, encoding="utf-8") as file:
        text = file.read()
    told = 2
    try:
        if mode == "create":
            spec = _created(text)
            told = spec.told
            os.set_inheritable(told, False)
            create(spec)
        else:
            join(_joined(text), command)
    except (OSError, KeyError) as error:
        os.write(told, f"{error.strerror if isinstance(error, OSError) else error}: {' '.join(command)}".encode())


if __name__ == "__main__":
    main(sys.argv[1:])
    # What a shell answers to a command that cannot be run.
    sys.exit(126)
