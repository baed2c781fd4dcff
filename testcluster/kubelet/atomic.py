"""Write the files of a volume so that its readers see all of a change at once, or none of it.

The layout is the kubelet's own: the files are in a folder ``..TIME``, ``..data`` is a link to it, and each name of the
volume is a link to ``..data/NAME``; a change is a new folder and one rename of ``..data``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

from testcluster.kubelet.payload import Files

_DATA = "..data"


def write_volume(folder: Path, files: Files, user: int | None = None, group: int | None = None) -> bool:
    """Make the volume hold exactly these files; whether that changed anything. Raises OSError.

    They belong to ``user`` and ``group``, or to us; a ``group``, that of ``fsGroup``, may also read them.
    """
    if _held(folder) == {path: file.content for path, file in files.items()}:
        return False
    made = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    made.chmod(0o755)
    for path, file in files.items():
        target = made / PurePosixPath(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode if group is None else file.mode | 0o440)
        os.chown(target, -1 if user is None else user, -1 if group is None else group)
    before = _current(folder)
    fresh = folder / f"{_DATA}_tmp"
    fresh.symlink_to(made.name)
    fresh.rename(folder / _DATA)
    _link_names(folder, {PurePosixPath(path).parts[0] for path in files})
    if before is not None:
        shutil.rmtree(before, ignore_errors=True)
    return True


def _link_names(folder: Path, names: set[str]) -> None:
    for name in names:
        with suppress(FileExistsError):
            (folder / name).symlink_to(f"{_DATA}/{name}")
    for link in folder.iterdir():
        if link.is_symlink() and link.name != _DATA and link.name not in names:
            link.unlink()


def _current(folder: Path) -> Path | None:
    with suppress(FileNotFoundError):
        return folder / (folder / _DATA).readlink()
    return None


def _held(folder: Path) -> dict[str, bytes] | None:
    current = _current(folder)
    if current is None:
        return None
    return {path.relative_to(current).as_posix(): path.read_bytes() for path in current.rglob("*") if path.is_file()}
