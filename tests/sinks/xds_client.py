"""A client of the xDS port with any certificate, or none; and the certificates."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import grpc
import grpc.aio

from trilithon.sinks.identity.authority import Authority, utc_now
from trilithon.sinks.identity.certification import Pair, Usage, issue
from trilithon.sinks.identity.trust import Trust, new_trust
from trilithon.sinks.identity.xds_security import Security
from trilithon.xds.identity import uri_of_gateway

NAME = "xds.test"


def authority() -> Authority:
    """An authority that nobody stores."""
    return Authority(new_trust(utc_now()))


def identity(trust: Trust, gateway: str, *, now: datetime | None = None, days: float = 1) -> Pair:
    """What a Gateway's Envoy shows."""
    made = now or utc_now()
    return issue(trust.signer, uri_of_gateway(gateway), (), Usage.CLIENT, made, timedelta(days=days))


def security(of: Authority) -> Security:
    """What a server needs."""
    return Security(of, (NAME,))


@asynccontextmanager
async def channel(port: int | None, trusts: bytes, shown: Pair | None) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to the port on this machine that believes a bundle and shows a certificate."""
    pair = (None, None) if shown is None else (shown.key_pem, shown.certificate_pem)
    credentials = grpc.ssl_channel_credentials(trusts, *pair)
    options = (
        ("grpc.ssl_target_name_override", NAME),
        # Otherwise two channels with equal arguments share a connection, and so an identity.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 200),
    )
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as opened:
        yield opened
