"""`trilithon run` over a folder, as a user would start it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.contender import FRESH, Contender, host
from bench.programs import free_port

# "... 9 rows ..." in the line that `run` prints per change.
_ROWS = re.compile(r"([\d,]+) rows?\b")

_CLASS = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: trilithon}
spec: {controllerName: trilithon.dev/gateway-controller}
"""

_GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway, namespace: bench}
spec:
  gatewayClassName: trilithon
  listeners: [{name: http, port: PORT, protocol: HTTP}]
"""


class Trilithon(Contender):
    """Trilithon and the Envoy that it starts."""

    name = "Trilithon"

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._port = free_port()

    @property
    def port(self) -> int:
        return self._port

    def rows_since(self, mark: int) -> int | None:
        counts = [int(count.replace(",", "")) for count in _ROWS.findall(self.program.said()[mark:])]
        return sum(counts) if counts else None

    def _command(self) -> Sequence[str | Path]:
        return [Path(sys.executable).with_name("trilithon"), "run", self._watched, "--address", "127.0.0.1"]

    def _environment(self) -> Mapping[str, str]:
        return {"NO_COLOR": "1"}

    def _fixed_files(self, backends: int) -> Mapping[str, str]:
        return fixed_files(self._port, [self._backend_port(backend) for backend in range(backends)])

    def _routes_file(self, routes: Iterable[tuple[int, int]]) -> str:
        return routes_file(routes)

    def _fresh_file(self, number: int, port: int) -> str:
        name = f"fresh-{number}"
        return _route("fresh", FRESH, name) + "---\n" + _backend(name, port)


def fixed_files(listener_port: int, backend_ports: Sequence[int]) -> Mapping[str, str]:
    """A class, a Gateway with one HTTP listener, and the backends."""
    backends = (_backend(f"b{at:05d}", port) for at, port in enumerate(backend_ports))
    gateway = _GATEWAY.replace("PORT", str(listener_port))
    return {"gateway.yaml": _CLASS + "---\n" + gateway, "backends.yaml": "---\n".join(backends)}


def routes_file(routes: Iterable[tuple[int, int]]) -> str:
    """A document per (route, backend)."""
    return "---\n".join(_route(f"r{route:05d}", host(route), f"b{backend:05d}") for route, backend in routes)


def _route(name: str, hostname: str, backend: str) -> str:
    return f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: bench}}
spec:
  parentRefs: [{{name: gateway}}]
  hostnames: [{hostname}]
  rules:
  - backendRefs: [{{group: trilithon.dev, kind: Backend, name: {backend}}}]
"""


def _backend(name: str, port: int) -> str:
    return f"""\
apiVersion: trilithon.dev/v1alpha1
kind: Backend
metadata: {{name: {name}, namespace: bench}}
spec:
  endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]
"""
