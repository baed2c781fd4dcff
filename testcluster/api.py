"""A small client of the cluster's API server, for the cluster's own use and for tests: it knows nothing of Trilithon.

It reaches the API server from wherever it runs, because its sockets are made in the hub.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from testcluster import namespaces
from testcluster.layout import API_PORT, NODE_ADDRESS, Layout
from testcluster.pki import ADMIN, token_of

# So an API server that has just started answers who asks first for a kind that is no built-in one.
_BUSY: Final = 429
_BUSY_SECONDS: Final = 30.0
_BUSY_PAUSE: Final = 0.2
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY: Final = "application/apply-patch+yaml"

Object = dict[str, Any]
"""An object of the API as it came."""


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, request: str, status: int, message: str) -> None:
        super().__init__(f"{request}: {status} {message}")
        self.status = status
        self.message = message


class Api:
    """Requests as one user of the cluster. Each has a connection of its own, so a restarted server matters to none."""

    def __init__(self, layout: Layout, token: str | None = None) -> None:
        self._layout = layout
        self._token = token or token_of(layout.pki, ADMIN)
        self._tls = ssl.create_default_context(cafile=layout.pki / "ca.crt")

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """The status and the body of the answer, whatever it is. OSError if there is none."""
        with closing(self._connect(timeout)) as connection:
            data = None if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
            connection.request(method, path, data, {**self._headers(content_type), **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def call(
        self, method: str, path: str, body: object = None, content_type: str = "application/json", timeout: float = 10.0
    ) -> Any:
        """The answer's JSON, or its text if it is none; who is told to come again later does.

        ApiError if it is not a good one, OSError if there is none.
        """
        deadline = time.monotonic() + _BUSY_SECONDS
        status, answer = self.request(method, path, body, content_type, timeout)
        while status == _BUSY and time.monotonic() < deadline:
            time.sleep(_BUSY_PAUSE)
            status, answer = self.request(method, path, body, content_type, timeout)
        try:
            value = msgspec.json.decode(answer)
        except msgspec.DecodeError:
            value = answer.decode(errors="replace")
        if status >= 300:
            raise ApiError(f"{method} {path}", status, value["message"] if isinstance(value, dict) else str(value))
        return value

    def get(self, path: str) -> Any:
        """What is at a path; ApiError if nothing is."""
        return self.call("GET", path)

    def find(self, path: str) -> Any | None:
        """What is at a path; None if nothing is."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def merge(self, path: str, patch: object) -> Any:
        """Change an object by a JSON merge patch."""
        return self.call("PATCH", path, patch, MERGE_PATCH)

    def delete(self, path: str, grace: int | None = None) -> bool:
        """Delete an object; False if there was none."""
        query = "" if grace is None else f"?gracePeriodSeconds={grace}"
        try:
            self.call("DELETE", path + query)
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return True

    def watch(self, path: str, version: str, seconds: int) -> Iterator[Object]:
        """Watch a collection from a version on, for so long. OSError if the server is silent well after that time."""
        query = urlencode(
            {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        )
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            with closing(self._connect(seconds + 5.0)) as connection:
                connection.request("GET", f"{path}?{query}", headers=self._headers("application/json"))
                answer = connection.getresponse()
                if answer.status == 200:
                    for line in answer:
                        yield msgspec.json.decode(line)
                    return
                if answer.status != _BUSY or time.monotonic() > deadline:
                    raise ApiError(f"watch {path}", answer.status, answer.read().decode(errors="replace"))
            time.sleep(_BUSY_PAUSE)

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.request("GET", "/readyz", timeout=2.0)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _headers(self, content_type: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", "Content-Type": content_type, "User-Agent": "testcluster"}

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        return _HubConnection(self._layout.hub, self._tls, timeout)


class _HubConnection(http.client.HTTPSConnection):
    def __init__(self, hub: str, tls: ssl.SSLContext, timeout: float) -> None:
        super().__init__(str(NODE_ADDRESS), API_PORT, timeout=timeout, context=tls)
        self._hub = hub
        self._tls = tls
        self._patience = timeout

    def connect(self) -> None:
        plain = namespaces.connect(self._hub, (self.host, self.port), self._patience)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def conditions(value: Object) -> dict[str, str]:
    """The conditions of an object, type to status; the list may be null just after its creation."""
    listed = (value.get("status") or {}).get("conditions") or []
    return {condition["type"]: condition["status"] for condition in listed}
