"""Say what a rule does to a request: the request the backend gets, or the redirect's Location."""

from __future__ import annotations

from collections.abc import Iterable

from trilithon.inspect.decision import Forwarded
from trilithon.inspect.request import Request, without_port
from trilithon.model.listener import Listener, PortKey
from trilithon.model.rule import Filters, HeaderEdit, Match, PathEdit, Redirect, Rule
from trilithon.model.tables import PORT_LISTENERS
from trilithon.pipeline import Translation
from trilithon.xds.headers import then
from trilithon.xds.redirect import location_port


def edited_path(edit: PathEdit | None, match: Match, path: str) -> str:
    """A path after a path modifier; a prefix is replaced by whole elements (HTTPPathModifier)."""
    if edit is None:
        return path
    if edit.kind == "full":
        return edit.value
    prefix = match.path.value.removesuffix("/") if match.path.kind == "prefix" else ""
    return edit.value.removesuffix("/") + path[len(prefix) :] or "/"


def location(
    translation: Translation, redirect: Redirect, match: Match, request: Request, path: str, listener: Listener
) -> str:
    """The Location of a redirect (HTTPRequestRedirectFilter: port inference, default ports left out)."""

    def listens(port: int) -> bool:
        return translation.engine.row(PORT_LISTENERS, PortKey(listener.key.gateway, port)) is not None

    scheme = redirect.scheme or request.scheme
    host = redirect.hostname or without_port(request.authority)
    port = location_port(
        translation.settings,
        redirect,
        request.scheme,
        listener.port,
        listens,
    )
    shown = "" if port is None else f":{port}"
    target = edited_path(redirect.path, match, path)
    query = f"?{request.query}" if request.query is not None and "?" not in target else ""
    return f"{scheme}://{host}{shown}{target}{query}"


def forwarded(rule: Rule, match: Match, request: Request, path: str, backend: Filters) -> Forwarded:
    """The request as a backend gets it: the rule's changes, then the backend ref's own."""
    rewrite = rule.filters.rewrite
    target = edited_path(rewrite.path if rewrite else None, match, path)
    query = f"?{request.query}" if request.query is not None else ""
    sent = then(rule.filters.request_headers, backend.request_headers) or HeaderEdit()
    received = then(rule.filters.response_headers, backend.response_headers) or HeaderEdit()
    return Forwarded(
        method=request.method,
        target=target + query,
        host=(rewrite.hostname if rewrite and rewrite.hostname else request.authority),
        set=sent.set,
        add=sent.add,
        remove=sent.remove,
        response_set=received.set,
        response_add=received.add,
        response_remove=received.remove,
        mirrors=tuple(str(mirror.backend) for mirror in rule.filters.mirrors),
    )


def edited_headers(headers: Iterable[tuple[str, str]], edit: HeaderEdit) -> list[tuple[str, str]]:
    """Headers after an edit, names in lower case: first what it removes, then what it sets, then what it adds."""
    gone = {name.lower() for name in (*edit.remove, *(name for name, _ in edit.set))}
    kept = [(name.lower(), value) for name, value in headers if name.lower() not in gone]
    return kept + [(name.lower(), value) for name, value in (*edit.set, *edit.add)]
