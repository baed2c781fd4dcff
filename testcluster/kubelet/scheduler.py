"""Decide whether the only node can take a pod."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from testcluster.kubelet.fields import NODE_RESOURCES, quantity
from testcluster.kubelet.objects import Container, Pod

_NODE: Final = {resource: quantity(size) for resource, size in NODE_RESOURCES.items()}


def is_to_bind(pod: Pod) -> bool:
    """Whether a pod is to get the node: it has none, waits for nothing else, and asks for no more than there is.

    What a pod says about the kind of node it likes is not looked at: there is no other.
    """
    if pod.spec.node_name or pod.spec.scheduling_gates or pod.is_ending:
        return False
    return all(amount <= _NODE.get(resource, Decimal(0)) for resource, amount in _requests(pod.spec.containers).items())


def _requests(containers: tuple[Container, ...]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for container in containers:
        for resource, amount in container.resources.requests.items():
            total[resource] = total.get(resource, Decimal(0)) + quantity(amount)
    return total
