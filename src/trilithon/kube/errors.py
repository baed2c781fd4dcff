"""What can go wrong between us and an API server, as exceptions that never carry a secret."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class KubeError(Exception):
    """Anything of this layer that failed; the text is a sentence for people.

    ``is_forbidden`` says that the API server knows who asks, and does not let them.
    """

    is_forbidden = False


class ConfigError(KubeError):
    """How to reach the API server is not known: a kubeconfig is missing, wrong, or asks for what is not supported."""


class CredentialError(KubeError):
    """A credential could not be had: an exec plugin failed, a token file cannot be read."""


class Unreachable(KubeError):
    """No complete answer came: refused, reset, timed out, not trusted.

    ``is_unsent`` says that the server cannot have acted on the request, because there never was a connection.
    """

    def __init__(self, message: str, *, is_unsent: bool = False) -> None:
        super().__init__(message)
        self.is_unsent = is_unsent


class NotUnderstood(KubeError):
    """An answer came that is not what an API server says: not JSON, not a list, not an event."""


class _Details(Struct, rename="camel"):
    retry_after_seconds: int = 0


class _Status(Struct, rename="camel"):
    """The `Status` object with which an API server refuses."""

    kind: str = ""
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _Details | None = None


class ApiError(KubeError):
    """The API server refused.

    ``status`` is the HTTP status, ``reason`` the machine-readable word (``NotFound``, ``Conflict``, ``Expired``; ""
    if none was given), ``message`` the server's sentence, ``retry_after`` seconds to wait where it named them.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.is_forbidden = status == 403

    @property
    def is_expired(self) -> bool:
        """Whether the resource version or the continue token asked for is too old: a new list is needed."""
        return self.status == 410 or self.reason in ("Expired", "Gone")

    @property
    def is_for_later(self) -> bool:
        """Whether the same request may succeed a little later, and the server has not acted on it."""
        return self.status == 429 or (self.retry_after is not None and self.status in (500, 503, 504))


class HistoryWentBack(ApiError):
    """The API server tells of earlier versions than it did before."""

    def __init__(self) -> None:
        super().__init__(410, "Expired", "the API server's history went back")


# A proxy's error page is quoted only so far.
_QUOTED = 200


def api_error(status: int, body: bytes, retry_after: float | None = None) -> ApiError:
    """The error of an answer; ``status`` 0 takes the code from the body, as in a watch event of type ERROR."""
    try:
        said = msgspec.json.decode(body, type=_Status)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        said = _Status()
    if said.kind != "Status":
        text = body[:_QUOTED].decode("utf-8", "replace").strip() or "no explanation"
        return ApiError(status or 500, "", " ".join(text.split()), retry_after)
    if retry_after is None and said.details is not None and said.details.retry_after_seconds > 0:
        retry_after = float(said.details.retry_after_seconds)
    return ApiError(status or said.code or 500, said.reason, said.message or "no explanation", retry_after)
