"""What a user edits is served: routes that come, change and go, endpoints, Gateways."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.system.client import fetch
from tests.system.harness import Command, SteadyLoad, backends, free_port, is_running, serves, status_of, until
from tests.system.manifests import (
    Folder,
    backend,
    endpoints,
    gateway,
    listener,
    prefix,
    route,
    rule,
    service,
    to,
    to_service,
)
from tests.system.program import TRILITHON, Program, serving, trilithon

pytestmark = pytest.mark.system
EXAMPLE = Path(__file__).parents[2] / "examples" / "hello"


async def test_the_example_answers_with_its_demo_backends(folder: Folder, runtime: Path) -> None:
    shutil.copytree(EXAMPLE, folder.path, dirs_exist_ok=True)
    text = (folder.path / "backends.yaml").read_text()
    # Ports of its own: the example's may be in use.
    (folder.path / "backends.yaml").write_text(re.sub(r"port: 900\d", lambda _: f"port: {free_port()}", text))
    offset = free_port() - 8080
    arguments = ("run", folder.path, "--demo-backends", "--log-format", "plain", "--port-offset", str(offset))
    environment = {"XDG_RUNTIME_DIR": str(runtime)}
    async with Command(TRILITHON, *arguments, environment=environment) as program:
        await program.said("Gateway demo/hello is served")
        await program.said(f"http://127.0.0.1:{8080 + offset}/")
        port = 8080 + offset
        await serves(port, host="127.0.0.1")
        assert (await fetch(port, "/", host="127.0.0.1")).backend == "hello"
        cart = await fetch(port, "/cart/items", host="shop.test")
        assert cart.echo["path"] == "/items"
        assert cart.seen_header("x-forwarded-prefix") == "/cart"
        assert cart.header("x-served-by") == "trilithon"
        assert (await fetch(port, "/", host="shop.test", headers=[("x-preview", "yes")])).backend == "web-next"
        moved = await fetch(port, "/docs/start", host=f"127.0.0.1:{port}")
        assert (moved.status, moved.header("location")) == (301, f"http://127.0.0.1:{port}/manual/start")


async def test_a_starter_folder_has_no_problems(tmp_path: Path) -> None:
    made = await trilithon("init", tmp_path / "new")
    assert made.code == 0, made.output
    checked = await trilithon("check", tmp_path / "new")
    assert checked.code == 0, checked.output


async def test_routes_that_change_come_and_go(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("backends.yaml", *(backend(name, server.port) for name, server in servers.items()))
        folder.write("route.yaml", route("web", rule(to("a"))))
        async with serving(folder, runtime) as program:
            assert (await fetch(port)).backend == "a"

            edited = await program.served(
                lambda: folder.write("route.yaml", route("web", rule(to("b")))), "HTTPRoute demo/web"
            )
            assert (await fetch(port)).backend == "b"
            assert edited["recomputed"] <= 12

            other = route("other", rule(to("a"), matches=[prefix("/other")]))
            await program.served(lambda: folder.write("other.yaml", other), "HTTPRoute demo/other")
            assert (await fetch(port, "/other")).backend == "a"

            # Two documents in one file, of which one goes.
            third = route("third", rule(to("a"), matches=[prefix("/third")]))
            await program.served(lambda: folder.write("other.yaml", other, third), "HTTPRoute demo/third")
            assert (await fetch(port, "/third")).backend == "a"
            await program.served(lambda: folder.write("other.yaml", third), "HTTPRoute demo/other")
            assert (await fetch(port, "/other")).backend == "b"

            await program.served(lambda: folder.remove("other.yaml"), "HTTPRoute demo/third")
            assert (await fetch(port, "/third")).backend == "b"
            await program.served(lambda: folder.remove("route.yaml"), "HTTPRoute demo/web")
            assert (await fetch(port)).status == 404


async def test_a_file_saved_by_renaming_and_a_moved_file_are_served(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("backends.yaml", *(backend(name, server.port) for name, server in servers.items()))
        folder.write("route.yaml", route("web", rule(to("a"))))
        async with serving(folder, runtime) as program:
            draft = folder.write(".route.yaml.draft", route("web", rule(to("b"))))
            await program.served(lambda: draft.rename(folder.path / "route.yaml"), "HTTPRoute demo/web")
            assert (await fetch(port)).backend == "b"
            # Moved elsewhere an object stays what it is, and is never away.
            below = folder.path / "below"
            async with SteadyLoad(port, expect=lambda answer: answer.backend == "b") as load:
                await load.answered(5)
                below.mkdir()
                (folder.path / "route.yaml").rename(below / "moved.yaml")
                other = route("other", rule(to("a"), matches=[prefix("/other")]))
                await program.served(lambda: folder.write("other.yaml", other), "HTTPRoute demo/other")
                await load.answered(20)
            assert not load.bad
            again = partial(folder.write, "below/moved.yaml", route("web", rule(to("a"))))
            await program.served(again, "HTTPRoute demo/web")
            assert (await fetch(port)).backend == "a"


async def test_endpoints_come_and_go_without_touching_anything_else(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        a, b = (server.port for server in servers.values())
        folder.write("gateway.yaml", gateway(listener(port)), route("web", rule(to_service("web"))), service("web"))
        folder.write("endpoints.yaml", *endpoints("web", a))
        async with serving(folder, runtime) as program:
            assert (await fetch(port)).backend == "a"
            before = await _updates(program)
            assert before
            change = await program.served(
                lambda: folder.write("endpoints.yaml", *endpoints("web", b)), "EndpointSlice demo/web-0"
            )
            assert (await fetch(port)).backend == "b"
            assert change["recomputed"] <= 6
            # None is left: that is 503, as the Service is there.
            await program.served(lambda: folder.remove("endpoints.yaml"), "EndpointSlice demo/web-0")
            assert (await fetch(port)).status == 503
            await program.served(
                lambda: folder.write("endpoints.yaml", *endpoints("web", a)), "EndpointSlice demo/web-0"
            )
            assert (await fetch(port)).backend == "a"
            assert await _updates(program) == before


async def _updates(program: Program) -> dict[str, int]:
    """How often clusters, listeners and route tables were updated."""
    async with program.admin() as admin:
        return await admin.stats(
            r"^(cluster_manager\.cds|listener_manager\.lds|http\..*\.rds\..*)\.(version|update_success)$"
        )


async def test_each_gateway_has_its_own_envoy_and_leaves_the_others_alone(folder: Folder, runtime: Path) -> None:
    port, second = free_port(), free_port()
    async with backends("a") as servers:
        folder.write("gateway.yaml", gateway(listener(port)), route("web", rule(to("a"))))
        folder.write("backends.yaml", backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            first = program.envoy
            after = len(program.events)
            folder.write(
                "second.yaml", gateway(listener(second), name="second"), route("two", rule(to("a")), gateway="second")
            )
            await program.programmed(after=after, gateway="demo/second")
            await serves(second)
            assert (await fetch(second)).backend == "a"
            other = program.envoy
            assert other != first
            await program.served(lambda: folder.remove("second.yaml"), "Gateway demo/second")
            await until(lambda: not is_running(other), why="the Envoy of a Gateway that is gone still runs")
            assert await status_of(second) == 0
            assert (await fetch(port)).backend == "a"
            assert is_running(first)


async def test_a_listener_that_moves_serves_at_its_new_port_only(folder: Folder, runtime: Path) -> None:
    port, new = free_port(), free_port()
    async with backends("a") as servers:
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            await program.served(lambda: folder.write("gateway.yaml", gateway(listener(new))), "Gateway demo/gw")
            assert (await fetch(new)).backend == "a"
            await serves(port, status=0)


async def test_what_is_not_watched_does_not_change(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("backends.yaml", *(backend(name, server.port) for name, server in servers.items()))
        folder.write("route.yaml", route("web", rule(to("a"))))
        async with serving(folder, runtime, "--no-watch") as program:
            folder.write("route.yaml", route("web", rule(to("b"))))
            # Many times longer than a watched change takes.
            for _ in range(300):
                assert (await fetch(port)).backend == "a"
            changes = [each["upserted"] for each in program.events if each["event"] == "change"]
            # One that is slow to be served is told twice.
            assert changes in (changes[:1], changes[:1] * 2)
