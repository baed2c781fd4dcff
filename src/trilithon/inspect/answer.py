"""Say what a rule does to a request: the request the backend gets, or the redirect's Location."""

from __future__ import annotations

from trilithon.inspect.decision import Forwarded
from trilithon.inspect.request import DEFAULT_PORTS, Request
from trilithon.model.listener import Listener
from trilithon.model.rule import Filters, HeaderEdit, Match, PathEdit, Redirect, Rule
from trilithon.model.settings import Settings


def edited_path(edit: PathEdit | None, match: Match, path: str) -> str:
    """A path after a path modifier; a prefix is replaced by whole elements (HTTPPathModifier)."""
    if edit is None:
        return path
    if edit.kind == "full":
        return edit.value
    prefix = match.path.value.removesuffix("/") if match.path.kind == "prefix" else ""
    return edit.value.removesuffix("/") + path[len(prefix) :] or "/"


def location(settings: Settings, redirect: Redirect, match: Match, request: Request, path: str, listener: Listener) -> str:
    """The Location of a redirect (HTTPRequestRedirectFilter: port inference, default ports left out)."""
    scheme = redirect.scheme or request.scheme
    host = redirect.hostname or request.authority.partition(":")[0]
    if redirect.port is not None:
        port = redirect.port
    elif redirect.scheme is not None:
        port = DEFAULT_PORTS[redirect.scheme]
    else:
        port = settings.bound_port(listener.port)
    shown = "" if port == DEFAULT_PORTS[scheme] else f":{port}"
    target = edited_path(redirect.path, match, path)
    query = f"?{request.query}" if request.query is not None and "?" not in target else ""
    return f"{scheme}://{host}{shown}{target}{query}"


def forwarded(rule: Rule, match: Match, request: Request, path: str, backend: Filters) -> Forwarded:
    """The request as a backend gets it: the rule's changes, then the backend ref's own."""
    rewrite = rule.filters.rewrite
    target = edited_path(rewrite.path if rewrite else None, match, path)
    query = f"?{request.query}" if request.query is not None else ""
    before, after = rule.filters.request_headers or HeaderEdit(), backend.request_headers or HeaderEdit()
    response, own_response = rule.filters.response_headers or HeaderEdit(), backend.response_headers or HeaderEdit()
    return Forwarded(
        method=request.method,
        target=target + query,
        host=(rewrite.hostname if rewrite and rewrite.hostname else request.authority),
        set=before.set + after.set,
        add=before.add + after.add,
        remove=before.remove + after.remove,
        response_set=response.set + own_response.set,
        response_add=response.add + own_response.add,
        response_remove=response.remove + own_response.remove,
        mirrors=tuple(str(mirror.backend) for mirror in rule.filters.mirrors),
    )
