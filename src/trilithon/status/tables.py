"""The tables of statuses."""

from __future__ import annotations

from trilithon.incremental import Table
from trilithon.resources.meta import Key
from trilithon.status.class_ import ClassStatus
from trilithon.status.gateway import GatewayStatus
from trilithon.status.route import RouteStatus

CLASS_STATUS: Table[Key, ClassStatus] = Table("class status")
GATEWAY_STATUS: Table[Key, GatewayStatus] = Table("gateway status")
ROUTE_STATUS: Table[Key, RouteStatus] = Table("route status")
