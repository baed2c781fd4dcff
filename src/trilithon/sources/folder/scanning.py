"""Find the manifests that paths mean, and read them without being led astray.

A folder stands for every ``.yaml``, ``.yml`` and ``.json`` file in it and in the folders below; hidden names (starting
with ".") and editors' backups are passed over. A file named by itself is read whatever its name is.

A symbolic link inside a folder may lead to another place in that folder (a ConfigMap mount is built of such links) and
is followed once; one that leads outside is refused, because whoever may write into the folder would otherwise read any
file that we may read. FIFOs, sockets and devices are never opened.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

# Ten thousand routes of 1 kB. A larger file is a mistake, and would hold the event loop for seconds.
MAX_FILE_BYTES = 10 * 1024 * 1024
# A file changed this shortly before it was read may change again within the same tick of its timestamp.
RACY_NANOSECONDS = 50_000_000

_SUFFIXES = (".yaml", ".yml", ".json")
Signature = tuple[int, int, int]
UNKNOWN: Signature = (0, 0, 0)
_DESCRIPTORS = Path("/proc/self/fd")


class Refusal(Struct, frozen=True, gc=False):
    """Why a file was not read."""

    code: str
    message: str
    hint: str = ""


class Found(Struct, frozen=True, gc=False):
    """A manifest: where it really is, by which root and in which real folder it must lie, or why it may not be read."""

    real: Path
    root: int
    within: Path | None
    refusal: Refusal | None = None


class Folder(Struct, frozen=True, gc=False):
    """A folder that is listed: its path as the user would write it, its root, and that root's real path."""

    shown: Path
    root: int
    within: Path


class Scan(Struct, frozen=True):
    """What the roots hold now; the keys of ``files`` are paths as the user would write them."""

    files: dict[str, Found]
    # Real folders that were listed, each as its entries are shown, and the symbolic links met in them.
    folders: dict[Path, Folder]
    links: frozenset[Path]
    # Roots that do not exist, by position, and folders that exist but cannot be listed.
    missing: frozenset[int]
    closed: dict[str, Refusal]


class Contents(Struct, frozen=True, gc=False):
    """A file's bytes. ``signature`` equal to an earlier one means unchanged, unless it is UNKNOWN."""

    data: bytes
    signature: Signature
    inode: int


def is_manifest_name(name: str) -> bool:
    """Whether a file of this name in a folder is read."""
    return name.lower().endswith(_SUFFIXES) and not name.startswith((".", "#", "~"))


def scan(roots: Iterable[Path]) -> Scan:
    """List the manifests; a file reached by several paths counts once, by its own path before any link."""
    walk = _Walk()
    for position, root in enumerate(roots):
        walk.add_root(position, root)
    return Scan(walk.files, walk.folders, frozenset(walk.links), frozenset(walk.missing), walk.closed)


class _Walk:
    """One scan in progress."""

    def __init__(self) -> None:
        self.files: dict[str, Found] = {}
        self.folders: dict[Path, Folder] = {}
        self.links: set[Path] = set()
        self.missing: set[int] = set()
        self.closed: dict[str, Refusal] = {}
        self._seen: set[Path] = set()

    def add_root(self, position: int, root: Path) -> None:
        try:
            real = root.resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError):
            self.missing.add(position)
            return
        except (OSError, RuntimeError) as error:
            # It may well be there: what it held stays.
            self.closed[str(root)] = Refusal("FolderUnreadable", f"cannot be read: {error}")
            return
        if not _is_folder(real):
            self._add_file(str(root), Found(real, position, None, refusal_of_kind(real)))
            return
        # Links wait until every real path is known, so that a file is shown by its own path.
        waiting = self._list(Folder(root, position, real), real)
        for shown, link in waiting:
            target = _resolved(link)
            if target is not None and _is_folder(target):
                if target.is_relative_to(real):
                    waiting += self._list(Folder(shown, position, real), target)
                else:
                    self.closed[str(shown)] = _outside(target)
            elif is_manifest_name(shown.name):
                self._add_file(str(shown), _found_by_link(position, link, target, real))

    def _list(self, folder: Folder, real: Path) -> list[tuple[Path, Path]]:
        """Add the manifests of a folder and those below; the links met, as shown and as they are."""
        links: list[tuple[Path, Path]] = []
        waiting = [(folder.shown, real)]
        while waiting:
            above, real = waiting.pop()
            for name, kind in self._entries(Folder(above, folder.root, folder.within), real):
                shown, path = above / name, real / name
                if kind == stat.S_IFLNK:
                    links.append((shown, path))
                elif kind == stat.S_IFDIR:
                    waiting.append((shown, path))
                elif is_manifest_name(name):
                    refusal = None if kind == stat.S_IFREG else refusal_of_kind(path)
                    self._add_file(str(shown), Found(path, folder.root, folder.within, refusal))
        self.links.update(path for _, path in links)
        return sorted(links)

    def _entries(self, folder: Folder, real: Path) -> list[tuple[str, int]]:
        """What a folder holds that is not hidden, with its kind; nothing for a folder that was listed before."""
        if real in self._seen:
            return []
        self._seen.add(real)
        try:
            with os.scandir(real) as listing:
                found = sorted((entry.name, _kind(entry)) for entry in listing if not entry.name.startswith("."))
        except OSError as error:
            self.closed[str(folder.shown)] = Refusal("FolderUnreadable", f"cannot list the folder: {error.strerror}")
            return []
        self.folders[real] = folder
        for name, kind in found:
            # A line break in a name would forge lines of the log; bytes that are not UTF-8 cannot be printed at all.
            if not name.isprintable() and (kind == stat.S_IFDIR or is_manifest_name(name)):
                shown = str(folder.shown / ascii(name)[1:-1])
                self.closed[shown] = Refusal("FileUnreadable", "its name holds characters that cannot be shown")
        return [(name, kind) for name, kind in found if name.isprintable()]

    def _add_file(self, shown: str, found: Found) -> None:
        if found.refusal or found.real not in self._seen:
            self._seen.add(found.real)
            self.files.setdefault(shown, found)


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return None


def _found_by_link(position: int, link: Path, target: Path | None, root: Path) -> Found:
    if target is None:
        return Found(link, position, root, Refusal("FileUnreadable", "a symbolic link that leads nowhere"))
    if not target.is_relative_to(root):
        return Found(link, position, root, _outside(target))
    return Found(target, position, root, refusal_of_kind(target))


def _outside(target: Path) -> Refusal:
    message = f"a symbolic link to {target}, outside the folder"
    return Refusal("OutsideFolder", message, "copy the file into the folder, or name it on the command line")


def refusal_of_kind(path: Path) -> Refusal | None:
    """Why a file of this kind is not opened; None for an ordinary one."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return _cannot_read(error)
    kinds = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    kind = kinds.get(stat.S_IFMT(mode))
    return Refusal("NotAFile", f"a {kind}, not a file: not opened") if kind else None


def _cannot_read(error: OSError) -> Refusal:
    return Refusal("FileUnreadable", f"cannot read the file: {error.strerror or error}")


def signature_of(path: Path) -> Signature:
    """A file's time of change, size and inode: a cheap first test when looking again."""
    try:
        status = path.lstat()
    except OSError:
        return UNKNOWN
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_manifest(path: Path, within: Path | None, max_bytes: int) -> Contents | Refusal:
    """Read an ordinary file by its real path.

    The path was examined earlier, so everything is tested again on what was really opened: that it is an ordinary file,
    that it is small enough, and, with ``within``, that it lies in that real folder.
    """
    opened = _opened(path, within)
    if isinstance(opened, Refusal):
        return opened
    try:
        return _read_opened(opened, max_bytes)
    except OSError as error:
        return _cannot_read(error)
    finally:
        os.close(opened)


def read_part(path: Path, within: Path | None, start: int, size: int) -> bytes:
    """Some bytes of a file that is opened with the same care; fewer or none where it has them no more."""
    opened = _opened(path, within)
    if isinstance(opened, Refusal):
        return b""
    try:
        return os.pread(opened, size, start)
    except OSError:
        return b""
    finally:
        os.close(opened)


def _opened(path: Path, within: Path | None) -> int | Refusal:
    """A descriptor of an ordinary file, which the caller closes."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Refusal("FileUnreadable", "became a symbolic link while it was read")
        return _cannot_read(error)
    try:
        refusal = _refusal_of_opened(descriptor, within)
    except OSError as error:
        refusal = _cannot_read(error)
    if refusal is not None:
        os.close(descriptor)
    return refusal or descriptor


def _refusal_of_opened(descriptor: int, within: Path | None) -> Refusal | None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return Refusal("NotAFile", "not an ordinary file")
    if within is not None and _DESCRIPTORS.exists():
        target = (_DESCRIPTORS / str(descriptor)).readlink()
        if not target.is_relative_to(within):
            return _outside(target)
    return None


def _read_opened(descriptor: int, max_bytes: int) -> Contents | Refusal:
    status = os.fstat(descriptor)
    if status.st_size > max_bytes:
        return _too_large(status.st_size, max_bytes)
    with open(descriptor, "rb", closefd=False) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        return _too_large(len(data), max_bytes)
    signature = (status.st_mtime_ns, status.st_size, status.st_ino)
    is_settled = len(data) == status.st_size and time.time_ns() - status.st_mtime_ns > RACY_NANOSECONDS
    return Contents(data, signature if is_settled else UNKNOWN, status.st_ino)


def _too_large(size: int, max_bytes: int) -> Refusal:
    message = f"{size:,} bytes, more than the {max_bytes:,} that are read"
    return Refusal("FileTooLarge", message, "split it into several files")
