"""HTTPRoute (gateway.networking.k8s.io v1 and v1beta1, experimental fields included)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trilithon.resources.flaw import Flaw
from trilithon.resources.meta import (
    MAX_INT32,
    MAX_INT64,
    MIN_INT64,
    BackendObjectReference,
    Duration,
    Group,
    HeaderName,
    HeaderValue,
    Hostname,
    Key,
    Kind,
    LocalObjectReference,
    NamespaceName,
    ObjectName,
    ParentReference,
    PortNumber,
    PreciseHostname,
    SectionName,
    Spec,
)

# Rules of a route, and matches of one of them.
MOST_RULES = 16
MOST_MATCHES = 64
Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]


class HTTPPathMatch(Spec, kw_only=True):
    """The path condition of a match; an unset part has the CRD's default."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    value: Annotated[str, Meta(max_length=1024)] = "/"


class HTTPHeaderMatch(Spec, kw_only=True):
    """A condition on one header."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    name: HeaderName
    value: HeaderValue


class HTTPQueryParamMatch(Spec, kw_only=True):
    """A condition on one query parameter."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    name: HeaderName
    value: Annotated[str, Meta(min_length=1, max_length=1024)]


class HTTPRouteMatch(Spec, kw_only=True):
    """All conditions must hold."""

    path: HTTPPathMatch = HTTPPathMatch()
    headers: Annotated[tuple[HTTPHeaderMatch, ...], Meta(max_length=16)] = ()
    query_params: Annotated[tuple[HTTPQueryParamMatch, ...], Meta(max_length=16)] = ()
    method: Method | None = None


class HTTPHeader(Spec, kw_only=True):
    """A header to set or add."""

    name: HeaderName
    value: HeaderValue


class HTTPHeaderFilter(Spec, kw_only=True):
    """Changes to headers."""

    set: Annotated[tuple[HTTPHeader, ...], Meta(max_length=16)] = ()
    add: Annotated[tuple[HTTPHeader, ...], Meta(max_length=16)] = ()
    remove: Annotated[tuple[str, ...], Meta(max_length=16)] = ()


class HTTPPathModifier(Spec, kw_only=True):
    """How a path is replaced."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: Annotated[str, Meta(max_length=1024)] | None = None
    replace_prefix_match: Annotated[str, Meta(max_length=1024)] | None = None


class HTTPRequestRedirectFilter(Spec, kw_only=True):
    """Answer with a redirect; unset parts are those of the request."""

    scheme: Literal["http", "https"] | None = None
    hostname: PreciseHostname | None = None
    path: HTTPPathModifier | None = None
    port: PortNumber | None = None
    status_code: Literal[301, 302, 303, 307, 308] = 302


class HTTPURLRewriteFilter(Spec, kw_only=True):
    """Change the host or path before forwarding."""

    hostname: PreciseHostname | None = None
    path: HTTPPathModifier | None = None


class Fraction(Spec, kw_only=True):
    """A share of requests."""

    numerator: Annotated[int, Meta(ge=0, le=MAX_INT32)]
    denominator: Annotated[int, Meta(ge=1, le=MAX_INT32)] = 100


class HTTPRequestMirrorFilter(Spec, kw_only=True):
    """Send a copy elsewhere; neither percent nor fraction means every request."""

    backend_ref: BackendObjectReference
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    fraction: Fraction | None = None


CORSOrigin = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"(^\*\Z)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)\Z)",
        description="an origin: * alone, or scheme://host[:port] such as https://*.example.com",
    ),
]


class HTTPCORSFilter(Spec, kw_only=True):
    """Answer preflight requests and add CORS headers; ``max_age`` in seconds."""

    allow_origins: Annotated[tuple[CORSOrigin, ...], Meta(max_length=64)] = ()
    allow_credentials: bool | None = None
    allow_methods: Annotated[tuple[Method | Literal["*"], ...], Meta(max_length=9)] = ()
    allow_headers: Annotated[tuple[HeaderName, ...], Meta(max_length=64)] = ()
    expose_headers: Annotated[tuple[HeaderName, ...], Meta(max_length=64)] = ()
    max_age: Annotated[int, Meta(ge=1, le=MAX_INT32)] = 5


class GRPCAuthConfig(Spec, kw_only=True):
    """External authorization over gRPC."""

    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class HTTPAuthConfig(Spec, kw_only=True):
    """External authorization over HTTP."""

    path: (
        Annotated[
            str,
            Meta(
                max_length=1024,
                pattern=r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+\Z",
                description="a path: letters, digits, /-._~!$&'()*+,;=:@ and percent escapes",
            ),
        ]
        | None
    ) = None
    allowed_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    allowed_response_headers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


class ForwardBodyConfig(Spec, kw_only=True):
    """How much of the body the authorization server sees, in bytes."""

    max_size: Annotated[int, Meta(ge=MIN_INT64, le=MAX_INT64)] | None = None


class HTTPExternalAuthFilter(Spec, kw_only=True):
    """Ask an authorization server first."""

    protocol: Literal["HTTP", "GRPC"]
    backend_ref: BackendObjectReference
    grpc: GRPCAuthConfig | None = None
    http: HTTPAuthConfig | None = None
    forward_body: ForwardBodyConfig | None = None


FilterType = Literal[
    "RequestHeaderModifier",
    "ResponseHeaderModifier",
    "RequestMirror",
    "RequestRedirect",
    "URLRewrite",
    "ExtensionRef",
    "CORS",
    "ExternalAuth",
]


class HTTPRouteFilter(Spec, kw_only=True):
    """One step of processing; the field named like the type holds its settings."""

    type: FilterType
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    cors: HTTPCORSFilter | None = None
    external_auth: HTTPExternalAuthFilter | None = None
    extension_ref: LocalObjectReference | None = None


class HTTPBackendRef(Spec, kw_only=True):
    """A backend with its weight and its own filters."""

    group: Group = ""
    kind: Kind = "Service"
    name: ObjectName
    namespace: NamespaceName | None = None
    port: PortNumber | None = None
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    filters: Annotated[tuple[HTTPRouteFilter, ...], Meta(max_length=16)] = ()


class HTTPRouteTimeouts(Spec, kw_only=True):
    """Limits in time; "0s" means none."""

    request: Duration | None = None
    backend_request: Duration | None = None


class HTTPRouteRetry(Spec, kw_only=True):
    """When and how often to try again."""

    codes: tuple[Annotated[int, Meta(ge=400, le=599)], ...] = ()
    attempts: Annotated[int, Meta(ge=1, le=MAX_INT64)] | None = None
    backoff: Duration | None = None


class CookieConfig(Spec, kw_only=True):
    """Lifetime of a session cookie."""

    lifetime_type: Literal["Permanent", "Session"] = "Session"


class SessionPersistence(Spec, kw_only=True):
    """Keep a client on one endpoint."""

    session_name: Annotated[str, Meta(max_length=128)] | None = None
    absolute_timeout: Duration | None = None
    type: Literal["Cookie", "Header"] = "Cookie"
    cookie_config: CookieConfig | None = None


class HTTPRouteRule(Spec, kw_only=True):
    """What is matched, what is changed and where it goes."""

    name: SectionName | None = None
    matches: Annotated[tuple[HTTPRouteMatch, ...], Meta(max_length=MOST_MATCHES)] = (HTTPRouteMatch(),)
    filters: Annotated[tuple[HTTPRouteFilter, ...], Meta(max_length=16)] = ()
    backend_refs: Annotated[tuple[HTTPBackendRef, ...], Meta(max_length=16)] = ()
    timeouts: HTTPRouteTimeouts | None = None
    retry: HTTPRouteRetry | None = None
    session_persistence: SessionPersistence | None = None


class HTTPRouteSpec(Spec, kw_only=True):
    """An HTTPRoute as written."""

    parent_refs: Annotated[tuple[ParentReference, ...], Meta(max_length=32)] = ()
    hostnames: Annotated[tuple[Hostname, ...], Meta(max_length=16)] = ()
    rules: Annotated[tuple[HTTPRouteRule, ...], Meta(min_length=1, max_length=MOST_RULES)] = (HTTPRouteRule(),)
    use_default_gateways: Literal["All", "None"] | None = None


class HTTPRoute(Struct, frozen=True, gc=False):
    """An HTTPRoute. ``created`` is an RFC 3339 time, or "" for objects from files."""

    key: Key
    generation: int
    created: str
    spec: HTTPRouteSpec
    flaws: tuple[Flaw, ...] = ()


# Grows with each kind; every consumer of the routes table that differs by kind looks the kind up in a dict.
Route = HTTPRoute
