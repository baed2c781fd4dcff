"""Send one HTTP request to the API server and read its answer: who we are, whom we trust, and what failed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlencode

import aiohttp
from msgspec import Struct
from yarl import URL

from trilithon import __version__
from trilithon.kube.config import Config
from trilithon.kube.credentials import REREAD_SECONDS, Credential
from trilithon.kube.errors import ApiError, ConfigError, CredentialError, Unreachable, api_error
from trilithon.kube.tls import ca_bytes, tls_context

JSON = "application/json"
CONNECT_SECONDS = 10.0
# For the head of an answer: an API server may need this long for a list of everything.
ANSWER_SECONDS = 30.0
# For the next piece of an answer that has begun.
SILENCE_SECONDS = 20.0
# An error is told in a few hundred bytes.
_ERROR_BYTES = 64 * 1024

T = TypeVar("T")


class Request(Struct, frozen=True, kw_only=True, gc=False):
    """One request; ``path`` begins below the server's address and is escaped already."""

    method: str = "GET"
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = JSON
    accept: str = JSON

    def __repr__(self) -> str:
        """Without the body, which may be a Secret."""
        return f"{self.method} {self.path}"


class Answer:
    """The body of a successful answer, piece by piece."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def piece(self) -> bytes:
        """The next bytes, as they come; b"" at the end. Raises Unreachable if the connection breaks."""
        try:
            # Not by lines: aiohttp limits their length, and an object may be megabytes long.
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(error) from None


class Transport:
    """Connections to one API server. An async context manager."""

    def __init__(self, config: Config, user_agent: str = f"trilithon/{__version__}") -> None:
        self.config = config
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._tls_of: tuple[bytes | None, Credential] | None = None
        self._ca: bytes | None = None
        self._ca_read_at = float("-inf")

    async def __aenter__(self) -> Self:
        # Watches stay connected for long: only callers bound how many requests there are at once.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Deadlines are kept where requests are made; aiohttp's default would end every watch after 5 minutes.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, request: Request) -> bytes:
        """The whole answer. Raises ApiError, Unreachable, CredentialError or ConfigError."""
        async with self.stream(request) as answer:
            pieces = []
            while piece := await _in_time(answer.piece(), SILENCE_SECONDS):
                pieces.append(piece)
        return b"".join(pieces)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Answer]:
        """A successful answer while it comes; the caller keeps the deadlines of its pieces. Raises as ``fetch``."""
        credential = await self.config.credentials.current()
        response = await self._send(request, credential)
        if response.status == 401 and self.config.credentials.refuse(credential):
            renewed = await self.config.credentials.current()
            if renewed != credential:
                _leave(response)
                response = await self._send(request, renewed)
        try:
            if response.status >= 300:
                raise await _refusal(response)
            yield Answer(response)
        finally:
            _leave(response)

    async def _send(self, request: Request, credential: Credential) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the transport is not entered")
        config = self.config
        query = f"?{urlencode(request.query)}" if request.query else ""
        context = await self._context(credential) if config.server.startswith("https:") else True
        sending = self._session.request(
            request.method,
            URL(f"{config.server}{request.path}{query}", encoded=True),
            headers=self._headers(request, credential),
            data=request.body,
            ssl=context,
            server_hostname=config.trust.server_name or None,
            proxy=config.proxy or None,
            # A redirect would carry the token elsewhere.
            allow_redirects=False,
        )
        return await _in_time(sending, ANSWER_SECONDS)

    def _headers(self, request: Request, credential: Credential) -> list[tuple[str, str]]:
        headers = [("User-Agent", self._user_agent), ("Accept", request.accept), *self.config.headers]
        if request.body is not None:
            headers.append(("Content-Type", request.content_type))
        if not self.config.is_compressed:
            headers.append(("Accept-Encoding", "identity"))
        if token := credential.token:
            if not (token.isascii() and token.isprintable()):
                raise CredentialError("the token has characters that a header cannot carry")
            headers.append(("Authorization", f"Bearer {token}"))
        return headers

    async def _context(self, credential: Credential) -> ssl.SSLContext:
        """The TLS settings of now: a new authority or client certificate makes new ones, and so new connections."""
        trust, now = self.config.trust, time.monotonic()
        if now - self._ca_read_at >= REREAD_SECONDS:
            try:
                self._ca = await asyncio.to_thread(ca_bytes, trust)
            except ConfigError:
                # It was there before: somebody is replacing it.
                if self._tls is None:
                    raise
            self._ca_read_at = now
        material = (self._ca, Credential("", credential.certificate, credential.key))
        if self._tls is None or material != self._tls_of:
            self._tls = await asyncio.to_thread(tls_context, self._ca, credential, is_insecure=trust.is_insecure)
            self._tls_of = material
        return self._tls


def _leave(response: aiohttp.ClientResponse) -> None:
    """Be done with an answer. One that was not read to its end costs its connection."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        # At once: to close it in good order would wait for a server that may never answer.
        connection.transport.abort()
    response.close()


async def _in_time(work: Awaitable[T], seconds: float) -> T:
    """The result, if it comes in time. Raises Unreachable."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except (aiohttp.ClientError, OSError) as error:
        # TimeoutError is an OSError.
        raise _unreachable(error) from None


async def _refusal(response: aiohttp.ClientResponse) -> ApiError:
    """The error of an answer, with what its body says where that can be read."""
    try:
        body = await _in_time(response.content.read(_ERROR_BYTES), SILENCE_SECONDS)
    except Unreachable:
        body = b""
    return api_error(response.status, body, _seconds(response.headers))


def _seconds(headers: Mapping[str, str]) -> float | None:
    """The Retry-After of an answer; API servers write seconds, never a date."""
    asked = headers.get("Retry-After", "").strip()
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else None


def _unreachable(error: Exception) -> Unreachable:
    """What failed, in words that hold neither headers nor bodies."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or "not valid"
        return Unreachable(f"the API server's certificate is not trusted: {reason}", is_unsent=True)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unreachable(f"cannot connect to the API server: {error.os_error.strerror or error}", is_unsent=True)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Unreachable("the API server closed the connection")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Unreachable(f"the proxy refused with {error.status}", is_unsent=True)
    if isinstance(error, TimeoutError):
        return Unreachable("the API server does not answer")
    return Unreachable(f"the connection to the API server broke ({type(error).__name__})")
