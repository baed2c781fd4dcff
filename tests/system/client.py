"""HTTP clients that send exactly the bytes they are told: HTTP/1.1 and HTTP/2, in the clear or over TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Self

import jh2.config  # type: ignore[import-untyped]
import jh2.connection  # type: ignore[import-untyped]
import jh2.events  # type: ignore[import-untyped]
import msgspec

Headers = Sequence[tuple[str, str]]
# Of HTTP/2: the length of a frame's header and the type of the frame that announces the end of a connection.
FRAME_HEADER = 9
GOAWAY = 7


class Answer(msgspec.Struct, frozen=True):
    """What came back: status, headers with lower-case names in order, and the body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The values of a header, joined by a comma; None when it is absent."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    @property
    def backend(self) -> str | None:
        """The name of the echo server that answered."""
        return self.header("x-backend")

    @property
    def echo(self) -> dict[str, Any]:
        """What the echo server saw."""
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded

    def seen_header(self, name: str) -> str | None:
        """A request header as the echo server saw it."""
        values = [value for key, value in self.echo["headers"] if key == name]
        return ", ".join(values) if values else None


class Unanswered(Exception):
    """The connection failed or ended before a whole answer came."""


def trusting(authority: bytes | None = None, *, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
    """A client context that trusts one authority (PEM), or anybody when there is none."""
    context = ssl.create_default_context()
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=authority.decode())
    context.set_alpn_protocols(list(alpn))
    return context


class Connection:
    """One HTTP/1.1 connection that sends exactly what it is told: target, Host and headers are not touched."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_open = True

    @classmethod
    async def open(
        cls, port: int, *, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None, sni: str | None = None
    ) -> Connection:
        """Connect. With `tls` and no `sni` the handshake carries no server name. Raises Unanswered."""
        try:
            reader, writer = await asyncio.open_connection(
                address, port, ssl=tls, server_hostname=(sni or "") if tls else None
            )
        except (OSError, ssl.SSLError) as error:
            raise Unanswered(f"connect: {error}") from error
        return cls(reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.is_open = False
        self._writer.close()

    @property
    def certificate(self) -> Mapping[str, Any]:
        """The server's certificate as `ssl` describes it; empty without TLS or trust."""
        return self._writer.get_extra_info("peercert") or {}

    @property
    def certificate_der(self) -> bytes | None:
        """The server's certificate itself, whether or not it is trusted; None without TLS."""
        tls = self._writer.get_extra_info("ssl_object")
        der: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
        return der

    async def send(self, raw: bytes, method: str = "GET") -> Answer:
        """Send these bytes and read one answer. Raises Unanswered."""
        try:
            self._writer.write(raw)
            await self._writer.drain()
            return await self._answer(method)
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise Unanswered(repr(error)) from error

    async def request(
        self, target: str = "/", *, host: str = "a.test", method: str = "GET", headers: Headers = (), body: bytes = b""
    ) -> Answer:
        """Send a request; the target goes out as it is written here. Raises Unanswered."""
        lines = [f"{method} {target} HTTP/1.1", f"host: {host}", *(f"{name}: {value}" for name, value in headers)]
        if body:
            lines.append(f"content-length: {len(body)}")
        return await self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body, method)

    async def get(self, target: str = "/", *, host: str = "a.test", headers: Headers = ()) -> Answer:
        """One GET. Raises Unanswered."""
        return await self.request(target, host=host, headers=headers)

    async def _answer(self, method: str) -> Answer:
        while True:
            status, headers = await self._head()
            if status == 101 or status >= 200:
                break
        fields = {name: value.lower() for name, value in headers}
        if method == "HEAD" or status in {101, 204, 304}:
            body = b""
        elif fields.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        elif "content-length" in fields:
            body = await self._reader.readexactly(int(fields["content-length"]))
        else:
            body = await self._reader.read()
            self.close()
        if fields.get("connection") == "close":
            self.close()
        return Answer(status, headers, body)

    async def _head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
        split = (line.partition(":") for line in lines)
        return int(first.split(" ", 2)[1]), tuple((name.lower(), value.strip()) for name, _, value in split)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return body


async def fetch(
    port: int,
    target: str = "/",
    *,
    host: str = "a.test",
    method: str = "GET",
    headers: Headers = (),
    body: bytes = b"",
    tls: ssl.SSLContext | None = None,
    sni: str | None = None,
    seconds: float = 30.0,
) -> Answer:
    """One HTTP/1.1 request on a connection of its own. Raises Unanswered, also after `seconds`."""
    try:
        async with asyncio.timeout(seconds), await Connection.open(port, tls=tls, sni=sni) as connection:
            return await connection.request(target, host=host, method=method, headers=headers, body=body)
    except TimeoutError as error:
        raise Unanswered(f"no answer within {seconds} s") from error


async def fetch_h2(
    port: int,
    target: str = "/",
    *,
    host: str = "a.test",
    headers: Headers = (),
    tls: ssl.SSLContext | None = None,
    sni: str | None = None,
    seconds: float = 30.0,
) -> Answer:
    """One HTTP/2 GET on a connection of its own: prior knowledge, or over TLS with ALPN. Raises Unanswered."""
    try:
        async with asyncio.timeout(seconds):
            connection = await H2Connection.open(port, tls=tls, sni=sni)
            try:
                return await connection.get(target, host=host, headers=headers)
            finally:
                connection.close()
    except TimeoutError as error:
        raise Unanswered(f"no answer within {seconds} s") from error


class H2Connection:
    """One HTTP/2 connection that asks one thing at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, scheme: str) -> None:
        self._reader = reader
        self._writer = writer
        self._scheme = scheme
        self._h2 = jh2.connection.H2Connection(jh2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._events: list[jh2.events.Event] = []
        self._unread = b""
        self.was_told_to_go = False
        self._is_closed = False

    @classmethod
    async def open(cls, port: int, *, tls: ssl.SSLContext | None = None, sni: str | None = None) -> H2Connection:
        """Connect; with `tls` the ALPN protocol must come out as h2. Raises Unanswered."""
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=tls, server_hostname=(sni or "") if tls else None
            )
        except (OSError, ssl.SSLError) as error:
            raise Unanswered(f"connect: {error}") from error
        if tls is not None and writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            writer.close()
            raise Unanswered("the server did not choose h2")
        return cls(reader, writer, "https" if tls else "http")

    def close(self) -> None:
        self._is_closed = True
        self._writer.close()

    @property
    def is_open(self) -> bool:
        """Whether another request may be sent: nothing new after GOAWAY."""
        return not (self._is_closed or self.was_told_to_go)

    @property
    def certificate(self) -> Mapping[str, Any]:
        """The server's certificate as `ssl` describes it; empty without TLS or trust."""
        return self._writer.get_extra_info("peercert") or {}

    async def get(self, target: str = "/", *, host: str = "a.test", headers: Headers = ()) -> Answer:
        """One GET. Raises Unanswered when the stream is reset or the connection ends."""
        stream = self._h2.get_next_available_stream_id()
        pseudo = [(":method", "GET"), (":scheme", self._scheme), (":authority", host), (":path", target)]
        self._h2.send_headers(stream, [*pseudo, *headers], end_stream=True)
        found: list[tuple[str, str]] = []
        body = b""
        while True:
            event = await self._next()
            if isinstance(event, jh2.events.ResponseReceived):
                found = [(str(name), str(value)) for name, value in event.headers or ()]
            elif isinstance(event, jh2.events.DataReceived):
                body += event.data or b""
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, jh2.events.StreamReset):
                raise Unanswered(f"stream reset: {event.error_code}")
            elif isinstance(event, jh2.events.StreamEnded):
                # What acknowledges the answer belongs to it: the peer may count what stays unsaid.
                await self._flush()
                fields = tuple(field for field in found if not field[0].startswith(":"))
                return Answer(int(dict(found)[":status"]), fields, body)

    async def _next(self) -> jh2.events.Event:
        while not self._events:
            await self._flush()
            data = await self._reader.read(65536)
            if not data:
                raise Unanswered("the connection ended")
            self._events = list(self._h2.receive_data(self._without_goaway(data)))
        return self._events.pop(0)

    def _without_goaway(self, data: bytes) -> bytes:
        # After GOAWAY the streams it names go on (RFC 9113, 6.8); the library would refuse their frames, so it never
        # sees one that is no error.
        self._unread += data
        passed = b""
        while len(self._unread) >= FRAME_HEADER:
            end = FRAME_HEADER + int.from_bytes(self._unread[:3])
            if len(self._unread) < end:
                break
            frame, self._unread = self._unread[:end], self._unread[end:]
            if frame[3] == GOAWAY and not any(frame[FRAME_HEADER + 4 : FRAME_HEADER + 8]):
                self.was_told_to_go = True
            else:
                passed += frame
        return passed

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()
