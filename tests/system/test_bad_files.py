"""A file's mistake costs what it holds and nothing else, is named with file and line everywhere, and can be mended."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import trustme

from tests.system.client import fetch
from tests.system.harness import Command, SteadyLoad, backends, free_port, serves, status_of, until
from tests.system.manifests import (
    Folder,
    backend,
    endpoints,
    gateway,
    listener,
    prefix,
    route,
    rule,
    secret,
    service,
    tls_listener,
    to,
)
from tests.system.program import TRILITHON, Program, serving, trilithon
from trilithon.inspect.overview import Overview, ProblemView

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


class Sort(msgspec.Struct, frozen=True):
    """A sort of broken file: what makes it, the problem's code, its line, and what mends it."""

    make: Callable[[Folder], object]
    code: str
    line: int | None
    mend: Callable[[Folder], object]
    file: str = "bad.yaml"


def text(what: str, code: str, line: int) -> Sort:
    """A file whose text is wrong at a line."""
    return Sort(lambda folder: folder.write("bad.yaml", what), code, line, lambda folder: folder.remove("bad.yaml"))


HEAD = """apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  namespace: demo
  name: bad
spec:
  parentRefs: [{name: gw}]
  hostnames: [bad.test]
"""


def big(folder: Folder) -> None:
    """100 MB that nobody should read, all of it zeros."""
    with (folder.path / "bad.yaml").open("wb") as file:
        file.truncate(100_000_000)


def outside(folder: Folder) -> None:
    """A link to a file that the one who wrote the folder may not be able to read."""
    (folder.path / "bad.yaml").symlink_to(__file__)


def away(folder: Folder) -> None:
    """The bad file goes."""
    folder.remove("bad.yaml")


PORTS = [free_port() for _ in range(3)]
CA = trustme.CA()
SORTS = {
    "syntax": text(f"{HEAD}  rules: [\n", "YAMLSyntax", 9),
    "unknown kind": text(HEAD.replace("HTTPRoute", "HTTPRuote"), "UnknownKind", 2),
    "wrong type": text(f"{HEAD}  rules:\n  - timeouts: 5\n", "WrongType", 10),
    "missing Service": Sort(
        lambda folder: folder.write("bad.yaml", f"{HEAD}  rules:\n  - backendRefs:\n    - {{name: gone, port: 80}}\n"),
        "BackendNotFound",
        11,
        lambda folder: folder.write("gone.yaml", service("gone"), *endpoints("gone", 9)),
    ),
    "missing Secret": Sort(
        lambda folder: folder.write("bad.yaml", gateway(tls_listener(PORTS[1], "tls", "gone"), name="x")),
        "InvalidCertificateRef",
        17,
        lambda folder: folder.write("gone.yaml", secret("gone", CA.issue_cert("a.test"))),
    ),
    "regex too big": text(
        HEAD + "  rules:\n  - matches:\n    - path: {type: RegularExpression, value: '/(abcdefghijk){900}'}\n",
        "UnsupportedValue",
        11,
    ),
    "duplicate object": Sort(
        lambda folder: folder.write("z-bad.yaml", route("good", rule(to("nobody")))),
        "DuplicateObject",
        1,
        lambda folder: folder.remove("z-bad.yaml"),
        "z-bad.yaml",
    ),
    "conflicting listeners": Sort(
        lambda folder: folder.write(
            "bad.yaml", gateway(listener(PORTS[1], "one"), tls_listener(PORTS[1], "two", "x"), name="x")
        ),
        "ProtocolConflict",
        11,
        lambda folder: folder.write("bad.yaml", gateway(listener(PORTS[1], "one"), name="x")),
    ),
    "100 MB": Sort(big, "FileTooLarge", None, away),
    "FIFO": Sort(lambda folder: os.mkfifo(folder.path / "bad.yaml"), "NotAFile", None, away),
    "symlink out of the folder": Sort(outside, "OutsideFolder", None, away),
    "not UTF-8": Sort(lambda folder: (folder.path / "bad.yaml").write_bytes(b"kind: \xff\n"), "YAMLSyntax", 1, away),
    "alias bomb": text(
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
        "YAMLLimit",
        1,
    ),
    "python tag": text("!!python/object/apply:os.system ['true']\n", "YAMLSyntax", 1),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def program(shared_folder: Folder, shared_runtime: Path) -> AsyncIterator[Program]:
    """The program over a folder with one good route."""
    async with backends("a") as servers:
        shared_folder.write("gateway.yaml", gateway(listener(PORTS[0])))
        shared_folder.write("good.yaml", route("good", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(shared_folder, shared_runtime) as started:
            yield started


@pytest.mark.parametrize("sort", [pytest.param(sort, id=name) for name, sort in SORTS.items()])
async def test_one_broken_file(program: Program, shared_folder: Folder, sort: Sort) -> None:
    file = str(shared_folder.path / sort.file)
    after = len(program.events)
    async with SteadyLoad(PORTS[0], rate=200, expect=lambda answer: answer.backend == "a") as load:
        sort.make(shared_folder)
        told = await program.event("problem", after=after, code=sort.code, file=file)
        assert told["line"] == sort.line, told
        assert told["message"]
        await load.answered(10)

        checked, shown, spoken = await _asked(program, shared_folder)
        assert checked.code == 1
        for listed in (checked.problems, shown):
            assert (file, sort.line) in [_place(each) for each in listed if each.code == sort.code], listed
        assert f"{file}:{sort.line}: " in spoken if sort.line else f"{file}: " in spoken

        after = len(program.events)
        sort.mend(shared_folder)
        await program.event("healed", after=after, code=sort.code)
        await load.answered(10)
    assert not load.bad

    async def is_healed() -> bool:
        return not [each for each in (await program.overview()).problems if each.severity == "error"]

    for leftover in ("bad.yaml", "gone.yaml"):
        (shared_folder.path / leftover).unlink(missing_ok=True)
    await until(is_healed, why=f"{sort.code} never heals")


def _place(problem: ProblemView) -> tuple[str | None, int | None]:
    return problem.file, problem.line


async def _asked(program: Program, folder: Folder) -> tuple[Any, tuple[ProblemView, ...], str]:
    checked = await trilithon("check", folder.path, "-o", "json")
    shown = msgspec.json.decode((await program.status("-o", "json")).output, type=Overview)
    return checked, shown.problems, (await program.status()).output


async def test_a_folder_with_all_of_them_serves_the_rest_from_the_start(folder: Folder, runtime: Path) -> None:
    port = free_port()
    expected = set()
    for number, sort in enumerate(SORTS.values()):
        # Each in a folder of its own, with objects and ports of its own: several are called the same.
        below = Folder(folder.path / f"{number:02}")
        below.path.mkdir()
        sort.make(below)
        for file in below.path.iterdir():
            if file.is_file() and file.stat().st_size < 10_000 and not file.is_symlink():
                own = (
                    file.read_bytes()
                    .replace(b"name: bad", b"name: b%d" % number)
                    .replace(b"name: x", b"name: x%d" % number)
                )
                file.write_bytes(own.replace(b"%d" % PORTS[1], b"%d" % free_port()))
        expected.add(f"{below.path / sort.file}:{sort.line}: " if sort.line else f"{below.path / sort.file}: ")
    async with backends("a") as servers:
        folder.write("00.yaml", gateway(listener(port)), route("good", rule(to("a"))), backend("a", servers["a"].port))
        arguments = ("run", folder.path, "--log-format", "plain")
        async with Command(TRILITHON, *arguments, environment={"XDG_RUNTIME_DIR": str(runtime)}) as program:
            await serves(port)
            assert (await fetch(port)).backend == "a"
            await until(lambda: not [each for each in expected if each not in program.output], why=program.output)
        checked = await trilithon("check", folder.path)
        assert checked.code == 1
        assert not [each for each in expected if each not in checked.output]


async def test_a_half_written_file_keeps_its_last_good_objects(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("backends.yaml", *(backend(name, server.port) for name, server in servers.items()))
        whole = folder.write(
            "routes.yaml", route("one", rule(to("a"))), route("two", rule(to("b"), matches=[prefix("/b")]))
        )
        good = whole.read_text()
        async with serving(folder, runtime) as program, SteadyLoad(port, "/b") as load:
            for end in (len(good) - 60, len(good) * 2 // 3, 40):
                after = len(program.events)
                whole.write_text(good[:end] + "\n  x: [")
                told = await program.event("problem", after=after)
                assert told["file"] == str(whole)
                await load.answered(10)
                assert (await fetch(port)).backend == "a"
            after = len(program.events)
            whole.write_text(good.replace("name: b", "name: a"))
            await program.event("healed", after=after)
            await until(partial(_answers, port, "/b", "a"))
        assert not load.bad


async def _answers(port: int, target: str, name: str) -> bool:
    return (await fetch(port, target)).backend == name


async def test_an_emptied_folder_is_held_and_then_let_go(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("all.yaml", gateway(listener(port)), route("web", rule(to("a"))), backend("a", servers["a"].port))
        text = (folder.path / "all.yaml").read_text()
        async with serving(folder, runtime) as program:
            # Gone and there again: a copy that was interrupted costs nothing.
            async with SteadyLoad(port) as load:
                folder.remove("all.yaml")
                await program.event("problem", code="FolderEmptied")
                after = len(program.events)
                folder.write("all.yaml", text)
                await program.event("healed", after=after, code="FolderEmptied")
                await load.answered(20)
            assert not load.bad
            assert not [each for each in program.events if each.get("removed")]
            # Gone for good: a second look confirms it.
            after = len(program.events)
            folder.remove("all.yaml")
            await program.event("problem", after=after, code="FolderEmptied")
            assert await status_of(port) == 200
            await serves(port, status=0)
            folder.write("all.yaml", text)
            await serves(port)


async def test_who_means_it_empties_a_folder_at_once(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("all.yaml", gateway(listener(port)), route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            (folder.path / ".trilithon-empty").touch()
            await program.served(lambda: folder.remove("all.yaml"), "Gateway demo/gw")
            assert not [each for each in program.events if each.get("code") == "FolderEmptied"]
            await serves(port, status=0)
