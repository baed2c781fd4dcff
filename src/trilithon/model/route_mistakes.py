"""The mistakes that a route, its rules and the backends it names can have."""

from __future__ import annotations

from trilithon.model.mistake import Mistake

# --- Routes and their parents -----------------------------------------------------------------------------------------
PARENT_NOT_FOUND = Mistake(
    "ParentNotFound",
    "",
    "",
    "{parent} not found, so the route is not attached there",
    severity="warning",
)
PARENT_KIND_UNSUPPORTED = Mistake(
    "ParentKindUnsupported",
    "",
    "",
    "a parent of kind {kind} is not supported, so this parentRef has no effect",
    severity="warning",
)
NO_PARENT_REFS = Mistake(
    "NoParentRefs",
    "",
    "",
    "the route has no parentRefs, so nothing serves it",
    "add spec.parentRefs",
    severity="warning",
)
SECTION_NOT_FOUND = Mistake(
    "SectionNotFound",
    "Accepted",
    "NoMatchingParent",
    "Gateway {gateway} has no listener named {section}",
    "its listeners are: {names}",
)
PORT_NOT_FOUND = Mistake(
    "ListenerPortNotFound",
    "Accepted",
    "NoMatchingParent",
    "Gateway {gateway} has no such listener on port {port}",
    "its ports are: {ports}",
)
ROUTE_KIND_NOT_ALLOWED = Mistake(
    "RouteKindNotAllowed",
    "Accepted",
    "NotAllowedByListeners",
    "listener {listener} takes no {kind}",
    "it takes: {kinds}",
)
NAMESPACE_NOT_ALLOWED = Mistake(
    "NamespaceNotAllowed",
    "Accepted",
    "NotAllowedByListeners",
    "listener {listener} of Gateway {gateway} takes no routes from namespace {namespace} ({rule})",
    "set allowedRoutes.namespaces of that listener",
)
NO_COMMON_HOSTNAME = Mistake(
    "NoCommonHostname",
    "Accepted",
    "NoMatchingListenerHostname",
    "no hostname of the route fits listener {listener}, whose hostname is {hostname}",
)
HOSTNAME_SHADOWED = Mistake(
    "HostnameShadowed",
    "",
    "",
    "requests for {hostname} go to listener {owner}, which is more specific than listener {listener}",
    "attach the route to listener {owner}",
    severity="warning",
)
HOSTNAME_NOT_SERVED = Mistake(
    "HostnameNotServed",
    "",
    "",
    "requests for {hostname} are answered 503: they belong to listener {owner}, which does not serve: {why}",
    "mend listener {owner}, or remove it",
    severity="warning",
)
PARENT_NOT_SERVED = Mistake(
    "ParentNotServed",
    "",
    "",
    "{parent}: {why}",
    severity="warning",
)
LISTENER_NOT_SERVING = Mistake(
    "ListenerNotServing",
    "",
    "",
    "listener {listener} does not serve: {why}",
    severity="warning",
)

# --- Rules ------------------------------------------------------------------------------------------------------------
BACKEND_NOT_FOUND = Mistake(
    "BackendNotFound",
    "ResolvedRefs",
    "BackendNotFound",
    "{backend} not found",
)
BACKEND_PORT_NOT_FOUND = Mistake(
    "BackendPortNotFound",
    "ResolvedRefs",
    "BackendNotFound",
    "{backend} has no {protocol} port {port}",
    "its ports are: {ports}",
)
BACKEND_EXTERNAL_NAME = Mistake(
    "BackendExternalName",
    "ResolvedRefs",
    "BackendNotFound",
    "{backend} is of type ExternalName, which could reach anything and is not supported",
    "use a Backend (trilithon.dev/v1alpha1) with a hostname endpoint; in a cluster the installation has to allow "
    "backendHostnames",
)
BACKEND_HOSTNAME = Mistake(
    "BackendHostname",
    "ResolvedRefs",
    "",
    "{backend} leads to {hostname}, and this installation does not allow names: they could reach anything",
    "name a Service, or give the Backend IP addresses; names are allowed by the value backendHostnames of "
    "trilithon install (--backend-hostnames of trilithon controller)",
)
BACKEND_KIND_UNKNOWN = Mistake(
    "BackendKindUnknown",
    "ResolvedRefs",
    "InvalidKind",
    'a backend of kind {kind} in group "{group}" is not supported',
    "use kind Service, or kind Backend of group trilithon.dev",
)
BACKEND_PROTOCOL = Mistake(
    "BackendProtocolUnsupported",
    "ResolvedRefs",
    "UnsupportedProtocol",
    "{backend} has appProtocol {protocol}, which an HTTPRoute cannot speak to yet",
)
REF_NOT_PERMITTED = Mistake(
    "RefNotPermitted",
    "ResolvedRefs",
    "RefNotPermitted",
    "no ReferenceGrant in namespace {namespace} lets {kind}s of namespace {from_namespace} refer to {target}",
    "create a ReferenceGrant in namespace {namespace}",
)
EXTENSION_KIND_UNKNOWN = Mistake(
    "ExtensionKindUnknown",
    "ResolvedRefs",
    "InvalidKind",
    'a filter of kind {kind} in group "{group}" is not known; the rule answers 500',
)
RULE_REGEX_INVALID = Mistake(
    "RegexInvalid",
    "RuleValue",
    "UnsupportedValue",
    "the regular expression {value!r} is not RE2: {why}",
)
RULE_REGEX_TOO_BIG = Mistake(
    "RegexTooBig",
    "RuleValue",
    "UnsupportedValue",
    "the regular expression {value!r} compiles to {size} steps, and {limit} are allowed",
    "shorten repetitions such as {{1,64}}, which multiply the size",
)
RULE_FILTER_IN_BACKEND = Mistake(
    "FilterInBackendRef",
    "RuleValue",
    "UnsupportedValue",
    "a {type} filter inside a backendRef is not supported",
    "put the filter into the rule",
)
RULE_HOST_HEADER = Mistake(
    "HostHeaderModified",
    "RuleValue",
    "UnsupportedValue",
    "the Host header cannot be changed by a header modifier",
    "use a URLRewrite filter with hostname",
)
RULE_HEADER_IMPOSSIBLE = Mistake(
    "HeaderImpossible",
    "RuleValue",
    "UnsupportedValue",
    "the header {name} cannot be changed: {why}",
)
RULE_HEADER_REPEATED = Mistake(
    "HeaderActionRepeated",
    "",
    "",
    "the header {name} is changed twice by one filter; only the first of set, add, remove counts",
    "one action per header name",
    severity="warning",
)
RULE_EXTERNAL_AUTH = Mistake(
    "ExternalAuthUnsupported",
    "RuleValue",
    "UnsupportedValue",
    "the filter ExternalAuth is not supported yet, and skipping it would let anyone in",
)
RULE_SESSION_PERSISTENCE = Mistake(
    "SessionPersistenceUnsupported",
    "RuleValue",
    "UnsupportedValue",
    "sessionPersistence is not supported yet",
)
RULE_FILTERS_INCOMPATIBLE = Mistake(
    "FiltersIncompatible",
    "RuleFilters",
    "IncompatibleFilters",
    "{what}",
)
RULE_VALUE_UNSUPPORTED = Mistake(
    "RuleValueUnsupported",
    "RuleValue",
    "UnsupportedValue",
    "{what}",
)
NO_BACKENDS = Mistake(
    "NoBackends",
    "",
    "",
    "the rule has no backendRefs and no redirect, so it answers 500",
    "add backendRefs",
    severity="warning",
)
ALL_WEIGHTS_ZERO = Mistake(
    "AllWeightsZero",
    "",
    "",
    "all weights of the rule are 0, so it answers 500",
    "give one backendRef a weight",
    severity="warning",
)
BACKEND_REFUSED = Mistake(
    "BackendRefused",
    "",
    "",
    "Envoy refused {backend}, so its requests are answered 503 or as before: {why}",
    "this is a defect of Trilithon: please report it",
)
PRIVATE_ENDPOINT = Mistake(
    "PrivateEndpoint",
    "",
    "",
    "{backend} has endpoints that are not used, because they lead into the proxy's own host or link: {addresses}",
    "name addresses that other pods can reach; loopback is for trilithon run alone",
)
