"""Tell when the objects of a Gateway's class of before may go, because those of its class now have taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from trilithon.infrastructure.manifest import DEPLOYMENT, SERVICE
from trilithon.kube.client import Client
from trilithon.kube.errors import ApiError
from trilithon.kube.objects import ObjectPath
from trilithon.model.infrastructure import Generated, Unapplied
from trilithon.resources.meta import Key
from trilithon.sinks.objects.generated_objects import Existing

NOT_FOUND = 404
# Pods that find no place beside the old ones, and load balancers that will not give the address twice, take for ever.
PATIENCE_SECONDS = 300.0
_SERVING = (DEPLOYMENT, SERVICE)
# What an API server says where the old objects hold what the new ones need: a node port, a quota.
_HELD_BY_OLD = ("provided port is already allocated", "exceeded quota")

Json = Mapping[str, Any]


class Succession:
    """Waits for each Gateway. ``api`` gives a client for one request; ``clock`` gives seconds."""

    def __init__(self, api: Callable[[], Client], clock: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._since: dict[Key, float] = {}

    async def is_over(
        self, gateway: Key, gone: Iterable[Existing], wanted: Iterable[Generated], unapplied: Iterable[Unapplied]
    ) -> bool:
        """Whether what is to be ``gone`` can go. Raises KubeError and NotLeading.

        As long as something cannot be applied for another reason than the old objects, they stay: its status tells.
        """
        going = [each.path for each in gone if each.path.kind in _SERVING]
        paths = [each.path for each in wanted if each.path.kind in _SERVING]
        if not _has_deployment(going) or not _has_deployment(paths):
            # No pods end, or none are to come after them.
            self.forget(gateway)
            return True
        refused = {each.object: is_held_by_old(each) for each in unapplied}
        coming = [path for path in paths if not refused.get(str(path))]
        new = {path: await self._found(path) for path in coming}
        if any(found is None or str(path) in refused for path, found in new.items()):
            return False
        old = {path: await self._found(path) for path in going}
        since = self._since.setdefault(gateway, self._clock())
        if self._clock() - since < PATIENCE_SECONDS:
            return pods_serve(_of(DEPLOYMENT.kind, old), _of(DEPLOYMENT.kind, new)) and addresses_are_there(
                _of(SERVICE.kind, old), _of(SERVICE.kind, new)
            )
        return True

    def forget(self, gateway: Key) -> None:
        """Nothing is waited for any more."""
        self._since.pop(gateway, None)

    async def _found(self, path: ObjectPath) -> Json | None:
        try:
            found: Json = msgspec.json.decode(await self._api().read(path))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            return None
        return found


def is_held_by_old(unapplied: Unapplied) -> bool:
    """Whether an object was refused for what goes with the objects of before."""
    return unapplied.cause == "refused" and any(each in unapplied.why for each in _HELD_BY_OLD)


def pods_serve(old: Sequence[Json], new: Sequence[Json]) -> bool:
    """Whether as many new pods serve as old ones do, or as are wanted.

    On the nodes' network both cannot have the ports: nothing is waited for there.
    """
    if any(map(_is_on_nodes, old)) and any(map(_is_on_nodes, new)):
        return True
    wanted = sum(int(each.get("spec", {}).get("replicas", 1)) for each in new)
    return sum(map(_available, new)) >= min(max(1, sum(map(_available, old))), wanted)


def addresses_are_there(old: Sequence[Json], new: Sequence[Json]) -> bool:
    """Whether load balancers have given the new Services addresses, if they had given the old ones any.

    One that the old ones still have is not waited for.
    """
    had = {point.get("ip") for each in old for point in _points(each)}
    if not had:
        return True
    specs: list[Json] = [each.get("spec", {}) for each in new if not _points(each)]
    return all(spec.get("type") != "LoadBalancer" or spec.get("loadBalancerIP", "") in had for spec in specs)


def _has_deployment(paths: Iterable[ObjectPath]) -> bool:
    return any(path.kind == DEPLOYMENT for path in paths)


def _of(kind: str, found: Mapping[ObjectPath, Json | None]) -> list[Json]:
    return [each for path, each in found.items() if each is not None and path.kind.kind == kind]


def _is_on_nodes(deployment: Json) -> bool:
    return bool(deployment.get("spec", {}).get("template", {}).get("spec", {}).get("hostNetwork"))


def _available(deployment: Json) -> int:
    return int(deployment.get("status", {}).get("availableReplicas") or 0)


def _points(service: Json) -> Sequence[Json]:
    return service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
