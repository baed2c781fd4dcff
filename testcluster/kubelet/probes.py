"""Ask a container whether it is well, in each of the ways that a probe can ask."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

import aiohttp

from testcluster.kubelet.objects import Container
from testcluster.kubelet.probe_spec import GrpcAction, Hook, HttpAction, PortRef, Probe, TcpAction

# Runs a command in the container; gives its exit code.
Enter = Callable[[tuple[str, ...]], Awaitable[int]]
_SERVING = b"\x08\x01"


class Asker:
    """Asks containers. An async context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Probes trust any certificate, as the kubelet's do.
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        connector = aiohttp.TCPConnector(ssl=trusting, force_close=True, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": "kube-probe/1.36"})
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def is_well(self, probe: Probe, container: Container, address: str, enter: Enter) -> bool:
        """Whether the container answers the probe as it should, in time."""
        try:
            async with asyncio.timeout(probe.timeout_seconds):
                if probe.grpc is not None:
                    return await _is_serving(probe.grpc, address)
                hook = Hook(exec=probe.exec, http_get=probe.http_get, tcp_socket=probe.tcp_socket)
                return await self.does(hook, container, address, enter)
        except (OSError, aiohttp.ClientError, ValueError):
            # TimeoutError is an OSError.
            return False

    async def does(self, hook: Hook, container: Container, address: str, enter: Enter) -> bool:
        """Do what a hook or a probe says; whether that succeeded. Raises OSError, aiohttp.ClientError or ValueError."""
        if hook.exec is not None:
            return await enter(hook.exec.command) == 0
        if hook.http_get is not None:
            return await self._http(hook.http_get, container, address)
        if hook.tcp_socket is not None:
            return await _connects(hook.tcp_socket, container, address)
        if hook.sleep is not None:
            await asyncio.sleep(hook.sleep.seconds)
        return True

    async def _http(self, action: HttpAction, container: Container, address: str) -> bool:
        if self._session is None:
            raise RuntimeError("the asker is not entered")
        port, path = port_of(container, action.port), action.path.removeprefix("/")
        url = f"{action.scheme.lower()}://{action.host or address}:{port}/{path}"
        headers = [(header.name, header.value) for header in action.http_headers]
        async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
            return 200 <= answer.status < 400


def port_of(container: Container, ref: PortRef) -> int:
    """The number of a port. Raises ValueError if the container names none so."""
    if isinstance(ref, int):
        return ref
    for port in container.ports:
        if port.name == ref:
            return port.container_port
    raise ValueError(f"container {container.name} has no port {ref}")


async def _connects(action: TcpAction, container: Container, address: str) -> bool:
    _, writer = await asyncio.open_connection(action.host or address, port_of(container, action.port))
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def _is_serving(action: GrpcAction, address: str) -> bool:
    # It takes a while and many megabytes to import, and is rarely needed.
    import grpc

    name = action.service.encode()
    # A HealthCheckRequest: its only field is the service's name.
    request = b"\x0a" + bytes((len(name),)) + name if name else b""
    async with grpc.aio.insecure_channel(f"{address}:{action.port}") as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            return await check(request) == _SERVING
        except grpc.aio.AioRpcError:
            return False
