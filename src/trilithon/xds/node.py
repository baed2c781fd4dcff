"""The node id, by which an Envoy says which Gateway it serves."""

from __future__ import annotations

# Neither namespaces nor names of Kubernetes objects may hold it.
_SEPARATOR = "~"


def node_id(namespace: str, name: str, instance: str) -> str:
    """The id of one Envoy: its Gateway's "namespace/name", and what tells it from its siblings (a pod's name)."""
    return f"{namespace}/{name}{_SEPARATOR}{instance}"


def gateway_of(node: str) -> str:
    """The "namespace/name" of the Gateway that this node id names; what has no instance is a Gateway alone."""
    return node.partition(_SEPARATOR)[0]
