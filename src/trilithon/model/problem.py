"""The catalogue of mistakes: the only place that knows both our mistakes and the spec's conditions and reasons.

A mistake becomes a ``Problem`` with ``MISTAKE.at(key, path, word=...)``. The status of an object, ``check``,
``explain`` and the dashboard all show that one value; only this table says which condition and reason it means.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem, Severity


class Mistake(Struct, frozen=True):
    """One kind of mistake.

    ``condition`` and ``reason`` are the spec's words, "" where a mistake does not touch a condition. ``message`` and
    ``hint`` are templates for ``str.format``.
    """

    code: str
    condition: str
    reason: str
    message: str
    hint: str = ""
    severity: Severity = "error"

    def at(self, key: Key, path: str, **words: object) -> Problem:
        """This mistake in this object at this field; a hint may be given as the word ``hint``."""
        hint = words.pop("hint", None)
        return Problem(
            code=self.code,
            key=key,
            path=path,
            message=self.message.format(**words),
            hint=str(hint) if hint is not None else self.hint.format(**words),
            severity=self.severity,
        )


_TABLE: list[Mistake] = []


def _mistake(
    code: str, condition: str, reason: str, message: str, hint: str = "", *, severity: Severity = "error"
) -> Mistake:
    entry = Mistake(code, condition, reason, message, hint, severity)
    _TABLE.append(entry)
    return entry


# --- GatewayClass and Gateway -----------------------------------------------------------------------------------------
CLASS_PARAMETERS = _mistake(
    "ClassParametersUnsupported",
    "Accepted",
    "InvalidParameters",
    "parametersRef names {kind} {name}, and no kind of parameters is supported yet",
    "remove spec.parametersRef",
)
GATEWAY_PARAMETERS = _mistake(
    "GatewayParametersUnsupported",
    "Accepted",
    "InvalidParameters",
    "infrastructure.parametersRef names {kind} {name}, and no kind of parameters is supported yet",
    "remove spec.infrastructure.parametersRef",
)
CLASS_NOT_FOUND = _mistake(
    "ClassNotFound",
    "",
    "",
    "GatewayClass {name} not found, so nothing serves this Gateway",
    "create the GatewayClass, or use the class trilithon",
    severity="warning",
)
ADDRESS_TYPE_UNSUPPORTED = _mistake(
    "AddressTypeUnsupported",
    "Accepted",
    "UnsupportedAddress",
    "addresses of type {type} are not supported",
    "use type IPAddress, or leave spec.addresses out",
)
ADDRESS_NOT_USABLE = _mistake(
    "AddressNotUsable",
    "Programmed",
    "AddressNotUsable",
    "the address {value} cannot be bound here; this process serves at {address}",
    "leave spec.addresses out, or serve at that address",
)
CLIENT_VALIDATION_UNSUPPORTED = _mistake(
    "ClientValidationUnsupported",
    "Accepted",
    "UnsupportedValue",
    "client certificate validation is not supported yet, and serving without it would let anyone in",
    "remove spec.tls.frontend to serve this listener without client certificates",
)
BACKEND_CLIENT_CERTIFICATE_UNSUPPORTED = _mistake(
    "BackendClientCertificateUnsupported",
    "",
    "",
    "tls.backend.clientCertificateRef has no effect yet: connections to backends are plain text",
    severity="warning",
)
FIELD_UNSUPPORTED = _mistake(
    "FieldUnsupported",
    "",
    "",
    "{field} is not supported yet and has no effect",
    severity="warning",
)

# --- Listeners --------------------------------------------------------------------------------------------------------
PROTOCOL_NOT_YET = _mistake(
    "ProtocolNotYetSupported",
    "Accepted",
    "UnsupportedProtocol",
    "protocol {protocol} is not supported yet",
    "use HTTP or HTTPS",
)
PROTOCOL_UNKNOWN = _mistake(
    "ProtocolUnknown",
    "Accepted",
    "UnsupportedProtocol",
    "protocol {protocol} is not known",
    "use HTTP or HTTPS",
)
ROUTE_KIND_UNSUPPORTED = _mistake(
    "RouteKindUnsupported",
    "ResolvedRefs",
    "InvalidRouteKinds",
    "kind {kind} is not supported on a listener of protocol {protocol}",
)
SELECTOR_MISSING = _mistake(
    "SelectorMissing",
    "Accepted",
    "UnsupportedValue",
    "allowedRoutes.namespaces.from is Selector but there is no selector, so no namespace is selected",
    "add allowedRoutes.namespaces.selector",
)
SELECTOR_MALFORMED = _mistake(
    "SelectorMalformed",
    "Accepted",
    "UnsupportedValue",
    "the namespace selector is malformed: {what}",
)
HOSTNAME_CONFLICT = _mistake(
    "HostnameConflict",
    "Conflicted",
    "HostnameConflict",
    "listeners {names} have the same port {port} and hostname {hostname}",
    "give each its own port or hostname",
)
PROTOCOL_CONFLICT = _mistake(
    "ProtocolConflict",
    "Conflicted",
    "ProtocolConflict",
    "listeners {names} put protocols {protocols} on one port {port}",
    "give each protocol its own port",
)
TLS_MISSING = _mistake(
    "TLSMissing",
    "Programmed",
    "InvalidTLSConfig",
    "an HTTPS listener needs tls.certificateRefs",
    "add tls.certificateRefs with a Secret of type kubernetes.io/tls",
)
TLS_NO_CERTIFICATES = _mistake(
    "NoUsableCertificate",
    "Programmed",
    "Invalid",
    "no certificate of this listener can be used",
)
TLS_OPTION_UNSUPPORTED = _mistake(
    "TLSOptionUnsupported",
    "",
    "",
    "tls option {option} is not known and has no effect",
    severity="warning",
)
CERTIFICATE_KIND = _mistake(
    "CertificateKindUnsupported",
    "ResolvedRefs",
    "InvalidCertificateRef",
    "a certificate of kind {kind} is not supported",
    "use a Secret of type kubernetes.io/tls",
)
CERTIFICATE_NOT_FOUND = _mistake(
    "CertificateNotFound",
    "ResolvedRefs",
    "InvalidCertificateRef",
    "Secret {secret} not found",
)
CERTIFICATE_INVALID = _mistake(
    "CertificateInvalid",
    "ResolvedRefs",
    "InvalidCertificateRef",
    "Secret {secret} cannot be used: {why}",
)
CERTIFICATE_NOT_PERMITTED = _mistake(
    "CertificateNotPermitted",
    "ResolvedRefs",
    "RefNotPermitted",
    "no ReferenceGrant in namespace {namespace} lets {kind}s of namespace {from_namespace} use Secret {secret}",
    "create a ReferenceGrant in namespace {namespace}",
)
OVERLAPPING_HOSTNAMES = _mistake(
    "OverlappingHostnames",
    "OverlappingTLSConfig",
    "OverlappingHostnames",
    "the hostname overlaps with that of listeners {names} on port {port}; HTTP/2 clients may reuse a connection, "
    "and get 421 for the other hostname",
    severity="warning",
)
OVERLAPPING_CERTIFICATES = _mistake(
    "OverlappingCertificates",
    "OverlappingTLSConfig",
    "OverlappingCertificates",
    "the certificate is also good for hostnames of listeners {names} on port {port}; HTTP/2 clients may reuse a "
    "connection, and get 421 for the other hostname",
    severity="warning",
)
PORT_TAKEN_BY_GATEWAY = _mistake(
    "PortTakenByGateway",
    "Accepted",
    "PortUnavailable",
    "port {port} of {address} already belongs to Gateway {other}, which is older or first by name",
    "use another port: all Gateways share one address here",
)
PORT_TOO_HIGH = _mistake(
    "PortTooHigh",
    "Accepted",
    "PortUnavailable",
    "port {port} plus the port offset {offset} is {bound}, and 65535 is the highest port",
    "use a smaller port offset",
)
PORT_NOT_BOUND = _mistake(
    "PortNotBound",
    "Accepted",
    "PortUnavailable",
    "port {bound} cannot be bound: {why}",
    "{remedy}",
)
ENVOY_REFUSED = _mistake(
    "EnvoyRefused",
    "Programmed",
    "Invalid",
    "Envoy refused the configuration: {why}",
    "this is a defect of Trilithon: please report it",
)

# --- Routes and their parents -----------------------------------------------------------------------------------------
PARENT_NOT_FOUND = _mistake(
    "ParentNotFound",
    "",
    "",
    "{parent} not found, so the route is not attached there",
    severity="warning",
)
PARENT_KIND_UNSUPPORTED = _mistake(
    "ParentKindUnsupported",
    "",
    "",
    "a parent of kind {kind} is not supported, so this parentRef has no effect",
    severity="warning",
)
NO_PARENT_REFS = _mistake(
    "NoParentRefs",
    "",
    "",
    "the route has no parentRefs, so nothing serves it",
    "add spec.parentRefs",
    severity="warning",
)
SECTION_NOT_FOUND = _mistake(
    "SectionNotFound",
    "Accepted",
    "NoMatchingParent",
    "Gateway {gateway} has no listener named {section}",
    "its listeners are: {names}",
)
PORT_NOT_FOUND = _mistake(
    "ListenerPortNotFound",
    "Accepted",
    "NoMatchingParent",
    "Gateway {gateway} has no such listener on port {port}",
    "its ports are: {ports}",
)
ROUTE_KIND_NOT_ALLOWED = _mistake(
    "RouteKindNotAllowed",
    "Accepted",
    "NotAllowedByListeners",
    "listener {listener} takes no {kind}",
    "it takes: {kinds}",
)
NAMESPACE_NOT_ALLOWED = _mistake(
    "NamespaceNotAllowed",
    "Accepted",
    "NotAllowedByListeners",
    "listener {listener} of Gateway {gateway} takes no routes from namespace {namespace} ({rule})",
    "set allowedRoutes.namespaces of that listener",
)
NO_COMMON_HOSTNAME = _mistake(
    "NoCommonHostname",
    "Accepted",
    "NoMatchingListenerHostname",
    "no hostname of the route fits listener {listener}, whose hostname is {hostname}",
)
HOSTNAME_SHADOWED = _mistake(
    "HostnameShadowed",
    "",
    "",
    "requests for {hostname} go to listener {owner}, which is more specific than listener {listener}",
    "attach the route to listener {owner}",
    severity="warning",
)
LISTENER_NOT_SERVING = _mistake(
    "ListenerNotServing",
    "",
    "",
    "listener {listener} does not serve: {why}",
    severity="warning",
)

# --- Rules ------------------------------------------------------------------------------------------------------------
BACKEND_NOT_FOUND = _mistake(
    "BackendNotFound",
    "ResolvedRefs",
    "BackendNotFound",
    "{backend} not found",
)
BACKEND_PORT_NOT_FOUND = _mistake(
    "BackendPortNotFound",
    "ResolvedRefs",
    "BackendNotFound",
    "{backend} has no {protocol} port {port}",
    "its ports are: {ports}",
)
BACKEND_EXTERNAL_NAME = _mistake(
    "BackendExternalName",
    "ResolvedRefs",
    "BackendNotFound",
    "{backend} is of type ExternalName, which could reach anything and is not supported",
    "use a Backend (trilithon.dev/v1alpha1) with a hostname endpoint",
)
BACKEND_KIND_UNKNOWN = _mistake(
    "BackendKindUnknown",
    "ResolvedRefs",
    "InvalidKind",
    'a backend of kind {kind} in group "{group}" is not supported',
    "use kind Service, or kind Backend of group trilithon.dev",
)
BACKEND_PROTOCOL = _mistake(
    "BackendProtocolUnsupported",
    "ResolvedRefs",
    "UnsupportedProtocol",
    "{backend} has appProtocol {protocol}, which an HTTPRoute cannot speak to yet",
)
REF_NOT_PERMITTED = _mistake(
    "RefNotPermitted",
    "ResolvedRefs",
    "RefNotPermitted",
    "no ReferenceGrant in namespace {namespace} lets {kind}s of namespace {from_namespace} refer to {target}",
    "create a ReferenceGrant in namespace {namespace}",
)
EXTENSION_KIND_UNKNOWN = _mistake(
    "ExtensionKindUnknown",
    "ResolvedRefs",
    "InvalidKind",
    'a filter of kind {kind} in group "{group}" is not known; the rule answers 500',
)
RULE_REGEX_INVALID = _mistake(
    "RegexInvalid",
    "RuleValue",
    "UnsupportedValue",
    "the regular expression {value!r} is not RE2: {why}",
)
RULE_REGEX_TOO_BIG = _mistake(
    "RegexTooBig",
    "RuleValue",
    "UnsupportedValue",
    "the regular expression {value!r} compiles to {size} steps, and {limit} are allowed",
    "shorten repetitions such as {{1,64}}, which multiply the size",
)
RULE_FILTER_IN_BACKEND = _mistake(
    "FilterInBackendRef",
    "RuleValue",
    "UnsupportedValue",
    "a {type} filter inside a backendRef is not supported",
    "put the filter into the rule",
)
RULE_HOST_HEADER = _mistake(
    "HostHeaderModified",
    "RuleValue",
    "UnsupportedValue",
    "the Host header cannot be changed by a header modifier",
    "use a URLRewrite filter with hostname",
)
RULE_HEADER_IMPOSSIBLE = _mistake(
    "HeaderImpossible",
    "RuleValue",
    "UnsupportedValue",
    "the header {name} cannot be changed: {why}",
)
RULE_HEADER_REPEATED = _mistake(
    "HeaderActionRepeated",
    "",
    "",
    "the header {name} is changed twice by one filter; only the first of set, add, remove counts",
    "one action per header name",
    severity="warning",
)
RULE_EXTERNAL_AUTH = _mistake(
    "ExternalAuthUnsupported",
    "RuleValue",
    "UnsupportedValue",
    "the filter ExternalAuth is not supported yet, and skipping it would let anyone in",
)
RULE_SESSION_PERSISTENCE = _mistake(
    "SessionPersistenceUnsupported",
    "RuleValue",
    "UnsupportedValue",
    "sessionPersistence is not supported yet",
)
RULE_FILTERS_INCOMPATIBLE = _mistake(
    "FiltersIncompatible",
    "RuleFilters",
    "IncompatibleFilters",
    "{what}",
)
RULE_VALUE_UNSUPPORTED = _mistake(
    "RuleValueUnsupported",
    "RuleValue",
    "UnsupportedValue",
    "{what}",
)
NO_BACKENDS = _mistake(
    "NoBackends",
    "",
    "",
    "the rule has no backendRefs and no redirect, so it answers 500",
    "add backendRefs",
    severity="warning",
)
ALL_WEIGHTS_ZERO = _mistake(
    "AllWeightsZero",
    "",
    "",
    "all weights of the rule are 0, so it answers 500",
    "give one backendRef a weight",
    severity="warning",
)
ENDPOINT_REFUSED = _mistake(
    "EndpointRefused",
    "",
    "",
    "{backend}: the endpoint {address} is not allowed: {why}",
    severity="warning",
)

CATALOGUE: Mapping[str, Mistake] = {entry.code: entry for entry in _TABLE}


def condition_of(problem: Problem) -> str:
    """The condition type a problem belongs to, or "".

    "RuleValue" and "RuleFilters" are rules that were dropped: they decide between Accepted and PartiallyInvalid.
    """
    entry = CATALOGUE.get(problem.code)
    return entry.condition if entry else ""


def reason_of(problem: Problem) -> str:
    """The spec's reason where there is one, else the problem's own code."""
    entry = CATALOGUE.get(problem.code)
    return (entry.reason if entry else "") or problem.code
