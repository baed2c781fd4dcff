"""Encode redirects, in two steps: what a rule says, and what the listener it is served on adds."""

from __future__ import annotations

import re
from collections.abc import Callable

from envoy.config.route.v3.route_components_pb2 import RedirectAction, Route, RouteAction
from envoy.extensions.filters.http.lua.v3.lua_pb2 import LuaPerRoute

from trilithon.model.listener import RouteTableKey
from trilithon.model.rule import Match, PathEdit, Redirect
from trilithon.model.settings import Settings

# Envoy keeps the port of the request's Host header, unless another one is named, and then writes it even where it is
# the scheme's own. No route action leaves the port out, and no other filter may touch the Host.
HOST_WITHOUT_PORT = "host-without-port"
HOST_WITHOUT_PORT_SCRIPT = """\
function envoy_on_request(handle)
  local headers = handle:headers()
  local host = headers:get(":authority")
  if host ~= nil then
    headers:replace(":authority", (host:gsub(":%d+$", "")))
  end
end
"""
LUA_FILTER = "envoy.filters.http.lua"

_CODES = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}
_WELL_KNOWN = {"http": 80, "https": 443}


def fill_redirect(target: RedirectAction, redirect: Redirect, match: Match) -> None:
    """Write all of a redirect but the port."""
    target.response_code = _CODES[redirect.status]
    if redirect.scheme is not None:
        target.scheme_redirect = redirect.scheme
    if redirect.hostname is not None:
        target.host_redirect = redirect.hostname
    if redirect.path is None:
        return
    if redirect.path.kind == "full":
        # Envoy reads an empty path as none at all.
        target.path_redirect = redirect.path.value or "/"
    else:
        fill_prefix(target, redirect.path, match)


def fill_prefix(target: RedirectAction | RouteAction, edit: PathEdit, match: Match) -> None:
    """Replace the prefix that matched, whole path elements only (HTTPPathModifier.replacePrefixMatch and its table)."""
    prefix, replacement = match.path.value, edit.value.rstrip("/")
    if prefix == "/":
        # Envoy replaces the "/" itself, so it has to stand in the replacement again.
        if replacement:
            target.prefix_rewrite = f"{replacement}/"
    elif replacement:
        target.prefix_rewrite = replacement
    else:
        # "/foo/bar" must become "/bar" and "/foo" must become "/": no fixed text does both.
        target.regex_rewrite.pattern.regex = f"^{re.escape(prefix)}/?"
        target.regex_rewrite.substitution = "/"


def location_port(
    settings: Settings, redirect: Redirect, scheme: str, port: int, listens: Callable[[int], bool]
) -> int | None:
    """The port to write into Location, None for no port.

    ``scheme`` is the listener's, ``port`` as the Gateway writes it. "If no port is specified, the redirect port MUST be
    derived using the following rules", and "Implementations SHOULD NOT add the port number in the Location header"
    where it is the scheme's own (HTTPRequestRedirectFilter.port). ``listens`` tells whether the Gateway itself has a
    listener on a port: what it has at the scheme's own port is found at the moved one.
    """
    usual = _WELL_KNOWN[redirect.scheme or scheme]
    named = redirect.port or _inferred(settings, redirect, usual, port, listens)
    return None if named == usual else named


def _inferred(settings: Settings, redirect: Redirect, usual: int, port: int, listens: Callable[[int], bool]) -> int:
    if redirect.scheme is None:
        return settings.bound_port(port)
    # Another host's ports are not moved.
    is_moved = settings.port_offset != 0 and redirect.hostname is None and listens(usual)
    return settings.bound_port(usual) if is_moved else usual


def closed(
    settings: Settings,
    routes: tuple[bytes, ...],
    redirect: Redirect,
    table: RouteTableKey,
    listens: Callable[[int], bool],
) -> tuple[bytes, ...]:
    """Encoded redirects completed for a route table; ``listens`` as for ``location_port``.

    Protobuf merges a message field that is written twice, so the port is appended, and nothing is encoded again.
    """
    named = location_port(settings, redirect, "https" if table.scope else "http", table.port, listens)
    if named is not None:
        missing = Route(redirect=RedirectAction(port_redirect=named)).SerializeToString()
    elif redirect.hostname is None:
        missing = _WITHOUT_PORT
    else:
        return routes
    return tuple(route + missing for route in routes)


def _without_port() -> bytes:
    route = Route()
    route.typed_per_filter_config[LUA_FILTER].Pack(LuaPerRoute(name=HOST_WITHOUT_PORT))
    return route.SerializeToString(deterministic=True)


_WITHOUT_PORT = _without_port()
