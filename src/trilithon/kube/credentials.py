"""Who we are to the API server: tokens and client certificates, read anew as they change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from trilithon.kube.errors import CredentialError

# A projected service account token is replaced well before it expires; client-go looks every minute too.
REREAD_SECONDS = 60.0

Clock = Callable[[], float]


class Credential(Struct, frozen=True, gc=False):
    """A bearer token, a client certificate with its key (PEM), both, or nothing."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""

    def __repr__(self) -> str:
        """What kinds of credential there are, not what they are."""
        kinds = [name for name in ("token", "certificate") if getattr(self, name)]
        return f"Credential({', '.join(kinds) or 'anonymous'})"


class Credentials(Protocol):
    """Where the current credential comes from."""

    async def current(self) -> Credential:
        """The credential to use now. Raises CredentialError if there is none to be had."""

    def refuse(self, refused: Credential) -> bool:
        """The server answered 401 to ``refused``; whether ``current`` may now give another one."""


class FixedCredentials:
    """A credential that never changes."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def __repr__(self) -> str:
        return f"FixedCredentials({self._credential!r})"

    async def current(self) -> Credential:
        """The same every time."""
        return self._credential

    def refuse(self, refused: Credential) -> bool:
        """There is no other."""
        del refused
        return False


class FileCredentials:
    """A token or a client certificate in files, which somebody else replaces from time to time.

    A file that cannot be read any more leaves the last credential in use; only the first reading must succeed.
    """

    def __init__(
        self,
        *,
        token: Path | None = None,
        fixed_token: str = "",
        certificate: Path | bytes = b"",
        key: Path | bytes = b"",
        clock: Clock = time.monotonic,
    ) -> None:
        self._token = token
        self._fixed_token = fixed_token
        self._certificate = certificate
        self._key = key
        self._clock = clock
        self._last: Credential | None = None
        self._read_at = float("-inf")

    def __repr__(self) -> str:
        return f"FileCredentials({self._last!r})"

    async def current(self) -> Credential:
        """What the files held at most a minute ago."""
        if self._last is not None and self._clock() - self._read_at < REREAD_SECONDS:
            return self._last
        try:
            self._last = await asyncio.to_thread(self._read)
        except CredentialError:
            if self._last is None:
                raise
        self._read_at = self._clock()
        return self._last

    def refuse(self, refused: Credential) -> bool:
        """Read again at once, unless that has been done since ``refused`` was given out."""
        if self._last == refused:
            self._read_at = float("-inf")
        return True

    def _read(self) -> Credential:
        token = _text(self._token) if self._token is not None else self._fixed_token
        return Credential(token, _bytes(self._certificate), _bytes(self._key))


def _text(file: Path) -> str:
    token = _bytes(file).decode("ascii", "replace").strip()
    if not token:
        raise CredentialError(f"the token file {file} is empty")
    return token


def _bytes(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise CredentialError(f"cannot read {source}: {error.strerror or 'unknown error'}") from None
