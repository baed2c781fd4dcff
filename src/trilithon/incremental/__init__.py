"""Keyed tables that recompute only what a change touches."""

from trilithon.incremental.engine import Changes, Difference, Edit, Engine, Node
from trilithon.incremental.read import EngineError, Look, Read
from trilithon.incremental.store import Fault
from trilithon.incremental.table import Index, Table

__all__ = [
    "Changes",
    "Difference",
    "Edit",
    "Engine",
    "EngineError",
    "Fault",
    "Index",
    "Look",
    "Node",
    "Read",
    "Table",
]
