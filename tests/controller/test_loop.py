"""The controller with a real Envoy and a listener that fails: what is served goes on, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system.harness import backends, free_port, serves, until
from tests.system.manifests import Folder, backend, gateway, listener, route, rule, to
from trilithon.controller import Change, Controller, EnvoyChanged, Event, Failed, LocalEnvoys, Surface, Telling
from trilithon.incremental import Engine
from trilithon.model.settings import Settings
from trilithon.sinks.envoy.envoy_binary import find_envoy
from trilithon.sinks.envoy.envoy_process import Launch
from trilithon.sinks.envoy.processes import EnvoyStarted
from trilithon.sources.folder.files import FileSource
from trilithon.sources.folder.follow import FollowedFiles

pytestmark = pytest.mark.system


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "manifests"
    path.mkdir()
    return Folder(path)


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Socket paths are short, pytest's folders for long test names are not.
    return tmp_path_factory.mktemp("run")


@asynccontextmanager
async def controlling(folder: Folder, runtime: Path, on_event: Callable[[Event], None]) -> AsyncIterator[Controller]:
    """A controller that follows a folder; ended in the end."""
    socket = runtime / "xds.sock"
    launch = Launch(binary=find_envoy().path, directory=runtime, xds_socket=str(socket))
    tell = Telling(on_event)
    controller = Controller(
        FollowedFiles(FileSource((folder.path,))), Settings(), LocalEnvoys(launch, tell), Surface(socket), tell
    )
    stop = asyncio.Event()
    running = asyncio.create_task(controller.run(stop), name="controller")
    try:
        yield controller
    finally:
        stop.set()
        async with asyncio.timeout(60):
            await running


async def test_a_listener_that_always_raises_changes_nothing_of_what_is_served(folder: Folder, runtime: Path) -> None:
    port, other = free_port(), free_port()
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    pids: list[int] = []

    def raising(event: Event) -> None:
        if isinstance(event, EnvoyChanged) and isinstance(event.event, EnvoyStarted):
            pids.append(event.event.pid)
        raise BrokenPipeError("nobody reads")

    async with backends("a") as servers:
        folder.write("all.yaml", gateway(listener(port)), route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with controlling(folder, runtime, raising):
            await serves(port)
            # Changes, problems, an Envoy that dies, a Gateway that comes and goes.
            folder.write("b.yaml", route("b", rule(to("missing")), hosts=["b.test"]))
            await serves(port, host="b.test", status=500)
            os.kill(pids[0], signal.SIGKILL)
            await serves(port, host="b.test", status=500)
            folder.write("gw.yaml", gateway(listener(other), name="other"))
            folder.write("c.yaml", route("c", rule(to("a")), gateway="other"))
            await serves(other)
            folder.remove("gw.yaml")
            await serves(other, status=0)
            folder.write("b.yaml", route("b", rule(to("a")), hosts=["b.test"]))
            await serves(port, host="b.test")
    assert logged
    assert all(context["message"] == "telling failed" for context in logged)


async def test_a_settle_that_fails_loses_no_edit(
    folder: Folder, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    told: list[Event] = []
    settle, failing = Engine.settle, True

    def failing_once(engine: Engine, edits: Any, pause: Any = None) -> Any:
        nonlocal failing
        if failing and any(
            edit.key.name == "b" for edit in edits if edit.row is not None and hasattr(edit.key, "name")
        ):
            failing = False
            raise RuntimeError("a defect")
        return settle(engine, edits, pause)

    async with backends("a") as servers:
        folder.write("all.yaml", gateway(listener(port)), route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with controlling(folder, runtime, told.append):
            await serves(port)
            monkeypatch.setattr(Engine, "settle", failing_once)
            folder.write("b.yaml", route("b", rule(to("missing")), hosts=["b.test"]))
            await serves(port, host="b.test", status=500)
    assert [event.error for event in told if isinstance(event, Failed)] == ["RuntimeError: a defect"]
    changes = [event for event in told if isinstance(event, Change)]
    assert [key.name for key in changes[-1].upserted] == ["b"]


async def test_an_envoy_that_does_not_answer_hides_no_change(folder: Folder, runtime: Path) -> None:
    port = free_port()
    told: list[Event] = []

    def changes() -> list[Change]:
        return [event for event in told if isinstance(event, Change)]

    async with backends("a") as servers:
        folder.write("all.yaml", gateway(listener(port)), route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with controlling(folder, runtime, told.append) as controller:
            await serves(port)
            await until(lambda: [change for change in changes() if not change.waiting])
            happened = [event.event for event in told if isinstance(event, EnvoyChanged)]
            (pid,) = [each.pid for each in happened if isinstance(each, EnvoyStarted)]
            os.kill(pid, signal.SIGSTOP)
            del told[:]
            folder.write("b.yaml", route("b", rule(to("missing")), hosts=["b.test"]))
            (late,) = await until(changes)
            assert (late.served, late.waiting) == (None, ("demo/gw",))
            # Who asks meanwhile is answered.
            assert [each.name for each in (await controller.overview()).routes] == ["demo/b", "demo/web"]
            os.kill(pid, signal.SIGCONT)
            _, served = await until(lambda: changes() if len(changes()) == 2 else [])
            assert served.upserted is late.upserted
            assert served.served is not None
            assert served.served > 2
            assert served.waiting == ()
