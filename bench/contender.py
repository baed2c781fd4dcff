"""A gateway that reads its routes from a folder, started and changed in the same way whichever it is.

Route number i serves one host and sends it to backend number j, which answers with one body where j is even and with
the other where it is odd. Every file is written elsewhere and renamed into place.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from bench.backend import Backends
from bench.client import Client
from bench.programs import Program, descendants, executable
from bench.waiting import wait_for

# A file for each route, or all of them in one file.
Layout = Literal["files", "file"]

START_SECONDS = 120.0
# The route that is changed under load; it lives in a file of its own, together with its backend.
FRESH = "fresh.example.com"


def host(route: int) -> str:
    """The one host of a route."""
    return f"h{route:05d}.example.com"


def backends_for(routes: int) -> int:
    """As many backends as routes share: a fifth, and an even number."""
    return max(2, routes // 10 * 2)


class Contender(ABC):
    """One gateway over its own folder; a context manager that starts and ends it.

    ``settle_seconds`` is how long it wants to be left alone between two changes.
    """

    name: str
    settle_seconds = 0.0

    def __init__(
        self, folder: Path, backends: Backends, routes: int, *, layout: Layout = "files", cpus: str = ""
    ) -> None:
        self.backends = backends
        self.routes = {route: route % backends_for(routes) for route in range(routes)}
        self.started_seconds = 0.0
        self._layout = layout
        self._cpus = cpus
        self._folder = folder
        self._watched = folder / "watched"
        self._watched.mkdir(parents=True)
        self._program: Program | None = None

    def __enter__(self) -> Self:
        for name, text in self._fixed_files(backends_for(len(self.routes))).items():
            self._put(name, text)
        if self._layout == "files":
            for route in self.routes:
                self._put_route(route)
        else:
            self._put_all()
        started = time.perf_counter()
        self._program = Program(self._command(), self._folder / "log", cpus=self._cpus, environment=self._environment())
        try:
            self._await_last_route()
        except BaseException:
            self._program.end()
            raise
        self.started_seconds = time.perf_counter() - started
        return self

    def __exit__(self, *_: object) -> None:
        self.program.end()

    def _await_last_route(self) -> None:
        client, last = Client(self.port), max(self.routes)
        wait_for(lambda: client.get(host(last)).body == self.body(last), START_SECONDS, self.name, self.program)
        client.close()

    @property
    def program(self) -> Program:
        assert self._program is not None, "it is used as a context manager"
        return self._program

    # What a measurement does

    def body(self, route: int) -> bytes:
        """What the route's host answers once its last change is served."""
        return self.backends.BODIES[self.routes[route] % 2]

    def edit(self, route: int) -> float:
        """Send a route to another, existing backend; the moment (time.perf_counter) of the rename."""
        self.routes[route] ^= 1
        return self._put_route(route) if self._layout == "files" else self._put_all()

    def add(self) -> tuple[int, float]:
        """A new route to an existing backend: its number, and the moment of the rename."""
        route = max(self.routes) + 1
        self.routes[route] = 0
        return route, self._put_route(route) if self._layout == "files" else self._put_all()

    def put_fresh(self, number: int) -> float:
        """Send the host FRESH to a backend that has never been before; the one before is gone."""
        return self._put("fresh.yaml", self._fresh_file(number, self._backend_port(number)))

    def fresh_body(self, number: int) -> bytes:
        """What FRESH answers then."""
        return self.backends.BODIES[number % 2]

    @property
    def control_pids(self) -> Sequence[int]:
        """The processes that read files and decide; the whole where the gateway is one process."""
        return [pid for pid in self._pids() if executable(pid) != "envoy"]

    @property
    def proxy_pids(self) -> Sequence[int]:
        """The processes that only pass requests on."""
        return [pid for pid in self._pids() if executable(pid) == "envoy"]

    def rows_since(self, mark: int) -> int | None:
        """Rows recomputed for the changes it told of after this mark; None where it has no such figure."""
        del mark
        return None

    def mark(self) -> int:
        """Where its output ends now."""
        return len(self.program.said())

    # What differs

    @property
    @abstractmethod
    def port(self) -> int:
        """Where it serves HTTP."""

    @abstractmethod
    def _command(self) -> Sequence[str | Path]: ...

    @abstractmethod
    def _environment(self) -> Mapping[str, str]: ...

    @abstractmethod
    def _fixed_files(self, backends: int) -> Mapping[str, str]:
        """The files that no measurement changes."""

    @abstractmethod
    def _routes_file(self, routes: Iterable[tuple[int, int]]) -> str:
        """A file of routes: (route, backend)."""

    @abstractmethod
    def _fresh_file(self, number: int, port: int) -> str: ...

    # Files

    def _put_route(self, route: int) -> float:
        return self._put(f"r{route:05d}.yaml", self._routes_file([(route, self.routes[route])]))

    def _put_all(self) -> float:
        return self._put("routes.yaml", self._routes_file(self.routes.items()))

    def _put(self, name: str, text: str) -> float:
        ready = self._folder / "next"
        ready.write_text(text)
        at = time.perf_counter()
        ready.replace(self._watched / name)
        return at

    def _backend_port(self, backend: int) -> int:
        return self.backends.ports[backend % 2]

    def _pids(self) -> list[int]:
        return [self.program.pid, *descendants(self.program.pid)]
