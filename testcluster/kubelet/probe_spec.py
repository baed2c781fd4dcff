"""What a pod asks to be done to a container: probes and hooks."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

# A port, by number or by the name that the container gives it.
PortRef: TypeAlias = int | str


class ExecAction(Struct, frozen=True):
    """Run a command in the container."""

    command: tuple[str, ...] = ()


class HttpHeader(Struct, frozen=True):
    """A header of a probe."""

    name: str
    value: str = ""


class HttpAction(Struct, frozen=True, rename="camel"):
    """Ask over HTTP."""

    port: PortRef
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: tuple[HttpHeader, ...] = ()


class TcpAction(Struct, frozen=True):
    """Open a connection."""

    port: PortRef
    host: str = ""


class GrpcAction(Struct, frozen=True):
    """Ask the gRPC health service."""

    port: int
    service: str = ""


class SleepAction(Struct, frozen=True):
    """Wait."""

    seconds: int


class Hook(Struct, frozen=True, rename="camel"):
    """What is done after the start or before the end; one field is set."""

    exec: ExecAction | None = None
    http_get: HttpAction | None = None
    tcp_socket: TcpAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(Struct, frozen=True, rename="camel"):
    """The hooks of a container."""

    post_start: Hook | None = None
    pre_stop: Hook | None = None


class Probe(Struct, frozen=True, rename="camel"):
    """A question that is asked again and again; one action is set."""

    exec: ExecAction | None = None
    http_get: HttpAction | None = None
    tcp_socket: TcpAction | None = None
    grpc: GrpcAction | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None
