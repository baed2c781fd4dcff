"""The engine's tables, as typed names: the sources that are filled from outside and the model's own rows.

What computes each of them is said in one place, ``pipeline.py``.
"""

from __future__ import annotations

from trilithon.incremental import Table
from trilithon.model.api_version import ApiVersion
from trilithon.model.attachment import Attachments
from trilithon.model.backend import Addresses, BackendKey, RefusedBackend
from trilithon.model.certificate import Certificate
from trilithon.model.infrastructure import Applied, GatewayAddresses, Host, Infrastructure
from trilithon.model.listener import ListenerKey, Listeners, Offers, PortKey, PortListeners, WantedPort
from trilithon.model.proxy import Proxy
from trilithon.model.rule import Rules
from trilithon.resources.core import BackendResource, ConfigMap, EndpointSlice, Namespace, Secret, Service
from trilithon.resources.gateways import Gateway, GatewayClass
from trilithon.resources.meta import Key
from trilithon.resources.parameters import GatewayParameters
from trilithon.resources.policies import ReferenceGrant
from trilithon.resources.problem import Problem
from trilithon.resources.routes import Route

CLASSES: Table[Key, GatewayClass] = Table("classes")
GATEWAYS: Table[Key, Gateway] = Table("gateways")
ROUTES: Table[Key, Route] = Table("routes")
GRANTS: Table[Key, ReferenceGrant] = Table("grants")
SERVICES: Table[Key, Service] = Table("services")
SLICES: Table[Key, EndpointSlice] = Table("slices")
SECRETS: Table[Key, Secret] = Table("secrets", is_private=True)
CONFIG_MAPS: Table[Key, ConfigMap] = Table("config maps")
NAMESPACES: Table[Key, Namespace] = Table("namespaces")
BACKENDS: Table[Key, BackendResource] = Table("backends")
PARAMETERS: Table[Key, GatewayParameters] = Table("parameters")
# What the cluster's definitions of Gateway API say of themselves, by their names.
API_VERSIONS: Table[str, ApiVersion] = Table("api versions")

# By Gateway: the address that its Envoy binds here where Envoys are local processes, and what came of applying the
# objects that are generated for it.
HOSTS: Table[Key, Host] = Table("hosts")
APPLIED: Table[Key, Applied] = Table("applied")
# What the connected Envoys say, by the Gateway's "namespace/name".
PROXIES: Table[str, Proxy] = Table("proxies")

# The warning of each Gateway that nobody serves, as far as can be seen from here.
UNSERVED: Table[Key, Problem] = Table("unserved gateways")
# The Gateways whose class names our controller.
OURS: Table[Key, Gateway] = Table("our gateways")
CERTIFICATES: Table[Key, Certificate] = Table("certificates")
# Listeners as they would be with no other Gateway beside theirs; as they are; and what routes and ports see of them.
OWN_LISTENERS: Table[Key, Listeners] = Table("own listeners")
LISTENERS: Table[Key, Listeners] = Table("listeners")
OFFERS: Table[Key, Offers] = Table("offers")
PORT_LISTENERS: Table[PortKey, PortListeners] = Table("port listeners")
# Why a listener does not serve.
IDLE: Table[ListenerKey, str] = Table("idle listeners")
ATTACHMENTS: Table[Key, Attachments] = Table("attachments")
RULES: Table[Key, Rules] = Table("rules")
ADDRESSES: Table[BackendKey, Addresses] = Table("addresses")
PORTS: Table[PortKey, WantedPort] = Table("ports")
REFUSED_BACKENDS: Table[BackendKey, RefusedBackend] = Table("refused backends")
# What runs each Gateway, and where it is reached.
INFRASTRUCTURE: Table[Key, Infrastructure] = Table("infrastructure")
GATEWAY_ADDRESSES: Table[Key, GatewayAddresses] = Table("gateway addresses")
