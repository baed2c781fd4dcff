"""Traefik with its file provider: installed when first wanted, configured as it comes but for what is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.contender import FRESH, Contender, host
from bench.figures import Fault
from bench.programs import free_port, say
from tools.traefik import NotInstalled, installed

VERSION = "3.7.15"


def program(cache: Path) -> Path:
    """The pinned Traefik, in an environment of its own under this folder; Fault when it cannot be had."""
    try:
        return installed(VERSION, cache, say)
    except NotInstalled as error:
        raise Fault(str(error)) from error


class Traefik(Contender):
    """Traefik over a folder.

    It takes in changes at most once per throttle interval, 2 seconds unless configured; the first one after a rest at
    once. ``throttle`` is a duration in Traefik's words, "" leaves its default.
    """

    name = "Traefik"

    def __init__(self, binary: Path, *arguments: Any, throttle: str = "", **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._binary = binary
        self._throttle = throttle
        self._port = free_port()
        # The interval shall be no part of what is measured. A rename gives several events, so that a change is taken in
        # at once and once more at the end of the interval, which begins the next one.
        self.settle_seconds = 0.1 if throttle else 4.5
        if throttle:
            self.name = f"Traefik, throttle {throttle}"

    @property
    def port(self) -> int:
        return self._port

    def _command(self) -> Sequence[str | Path]:
        static = self._folder / "traefik.yaml"
        providers: dict[str, Any] = {"file": {"directory": str(self._watched), "watch": True}}
        if self._throttle:
            providers["providersThrottleDuration"] = self._throttle
        static.write_bytes(
            msgspec.yaml.encode(
                {
                    "entryPoints": {"web": {"address": f"127.0.0.1:{self._port}"}},
                    "providers": providers,
                    "log": {"level": "ERROR"},
                    "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
                }
            )
        )
        return [self._binary, f"--configFile={static}"]

    def _environment(self) -> Mapping[str, str]:
        return {}

    def _fixed_files(self, backends: int) -> Mapping[str, str]:
        services = (_service(f"b{backend:05d}", self._backend_port(backend)) for backend in range(backends))
        return {"services.yaml": "http:\n  services:\n" + "".join(services)}

    def _routes_file(self, routes: Iterable[tuple[int, int]]) -> str:
        routers = (_router(f"r{route:05d}", host(route), f"b{backend:05d}") for route, backend in routes)
        return "http:\n  routers:\n" + "".join(routers)

    def _fresh_file(self, number: int, port: int) -> str:
        name = f"fresh-{number}"
        return f"http:\n  routers:\n{_router('fresh', FRESH, name)}  services:\n{_service(name, port)}"


def _router(name: str, hostname: str, service: str) -> str:
    return f'    {name}: {{rule: "Host(`{hostname}`)", service: {service}, entryPoints: [web]}}\n'


def _service(name: str, port: int) -> str:
    return f'    {name}: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{port}"}}]}}}}\n'
