"""Work out what the filters of a rule or of a backend reference do: one function per type of filter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import get_args

from msgspec import Struct

from trilithon.model import route_mistakes as mistakes
from trilithon.model.rule import Cors, Filters, HeaderEdit, Mirror, PathEdit, Redirect, Rewrite
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.resources.routes import (
    FilterType,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRouteFilter,
)
from trilithon.translate.backends import Resolve


class Effect(Struct, frozen=True, gc=False):
    """What filters do.

    ``refusals`` are filters that cannot be honoured: never skipped, the rule answers 500. ``problems`` cost no more
    than themselves.
    """

    filters: Filters = Filters()
    redirect: Redirect | None = None
    refusals: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()


class Step(Struct, frozen=True, gc=False):
    """One filter of a route and where it stands."""

    resolve: Resolve
    route: Key
    filter: HTTPRouteFilter
    at: str


IN_RULE = frozenset(get_args(FilterType))
# Envoy has these per backend; ExtensionRef and ExternalAuth are here to be refused by their own names.
IN_BACKEND = frozenset({"RequestHeaderModifier", "ResponseHeaderModifier", "CORS", "ExtensionRef", "ExternalAuth"})
# A mirror of a rule's only backend mirrors the rule.
IN_ONLY_BACKEND = IN_BACKEND | {"RequestMirror"}


def filters_of(
    resolve: Resolve, route: Key, written: Iterable[HTTPRouteFilter], at: str, supported: frozenset[str]
) -> Effect:
    """What a list of filters comes to; types that are not among the supported ones here are refused."""
    effects: list[Effect] = []
    for index, item in enumerate(written):
        step = Step(resolve, route, item, f"{at}.filters[{index}]")
        if item.type in supported:
            effects.append(_FILTERS[item.type](step))
        else:
            refusal = mistakes.RULE_FILTER_IN_BACKEND.at(route, step.at, type=item.type)
            effects.append(Effect(refusals=(refusal,)))
    return _together(effects)


def _together(effects: list[Effect]) -> Effect:
    """Several filters as one. A type that may stand only once counts once, should validation have let more through."""
    filters = [effect.filters for effect in effects]
    return Effect(
        filters=Filters(
            request_headers=next((item.request_headers for item in filters if item.request_headers), None),
            response_headers=next((item.response_headers for item in filters if item.response_headers), None),
            rewrite=next((item.rewrite for item in filters if item.rewrite), None),
            mirrors=tuple(mirror for item in filters for mirror in item.mirrors),
            cors=next((item.cors for item in filters if item.cors), None),
        ),
        redirect=next((effect.redirect for effect in effects if effect.redirect), None),
        refusals=tuple(refusal for effect in effects for refusal in effect.refusals),
        problems=tuple(problem for effect in effects for problem in effect.problems),
    )


# --- Header modifiers -------------------------------------------------------------------------------------------------
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_CONNECTION = "it belongs to one connection, and Envoy manages it"
_FRAMING = "it frames the message, and Envoy manages it"
# A modified one of these would break the connection or let requests be smuggled (RFC 9110, 7.6.1; RFC 9112, 6.3).
_UNTOUCHABLE = {
    "connection": _CONNECTION,
    "keep-alive": _CONNECTION,
    "proxy-connection": _CONNECTION,
    "upgrade": _CONNECTION,
    "transfer-encoding": _FRAMING,
    "content-length": _FRAMING,
}


def _request_headers(step: Step) -> Effect:
    written = step.filter.request_header_modifier or HTTPHeaderFilter()
    edit, refusals, problems = _header_edit(step.route, written, f"{step.at}.requestHeaderModifier")
    return Effect(filters=Filters(request_headers=edit), refusals=refusals, problems=problems)


def _response_headers(step: Step) -> Effect:
    written = step.filter.response_header_modifier or HTTPHeaderFilter()
    edit, refusals, problems = _header_edit(step.route, written, f"{step.at}.responseHeaderModifier")
    return Effect(filters=Filters(response_headers=edit), refusals=refusals, problems=problems)


def _header_edit(
    route: Key, written: HTTPHeaderFilter, at: str
) -> tuple[HeaderEdit | None, tuple[Problem, ...], tuple[Problem, ...]]:
    """The edit with names in lower case, what makes it impossible, and warnings.

    "Only one action for a given header name is permitted" (HTTPHeaderFilter): the first counts.
    """
    actions = [
        *(("set", index, header.name, header.value) for index, header in enumerate(written.set)),
        *(("add", index, header.name, header.value) for index, header in enumerate(written.add)),
        *(("remove", index, name, "") for index, name in enumerate(written.remove)),
    ]
    kept: dict[str, tuple[str, str]] = {}
    refusals: list[Problem] = []
    warnings: list[Problem] = []
    for action, index, written_name, value in actions:
        name, where = written_name.lower(), f"{at}.{action}[{index}]"
        refusal = _impossible(route, name, where)
        if refusal is not None:
            refusals.append(refusal)
        elif name in kept:
            warnings.append(mistakes.RULE_HEADER_REPEATED.at(route, where, name=name))
        else:
            kept[name] = (action, value)
    edit = HeaderEdit(
        set=tuple((name, value) for name, (action, value) in kept.items() if action == "set"),
        add=tuple((name, value) for name, (action, value) in kept.items() if action == "add"),
        remove=tuple(name for name, (action, _) in kept.items() if action == "remove"),
    )
    return edit if kept else None, tuple(refusals), tuple(warnings)


def _impossible(route: Key, name: str, at: str) -> Problem | None:
    if name == "host":
        return mistakes.RULE_HOST_HEADER.at(route, at)
    # The API leaves names in "remove" open, and Envoy drops the whole route table over a bad one.
    why = _UNTOUCHABLE.get(name) if _HEADER_NAME.fullmatch(name) else "it is not the name of a header"
    return mistakes.RULE_HEADER_IMPOSSIBLE.at(route, at, name=name, why=why) if why else None


# --- Redirect and rewrite ---------------------------------------------------------------------------------------------
# What may stand in the path of a request line or a Location without being escaped (RFC 3986, 3.3), a query included.
_PATH = re.compile(r"(?:[A-Za-z0-9/\-._~!$&'()*+,;=:@?]|%[0-9A-Fa-f]{2})*")


def _path_edit(route: Key, written: HTTPPathModifier | None, at: str) -> tuple[PathEdit | None, tuple[Problem, ...]]:
    if written is None:
        return None, ()
    if written.type == "ReplaceFullPath":
        field, value = "replaceFullPath", written.replace_full_path or ""
        # A path is never empty, and one without its slash would run into the host name before it.
        edit = PathEdit("full", value if value.startswith("/") else f"/{value}")
    else:
        field, value = "replacePrefixMatch", written.replace_prefix_match or ""
        edit = PathEdit("prefix", value if value.startswith("/") or not value else f"/{value}")
    if _PATH.fullmatch(value) is None:
        # Envoy refuses control characters with the whole route table, and passes others on as a broken request line.
        what = f"{value!r} is not a path: it holds a character that must be escaped"
        return None, (mistakes.RULE_VALUE_UNSUPPORTED.at(route, f"{at}.{field}", what=what),)
    return edit, ()


def _redirect(step: Step) -> Effect:
    written = step.filter.request_redirect
    if written is None:
        return Effect()
    path, refusals = _path_edit(step.route, written.path, f"{step.at}.requestRedirect.path")
    redirect = Redirect(
        status=written.status_code,
        scheme=written.scheme,
        hostname=written.hostname,
        port=written.port,
        path=path,
    )
    return Effect(redirect=redirect, refusals=refusals)


def _rewrite(step: Step) -> Effect:
    written = step.filter.url_rewrite
    if written is None:
        return Effect()
    path, refusals = _path_edit(step.route, written.path, f"{step.at}.urlRewrite.path")
    rewrite = Rewrite(written.hostname, path) if written.hostname or path else None
    return Effect(filters=Filters(rewrite=rewrite), refusals=refusals)


# --- Mirror, CORS and what is not supported ---------------------------------------------------------------------------
def _mirror(step: Step) -> Effect:
    """A copy elsewhere. A reference that leads nowhere drops the mirror and leaves the traffic alone."""
    written = step.filter.request_mirror
    if written is None:
        return Effect()
    backend, problem = step.resolve(written.backend_ref, f"{step.at}.requestMirror.backendRef")
    numerator, denominator = _share(written)
    mirrors = (Mirror(backend, numerator, denominator),) if backend is not None and numerator else ()
    return Effect(filters=Filters(mirrors=mirrors), problems=(problem,) if problem is not None else ())


def _share(written: HTTPRequestMirrorFilter) -> tuple[int, int]:
    # "If neither Fraction nor Percent is specified, then 100% of requests will be mirrored" (HTTPRequestMirrorFilter).
    if written.percent is not None:
        return written.percent, 100
    if written.fraction is not None:
        return min(written.fraction.numerator, written.fraction.denominator), written.fraction.denominator
    return 100, 100


def _cors(step: Step) -> Effect:
    written = step.filter.cors
    if written is None:
        return Effect()
    cors = Cors(
        allow_origins=written.allow_origins,
        allow_methods=written.allow_methods,
        allow_headers=written.allow_headers,
        expose_headers=written.expose_headers,
        allow_credentials=written.allow_credentials is True,
        max_age=written.max_age,
    )
    return Effect(filters=Filters(cors=cors))


def _external_auth(step: Step) -> Effect:
    return Effect(refusals=(mistakes.RULE_EXTERNAL_AUTH.at(step.route, step.at),))


def _extension(step: Step) -> Effect:
    ref = step.filter.extension_ref
    problem = mistakes.EXTENSION_KIND_UNKNOWN.at(
        step.route, f"{step.at}.extensionRef", kind=ref.kind if ref else "", group=ref.group if ref else ""
    )
    return Effect(refusals=(problem,))


_FILTERS: dict[str, Callable[[Step], Effect]] = {
    "RequestHeaderModifier": _request_headers,
    "ResponseHeaderModifier": _response_headers,
    "RequestRedirect": _redirect,
    "URLRewrite": _rewrite,
    "RequestMirror": _mirror,
    "CORS": _cors,
    "ExternalAuth": _external_auth,
    "ExtensionRef": _extension,
}
