"""What stands behind the gateways: an Envoy that answers itself, fast enough never to be what is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import msgspec

from bench.client import Client
from bench.programs import Program, free_port
from bench.waiting import wait_for
from trilithon.sinks.envoy.envoy_binary import find_envoy

_TYPE = "type.googleapis.com/envoy.extensions.filters"


class Backends:
    """Two ports of an address that answer every request with their own body; a context manager."""

    BODIES = (b"one\n", b"two\n")

    def __init__(self, folder: Path, *, cpus: str = "", address: str = "127.0.0.1") -> None:
        self.address = address
        self.ports = (free_port(), free_port())
        config = folder / "backend.json"
        listeners = [
            _listener(address, port, body.decode()) for port, body in zip(self.ports, self.BODIES, strict=True)
        ]
        config.write_bytes(msgspec.json.encode({"static_resources": {"listeners": listeners}}))
        arguments: list[str | Path] = ["-c", config, "--concurrency", "1", "-l", "error", "--disable-hot-restart"]
        self._program = Program([find_envoy().path, *arguments], folder / "backend.log", cpus=cpus)

    def __enter__(self) -> Self:
        self._program.__enter__()
        for port, body in zip(self.ports, self.BODIES, strict=True):
            client = Client(port, self.address)
            wait_for(lambda c=client, b=body: c.get("a.test").body == b, 15, "the backend", self._program)  # type: ignore[misc]
            client.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._program.end()


def _listener(address: str, port: int, body: str) -> dict[str, Any]:
    router = {"@type": f"{_TYPE}.http.router.v3.Router"}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": body}}}
    manager = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "backend",
        "generate_request_id": False,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": router}],
    }
    return {
        "name": body.strip(),
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
