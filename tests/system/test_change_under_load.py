"""No request fails while what it meets changes: make before break, seen from the outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.system.client import Connection, H2Connection, fetch, fetch_h2
from tests.system.harness import SteadyLoad, backends, free_port, until
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
from tests.system.program import HURRIED, Program, serving

# Hundreds of changes take a busy machine minutes.
pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]
RATE = 200.0


@asynccontextmanager
async def both_loads(port: int, target: str = "/") -> AsyncIterator[tuple[SteadyLoad, SteadyLoad]]:
    """HTTP/1.1 and HTTP/2 together; every request must be answered 200 in the end."""
    async with AsyncExitStack() as stack:
        loads = (
            await stack.enter_async_context(SteadyLoad(port, target, rate=RATE, client=Connection)),
            await stack.enter_async_context(SteadyLoad(port, target, rate=RATE, client=H2Connection)),
        )
        await asyncio.gather(*(load.answered(20) for load in loads))
        yield loads
        await asyncio.gather(*(load.answered(20) for load in loads))
    assert [dict(load.bad) for load in loads] == [{}, {}]


async def test_200_changes_each_to_a_new_backend_fail_no_request(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        ports = [server.port for server in servers.values()]
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("web.yaml", route("web", rule(to("b0"))), backend("b0", ports[0]))
        async with serving(folder, runtime) as program, both_loads(port) as loads:
            for number in range(1, 201):
                documents = route("web", rule(to(f"b{number}"))), backend(f"b{number}", ports[number % 2])
                await program.served(
                    partial(folder.write, "web.yaml", *documents),
                    "HTTPRoute demo/web",
                    f"Backend demo/b{number}",
                )
                # Acknowledged means served: the very next request goes to the new backend.
                assert (await fetch(port)).backend == "ab"[number % 2]
            assert all(load.good > 100 for load in loads)


async def test_clusters_that_leave_during_load_take_no_request_with_them(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        ports = [server.port for server in servers.values()]
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("web.yaml", route("web", rule(to("b0"))), backend("b0", ports[0]))
        async with serving(folder, runtime, command=HURRIED) as program, both_loads(port):
            for number in range(1, 61):
                documents = route("web", rule(to(f"b{number}"))), backend(f"b{number}", ports[number % 2])
                await program.served(
                    partial(folder.write, "web.yaml", *documents),
                    "HTTPRoute demo/web",
                )
            await until(lambda: _clusters(program, 1), why="old clusters never left")


async def _clusters(program: Program, count: int) -> bool:
    async with program.admin() as admin:
        # Beside those of routes there is the one of the control plane.
        return await admin.stats(r"^cluster_manager\.active_clusters$") == {
            "cluster_manager.active_clusters": count + 1
        }


async def test_a_request_in_flight_outlives_its_route_and_its_cluster(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("web.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime, command=HURRIED) as program:
            flying = [asyncio.create_task(ask(port, "/held", seconds=90)) for ask in (fetch, fetch_h2)]
            await servers["a"].holds(len(flying))
            await program.served(
                lambda: folder.write("web.yaml", route("web", rule(to("b"))), backend("b", servers["b"].port)),
                "HTTPRoute demo/web",
            )
            assert (await fetch(port)).backend == "b"
            await until(lambda: _clusters(program, 1), why="the old cluster never left")
            assert not any(each.done() for each in flying)
            servers["a"].let_go()
            answers = await asyncio.gather(*flying)
            assert [(answer.status, answer.backend) for answer in answers] == [(200, "a")] * 2


async def test_endpoints_that_come_and_go_fail_no_request(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b", "c") as servers:
        ports = [server.port for server in servers.values()]
        folder.write("gateway.yaml", gateway(listener(port)), route("web", rule(to_service("web"))), service("web"))
        folder.write("endpoints.yaml", *endpoints("web", *ports))
        async with serving(folder, runtime) as program, both_loads(port):
            for number in range(100):
                # One, two or three of them, another one first each time.
                chosen = [ports[(number + 1 + more) % 3] for more in range(1 + number % 3)]
                await program.served(
                    partial(folder.write, "endpoints.yaml", *endpoints("web", *chosen)),
                    "EndpointSlice demo/web-0",
                )


async def test_a_rolling_backend_that_announces_its_end_fails_no_request(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with AsyncExitStack() as stack, backends("0") as first:
        current = first["0"]
        folder.write("gateway.yaml", gateway(listener(port)), route("web", rule(to_service("web"))), service("web"))
        folder.write("endpoints.yaml", *endpoints("web", current.port))
        async with serving(folder, runtime) as program, both_loads(port) as loads:
            for number in range(1, 11):
                (new,) = (await stack.enter_async_context(backends(str(number)))).values()
                await program.served(
                    partial(folder.write, "endpoints.yaml", *endpoints("web", new.port)),
                    "EndpointSlice demo/web-0",
                )
                # What the old one is asked now was sent before; then it may go.
                await asyncio.gather(*(load.answered(8) for load in loads))
                await current.stop()
                current = new
            assert (await fetch(port)).backend == "10"


async def test_listeners_that_come_and_go_leave_the_others_alone(folder: Folder, runtime: Path) -> None:
    port, other = free_port(), free_port()
    async with backends("a") as servers:
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        folder.write("gateway.yaml", gateway(listener(port)))
        async with serving(folder, runtime) as program, both_loads(port):
            for _ in range(10):
                both = gateway(listener(port), listener(other, "other"))
                await program.served(partial(folder.write, "gateway.yaml", both), "Gateway demo/gw")
                assert (await fetch(other)).backend == "a"
                await program.served(lambda: folder.write("gateway.yaml", gateway(listener(port))), "Gateway demo/gw")


async def test_hostnames_that_change_fail_no_request_for_a_name_that_stays(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("backend.yaml", backend("a", servers["a"].port))
        folder.write("route.yaml", route("web", rule(to("a")), hosts=["a.test"]))
        folder.write("gateway.yaml", gateway(listener(port)))
        async with serving(folder, runtime) as program, both_loads(port):
            for name in ("*.test", "a.test", None) * 5:
                changed = gateway(listener(port, hostname=name))
                await program.served(partial(folder.write, "gateway.yaml", changed), "Gateway demo/gw")
            for hosts in (["a.test", "b.test"], ["*.test"], ["*.test", "a.test"], [], ["a.test"]):
                routed = route("web", rule(to("a")), hosts=hosts)
                await program.served(partial(folder.write, "route.yaml", routed), "HTTPRoute demo/web")


async def test_rules_that_come_and_go_beside_it_fail_no_request(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a", "b") as servers:
        folder.write("backends.yaml", *(backend(name, server.port) for name, server in servers.items()))
        folder.write("web.yaml", route("web", rule(to("a"))))
        folder.write("gateway.yaml", gateway(listener(port)))
        async with serving(folder, runtime) as program, both_loads(port):
            for number in range(50):
                beside = route(f"r{number}", rule(to("b"), matches=[prefix(f"/{number}")]))
                await program.served(
                    partial(folder.write, f"r{number}.yaml", beside),
                    f"HTTPRoute demo/r{number}",
                )
                assert (await fetch(port, f"/{number}")).backend == "b"
            for number in range(50):
                folder.remove(f"r{number}.yaml")
            await until(lambda: _is_gone(program, "HTTPRoute demo/r49"))


def _is_gone(program: Program, key: str) -> bool:
    return any(key in each.get("removed", ()) for each in program.events)
