"""Readers of a volume see each of its states whole."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from testcluster.kubelet.atomic import write_volume
from testcluster.kubelet.payload import File


def files(**content: str) -> dict[str, File]:
    return {name.replace("__", "/"): File(text.encode(), 0o640) for name, text in content.items()}


def write(folder: Path, **content: str) -> bool:
    return write_volume(folder, files(**content))


def seen(folder: Path) -> dict[str, str]:
    """What a reader finds, by the names that it knows."""
    names = [path for path in folder.rglob("*") if not path.relative_to(folder).parts[0].startswith("..")]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in names if path.is_file()}


def test_a_volume_holds_what_was_written_last(tmp_path: Path) -> None:
    """New, changed and removed files, in folders too; only a difference is written."""
    assert write(tmp_path, a="1", b="2", sub__c="3")
    assert seen(tmp_path) == {"a": "1", "b": "2"}
    assert (tmp_path / "sub" / "c").read_text() == "3"
    assert not write(tmp_path, a="1", b="2", sub__c="3")
    assert write(tmp_path, a="1", d="4")
    assert seen(tmp_path) == {"a": "1", "d": "4"}
    assert not (tmp_path / "sub").is_symlink()


def test_an_empty_volume_is_a_state_too(tmp_path: Path) -> None:
    """Nothing, then something, then nothing."""
    assert write(tmp_path)
    assert write(tmp_path, a="1")
    assert write(tmp_path)
    assert seen(tmp_path) == {}


def test_nothing_stays_of_earlier_states(tmp_path: Path) -> None:
    """One folder, and one link to it."""
    for number in range(5):
        write(tmp_path, a=str(number))
    assert sorted(path.name.startswith("..") for path in tmp_path.iterdir()) == [False, True, True]


def test_files_have_their_modes_and_the_group_reads_them(tmp_path: Path) -> None:
    """Without a group, the mode is as it was asked for."""
    write_volume(tmp_path, {"a": File(b"", 0o200)}, group=os.getgid())
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_reader_never_sees_a_mixture(tmp_path: Path) -> None:
    """Whoever takes the folder of the moment finds files that were written together."""
    write(tmp_path, a="0", b="0")

    def content(name: str, folder: int) -> bytes:
        file = os.open(name, os.O_RDONLY, dir_fd=folder)
        try:
            return os.read(file, 100)
        finally:
            os.close(file)

    def look() -> set[tuple[bytes, bytes]]:
        pairs = set()
        for _ in range(500):
            folder = os.open(tmp_path / "..data", os.O_RDONLY | os.O_DIRECTORY)
            try:
                pairs.add((content("a", folder), content("b", folder)))
            except FileNotFoundError:
                # The state was replaced, and is taken away as a whole or in part.
                continue
            finally:
                os.close(folder)
        return pairs

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        number = 0
        while not looking.done():
            number += 1
            write(tmp_path, a=str(number), b=str(number))
    assert all(one == two for one, two in looking.result())
