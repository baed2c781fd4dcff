"""Show what the rows of one object were computed from: the reads that the engine recorded."""

from __future__ import annotations

from typing import Any

from trilithon.incremental import Engine, Look, Table
from trilithon.model.tables import ATTACHMENTS, LISTENERS, OURS, RULES
from trilithon.resources.meta import Key
from trilithon.status.class_ import CLASS_STATUS
from trilithon.status.gateway import GATEWAY_STATUS
from trilithon.status.problems import CLASS_PROBLEMS, GATEWAY_PROBLEMS, ROUTE_PROBLEMS
from trilithon.status.route import ROUTE_STATUS
from trilithon.xds.tables import ENCODED, PLACED

_ROUTE: tuple[Table[Key, Any], ...] = (ATTACHMENTS, RULES, ENCODED, PLACED, ROUTE_STATUS, ROUTE_PROBLEMS)

# The tables that have a row under the key of an object, by its kind.
TABLES_OF_KIND: dict[str, tuple[Table[Key, Any], ...]] = {
    "GatewayClass": (CLASS_STATUS, CLASS_PROBLEMS),
    "Gateway": (OURS, LISTENERS, GATEWAY_STATUS, GATEWAY_PROBLEMS),
    "HTTPRoute": _ROUTE,
}


def reads_of(engine: Engine, key: Key) -> tuple[tuple[str, tuple[Look, ...]], ...]:
    """Each derived row of the object by its table's name, with what it read, in the order of the pipeline."""
    tables = TABLES_OF_KIND.get(key.kind, ())
    return tuple(
        (table.name, engine.why(table, key)) for table in tables if engine.row(table, key) or engine.why(table, key)
    )
