"""However a path is spelt: Envoy does what ``explain`` says, and nothing protected is reached by another spelling."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
import pytest_asyncio

from tests.system.client import Answer, Unanswered, fetch
from tests.system.harness import backends, free_port, serves
from tests.system.manifests import Folder, backend, gateway, listener, prefix, route, rule, to
from tests.system.program import serving
from trilithon.cli.manifests import Manifests, read
from trilithon.cli.origin import Origin
from trilithon.inspect.decision import Decision
from trilithon.inspect.explain import explain
from trilithon.inspect.request import parse

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]
PORT = free_port()
SPELLINGS = re.findall(
    r"\S+",
    r"""
    /admin /admin/ /admin/secret /admin?x /admin/?x=/public //admin ///admin /admin// /admin//secret //admin//secret
    /./admin /admin/. /admin/./secret /././admin/ /public/../admin /public/./../admin
    /public/../public/../admin/secret /../admin /../../admin /admin/.. /admin/../public /admin/../admin
    /public/x/../../admin /public//../admin /public/..//admin /%61dmin /%61%64min /adm%69n/secret /%41dmin /ADMIN
    /admin%2fsecret /admin%2Fsecret /%2fadmin /%2Fadmin /public%2f..%2fadmin /public/..%2fadmin /public%2f../admin
    /public/%2e%2e/admin /public/%2E%2E/admin /public/.%2e/admin /public/%2e./admin /%2e/admin /%2e%2e/admin
    /public/%2e%2e%2fadmin /admin%5csecret /admin%5Csecret /public/..%5cadmin /public\..\admin /public\../admin
    /\admin /public/..\admin /admin\secret /public%5c..%5cadmin /%252e%252e/admin /public/%252e%252e/admin
    /public/..%252fadmin /admin%252fsecret /admin;x=1 /admin;/secret /public/..;/admin /public/;/../admin /admin%3bx
    /admin%3Bx /public/%2e%2e;/admin /public/... /public/.../admin /public/..admin /public/admin /public/%2
    /public/%zz /admin%20 /admin%09 /public/~/../admin /public/%7e/../admin /%70ublic/../admin
    /public/%C3%A9/../admin /public/%c0%ae%c0%ae/admin /public/%ef%bc%8fadmin /admin| /admin^x /public/"/../admin
    /public/<x>/../admin /public/%0a/../admin
    """,
)
# What cannot be a path of HTTP at all; the edge must not guess.
REFUSED = ["/admin%00", "/public/%00/../admin", "admin", "public/../admin"]


class World(msgspec.Struct, frozen=True):
    """What is served, offline."""

    manifests: Manifests

    def decision(self, target: str) -> Decision:
        """What ``explain`` says."""
        return explain(self.manifests.translation, parse("GET", f"http://a.test:{PORT}{target}"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(shared_folder: Folder, shared_runtime: Path) -> AsyncIterator[World]:
    """A guarded prefix, an open one, and what is left."""
    async with backends("guard", "secret", "open", "rest") as servers:
        exact = {"path": {"type": "Exact", "value": "/admin/secret"}}
        rules = (
            rule(to("secret"), matches=[exact]),
            rule(to("guard"), matches=[prefix("/admin")]),
            rule(to("open"), matches=[prefix("/public")]),
            rule(to("rest")),
        )
        shared_folder.write("gateway.yaml", gateway(listener(PORT)), route("web", *rules))
        shared_folder.write("backends.yaml", *(backend(name, server.port) for name, server in servers.items()))
        async with serving(shared_folder, shared_runtime):
            await serves(PORT)
            yield World(read(Origin((shared_folder.path,))))


def resolved(path: str) -> str:
    """The path as a backend that undoes escapes, backslashes, dots and double slashes understands it.

    Not undone is what no two backends agree on: parameters after ";", escapes of escapes, letter case.
    """
    kept: list[str] = []
    for segment in re.split(r"[/\\]+", unquote(path, errors="replace")):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in {"", "."}:
            kept.append(segment)
    return "/" + "/".join(kept)


@pytest.mark.parametrize("target", SPELLINGS)
async def test_envoy_does_what_explain_says(world: World, target: str) -> None:
    answer = await fetch(PORT, target)
    assert _as_answered(answer) == _as_decided(world.decision(target))


def _as_answered(answer: Answer) -> tuple[object, ...]:
    if answer.backend is not None:
        return "forward", answer.backend, answer.echo["path"]
    return answer.status, answer.header("location")


def _as_decided(decision: Decision) -> tuple[object, ...]:
    if decision.outcome == "forward":
        assert decision.request is not None
        return "forward", decision.backends[0].ref.rpartition("/")[2], decision.request.target
    return decision.status, decision.location


@pytest.mark.parametrize("target", [*SPELLINGS, *REFUSED, r"\admin", r"\public\..\admin"])
async def test_what_is_guarded_is_reached_through_its_guard_alone(world: World, target: str) -> None:
    try:
        answer = await fetch(PORT, target)
    except Unanswered:
        return  # Refused without a word.
    if answer.backend in {None, "guard", "secret"}:
        return
    seen = answer.echo["path"].partition("?")[0]
    assert not (resolved(seen) + "/").startswith("/admin/"), f"{answer.backend} was asked for {seen}"


@pytest.mark.parametrize("target", REFUSED)
async def test_what_is_no_path_is_refused(world: World, target: str) -> None:
    assert (await fetch(PORT, target)).status == 400


@pytest.mark.parametrize("target", ["/admin%2fsecret", "/public%2f..%2fadmin", "/admin%5Csecret"])
async def test_an_escaped_slash_is_sent_back_to_be_said_plainly(world: World, target: str) -> None:
    answer = await fetch(PORT, target)
    assert answer.status == 307
    location = answer.header("location") or ""
    assert "%" not in location
    following = await fetch(PORT, location.removeprefix(f"http://a.test:{PORT}").removeprefix("http://a.test"))
    assert following.backend in {"guard", "secret"}
