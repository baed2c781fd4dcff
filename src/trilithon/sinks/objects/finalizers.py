"""Keep a finalizer on every GatewayClass that a Gateway uses, so that the class outlives its use."""

from __future__ import annotations

from collections.abc import Callable

from trilithon.kube.client import Client
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.sinks.objects.object_writer import ObjectWriter
from trilithon.sinks.objects.object_writes import Decision, ObjectWrites

# GatewayClassFinalizerGatewaysExist of the API.
FINALIZER = "gateway-exists-finalizer.gateway.networking.k8s.io"


class Finalizers:
    """Puts the finalizer on and takes it off; the finalizers of others stay as they are, in their order."""

    def __init__(self, client: Client, leads: Callable[[], bool], on_trouble: Callable[[str], None]) -> None:
        writes: ObjectWrites[bool | None] = ObjectWrites(decide, nothing=None)
        self._writer = ObjectWriter(client, writes, leads, on_trouble)

    def stored(self, key: Key, stored: Stored | None) -> None:
        """The API server holds this GatewayClass; None: it is gone."""
        self._writer.stored(key, stored)

    def want(self, key: Key, is_used: bool | None) -> None:
        """Whether any Gateway uses this GatewayClass; None: it is not ours, so a finalizer on it is not either."""
        self._writer.want(key, is_used)

    def lead(self) -> None:
        """Leadership just began: look at everything again."""
        self._writer.lead()

    async def run(self) -> None:
        """Write while leading, until cancelled."""
        await self._writer.run()


def decide(stored: Stored, is_used: bool | None) -> Decision:
    """The finalizers that a GatewayClass is to have, if they are not those that it has."""
    if is_used is None or is_used == (FINALIZER in stored.finalizers):
        return Decision({})
    others = [name for name in stored.finalizers if name != FINALIZER]
    return Decision({"metadata": {"finalizers": [*others, FINALIZER] if is_used else others}})
