"""The mistakes that a GatewayClass, a Gateway or a listener can have."""

from __future__ import annotations

from trilithon.model.mistake import Mistake

# --- GatewayClass and Gateway -----------------------------------------------------------------------------------------
CLASS_PARAMETERS = Mistake(
    "ClassParametersUnsupported",
    "Accepted",
    "InvalidParameters",
    "parametersRef names {kind} {name}, and only GatewayParameters of trilithon.dev are known",
    "name a GatewayParameters, or remove spec.parametersRef",
)
CLASS_PARAMETERS_NOWHERE = Mistake(
    "ClassParametersNowhere",
    "Accepted",
    "InvalidParameters",
    "parametersRef names GatewayParameters {name} and no namespace",
    "add spec.parametersRef.namespace",
)
CLASS_PARAMETERS_NOT_FOUND = Mistake(
    "ClassParametersNotFound",
    "Accepted",
    "InvalidParameters",
    "GatewayParameters {parameters} not found, or it cannot be read",
)
GATEWAY_PARAMETERS = Mistake(
    "GatewayParametersUnsupported",
    "Accepted",
    "InvalidParameters",
    "infrastructure.parametersRef names {kind} {name}, and only GatewayParameters of trilithon.dev are known",
    "name a GatewayParameters, or remove spec.infrastructure.parametersRef",
)
GATEWAY_PARAMETERS_NOT_FOUND = Mistake(
    "GatewayParametersNotFound",
    "Accepted",
    "InvalidParameters",
    "GatewayParameters {parameters} not found, or it cannot be read",
)
GATEWAY_PARAMETERS_HOST_NETWORK = Mistake(
    "GatewayParametersHostNetwork",
    "Accepted",
    "InvalidParameters",
    "GatewayParameters {parameters} asks for the nodes' own network, which only the parameters of a GatewayClass can",
    "set hostNetwork in the parameters of the GatewayClass",
)
INFRASTRUCTURE_KEY_RESERVED = Mistake(
    "InfrastructureKeyReserved",
    "",
    "",
    "{entry} is set by others on generated objects, so that it has no effect here",
    severity="warning",
)
CLASS_NOT_FOUND = Mistake(
    "ClassNotFound",
    "",
    "",
    "GatewayClass {name} not found, so nothing serves this Gateway",
    "create the GatewayClass, or use the class trilithon",
    severity="warning",
)
CLASS_OF_ANOTHER = Mistake(
    "ClassOfAnother",
    "",
    "",
    "GatewayClass {name} belongs to the controller {controller}, so nothing here serves this Gateway",
    "write gatewayClassName: trilithon, or name a GatewayClass with controllerName: {ours}",
    severity="warning",
)
CLASS_NOT_ACCEPTED = Mistake(
    "ClassNotAccepted",
    "",
    "",
    "GatewayClass {name} is not accepted, so nothing serves this Gateway: {why}",
    "mend the GatewayClass, or use another one",
    severity="warning",
)
CLASS_HELD = Mistake(
    "ClassHeld",
    "",
    "",
    "GatewayClass {name} is not accepted, so what runs this Gateway stays as it is, and nothing new is made: {why}",
    "mend the GatewayClass",
    severity="warning",
)
CLASS_LOST = Mistake(
    "ClassLost",
    "",
    "",
    "GatewayClass {name} not found, so what runs this Gateway stays as it is, and nothing new is made",
    "create the GatewayClass, or name another one",
    severity="warning",
)
ADDRESS_TYPE_UNSUPPORTED = Mistake(
    "AddressTypeUnsupported",
    "Accepted",
    "UnsupportedAddress",
    "addresses of type {type} are not supported",
    "use type IPAddress, or leave spec.addresses out",
)
ADDRESS_NOT_USABLE = Mistake(
    "AddressNotUsable",
    "Programmed",
    "AddressNotUsable",
    "the address {value} cannot be bound here; this process serves at {address}",
    "leave spec.addresses out, or serve at that address",
)
ADDRESS_NOT_OBTAINED = Mistake(
    "AddressNotObtained",
    "Programmed",
    "AddressNotUsable",
    "the address {value} is not assigned to Service {service}, which has {has}",
    "ask for an address that the load balancer can give, or leave value out to get any",
)
ADDRESS_NOT_ASSIGNED = Mistake(
    "AddressNotAssigned",
    "Programmed",
    "AddressNotAssigned",
    "no address is assigned: {why}",
    severity="warning",
)
SERVICE_BEHIND = Mistake(
    "ServiceBehind",
    "Programmed",
    "Pending",
    "Service {service} does not have port {ports} yet",
    severity="warning",
)
GENERATED_FOREIGN = Mistake(
    "GeneratedForeign",
    "Programmed",
    "Invalid",
    "{object} is needed to serve this Gateway, and another object has that name: {why}",
    "rename or remove that object; what Trilithon did not make it neither changes nor deletes",
)
GENERATED_REFUSED = Mistake(
    "GeneratedRefused",
    "Programmed",
    "NoResources",
    "the API server refused {object}, which is needed to serve this Gateway: {why}",
)
CLIENT_VALIDATION_UNSUPPORTED = Mistake(
    "ClientValidationUnsupported",
    "Accepted",
    "UnsupportedValue",
    "client certificate validation is not supported yet, and serving without it would let anyone in",
    "remove spec.tls.frontend to serve this listener without client certificates",
)
BACKEND_CLIENT_CERTIFICATE_UNSUPPORTED = Mistake(
    "BackendClientCertificateUnsupported",
    "",
    "",
    "tls.backend.clientCertificateRef has no effect yet: connections to backends are plain text",
    severity="warning",
)

# --- Listeners --------------------------------------------------------------------------------------------------------
PROTOCOL_NOT_YET = Mistake(
    "ProtocolNotYetSupported",
    "Accepted",
    "UnsupportedProtocol",
    "protocol {protocol} is not supported yet",
    "use HTTP or HTTPS",
)
PROTOCOL_UNKNOWN = Mistake(
    "ProtocolUnknown",
    "Accepted",
    "UnsupportedProtocol",
    "protocol {protocol} is not known",
    "use HTTP or HTTPS",
)
ROUTE_KIND_UNSUPPORTED = Mistake(
    "RouteKindUnsupported",
    "ResolvedRefs",
    "InvalidRouteKinds",
    "kind {kind} is not supported on a listener of protocol {protocol}",
)
SELECTOR_MISSING = Mistake(
    "SelectorMissing",
    "Accepted",
    "UnsupportedValue",
    "allowedRoutes.namespaces.from is Selector but there is no selector, so no namespace is selected",
    "add allowedRoutes.namespaces.selector",
)
SELECTOR_MALFORMED = Mistake(
    "SelectorMalformed",
    "Accepted",
    "UnsupportedValue",
    "the namespace selector is malformed: {what}",
)
HOSTNAME_CONFLICT = Mistake(
    "HostnameConflict",
    "Conflicted",
    "HostnameConflict",
    "listeners {names} have the same port {port} and hostname {hostname}",
    "give each its own port or hostname",
)
PROTOCOL_CONFLICT = Mistake(
    "ProtocolConflict",
    "Conflicted",
    "ProtocolConflict",
    "listeners {names} put protocols {protocols} on one port {port}",
    "give each protocol its own port",
)
TLS_MISSING = Mistake(
    "TLSMissing",
    "Programmed",
    "InvalidTLSConfig",
    "an HTTPS listener needs tls.certificateRefs",
    "add tls.certificateRefs with a Secret of type kubernetes.io/tls",
)
TLS_NO_CERTIFICATES = Mistake(
    "NoUsableCertificate",
    "Programmed",
    "Invalid",
    "no certificate of this listener can be used",
)
CERTIFICATE_OTHER_NAMES = Mistake(
    "CertificateForOtherNames",
    "",
    "",
    "no certificate is good for the hostname {hostname}, so clients will refuse the connection; it has {names}",
    "use a certificate with {hostname} among its names (subjectAltName)",
    severity="warning",
)
TLS_OPTION_UNSUPPORTED = Mistake(
    "TLSOptionUnsupported",
    "",
    "",
    "tls option {option} is not known and has no effect",
    severity="warning",
)
CERTIFICATE_KIND = Mistake(
    "CertificateKindUnsupported",
    "ResolvedRefs",
    "InvalidCertificateRef",
    "a certificate of kind {kind} is not supported",
    "use a Secret of type kubernetes.io/tls",
)
CERTIFICATE_NOT_FOUND = Mistake(
    "CertificateNotFound",
    "ResolvedRefs",
    "InvalidCertificateRef",
    "Secret {secret} not found",
)
CERTIFICATE_UNKNOWN = Mistake(
    "CertificateUnknown",
    "ResolvedRefs",
    "InvalidCertificateRef",
    "Secret {secret} cannot be read now; Envoys that have its certificate serve on with it",
    "see why in the controller's log: its rights, or the API server",
    severity="warning",
)
CERTIFICATE_INVALID = Mistake(
    "CertificateInvalid",
    "ResolvedRefs",
    "InvalidCertificateRef",
    "Secret {secret} cannot be used: {why}",
)
CERTIFICATE_NOT_RENEWED = Mistake(
    "CertificateNotRenewed",
    "ResolvedRefs",
    "InvalidCertificateRef",
    "Secret {secret} cannot be used: {why}; the certificate that it had before is served on",
    "put a certificate and its private key into it; to withdraw the one before, delete it",
)
CERTIFICATE_NOT_PERMITTED = Mistake(
    "CertificateNotPermitted",
    "ResolvedRefs",
    "RefNotPermitted",
    "no ReferenceGrant in namespace {namespace} lets {kind}s of namespace {from_namespace} use Secret {secret}",
    "create a ReferenceGrant in namespace {namespace}",
)
OVERLAPPING_HOSTNAMES = Mistake(
    "OverlappingHostnames",
    "OverlappingTLSConfig",
    "OverlappingHostnames",
    "the hostname overlaps with that of listeners {names} on port {port}; HTTP/2 clients may reuse a connection, "
    "and get 421 for the other hostname",
    severity="warning",
)
OVERLAPPING_CERTIFICATES = Mistake(
    "OverlappingCertificates",
    "OverlappingTLSConfig",
    "OverlappingCertificates",
    "the certificate is also good for hostnames of listeners {names} on port {port}; HTTP/2 clients may reuse a "
    "connection, and get 421 for the other hostname",
    severity="warning",
)
PORT_TAKEN_BY_GATEWAY = Mistake(
    "PortTakenByGateway",
    "Accepted",
    "PortUnavailable",
    "port {port} of {address} already belongs to Gateway {other}, which is older or first by name",
    "use another port: all Gateways share one address here",
)
PORT_TOO_HIGH = Mistake(
    "PortTooHigh",
    "Accepted",
    "PortUnavailable",
    "port {port} plus the port offset {offset} is {bound}, and 65535 is the highest port",
    "use a smaller port offset",
)
PORT_RESERVED = Mistake(
    "PortReserved",
    "Accepted",
    "PortUnavailable",
    "at port {port} the pods of a Gateway tell whether they are ready",
    "use another port",
)
PORT_NOT_BOUND = Mistake(
    "PortNotBound",
    "Accepted",
    "PortUnavailable",
    "port {bound} cannot be bound: {why}",
    "{remedy}",
)
HOSTNAME_HELD = Mistake(
    "HostnameHeld",
    "",
    "",
    "requests for {hostname} on port {port} are answered 503: listener {listener} owns them and does not serve",
    "mend listener {listener}, or remove it to leave its requests to wider ones",
    severity="warning",
)
ENVOY_REFUSED = Mistake(
    "EnvoyRefused",
    "Programmed",
    "Invalid",
    "Envoy refused the configuration: {why}",
    "this is a defect of Trilithon: please report it",
)
CERTIFICATE_REFUSED = Mistake(
    "CertificateRefused",
    "Programmed",
    "Invalid",
    "Envoy refused the certificate of Secret {secret}: {why}",
    "put another certificate into the Secret; that this one was not found out before is a defect of Trilithon",
)
