"""Make one Gateway's objects what they are to be: the requests, one Gateway at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from trilithon.infrastructure.manifest import DEPLOYMENT, SECRET, SERVICE_ACCOUNT
from trilithon.kube.client import Client
from trilithon.kube.errors import ApiError
from trilithon.kube.objects import ObjectPath
from trilithon.model.infrastructure import Applied, Generated, Infrastructure, Unapplied
from trilithon.model.settings import CONTROLLER_NAME, Installation
from trilithon.resources.meta import Key
from trilithon.sinks.objects.generated_objects import (
    DIGEST_ANNOTATION,
    FIELD_MANAGER,
    GATEWAY,
    GATEWAY_CLASS,
    HANDOVER_MANAGER,
    Existing,
    Owner,
    body,
    compared,
    digest_of,
    existing_of,
    handover_of,
    is_as_generated,
    leaves_number_open,
    unwanted,
)
from trilithon.sinks.objects.inventory import Inventory
from trilithon.sinks.objects.repairs import Repairs
from trilithon.sinks.objects.succession import Succession, is_held_by_old
from trilithon.translate.generated_names import INSTALLATION_LABEL, installation_labels

CONFLICT, NOT_FOUND = 409, 404
# The API server will not take this however often it is told; something else has to change first.
_REFUSALS = frozenset({400, 403, 413, 422})
NEEDED_BY_PODS = (SERVICE_ACCOUNT, SECRET)
# An object that is in the way is looked at this often, because nothing tells when it goes.
BLOCKED_SECONDS = 20.0
# What a Gateway of before owned is being collected.
LEFTOVER_SECONDS = 2.0
# Pods are starting that are to replace others.
SUCCESSOR_SECONDS = 5.0


class Identity(Protocol):
    """Issues identities."""

    async def issue(self, gateway: Key, current: Mapping[str, bytes] | None) -> Mapping[str, bytes] | None:
        """The data of the Secret with the Gateway's identity; None where ``current`` is still good."""


class Territory(Struct, frozen=True):
    """What of a cluster is ours to see to.

    ``namespaces`` are the only ones to look at; none means all. Gateways of a class with another ``controller_name``
    are somebody else's.
    """

    installation: Installation = Installation()
    controller_name: str = CONTROLLER_NAME
    namespaces: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """The labels of everything that this installation generates."""
        return installation_labels(self.installation.namespace, self.installation.name)


class Outcome(Struct, frozen=True):
    """What came of it; ``again_at`` is when to look again even if nothing is heard."""

    applied: Applied
    has_written: bool = False
    again_at: float | None = None


class _Attempt:
    """One look at one Gateway, while it lasts."""

    def __init__(self, gateway: Key) -> None:
        self.gateway = gateway
        self.owner: Owner | None = None
        self.unapplied: list[Unapplied] = []
        self.has_written = False
        self.again_at: float | None = None

    def again(self, at: float) -> None:
        self.again_at = at if self.again_at is None else min(self.again_at, at)


class _GatewayGone(Exception):
    """The Gateway does not exist any more, or is being deleted."""


class NotLeading(Exception):
    """Another replica may write by now."""


class _Made(Struct, frozen=True):
    """What was applied last to an object, by its digest, and the uid of the Gateway for which."""

    owner: str
    digest: str


def while_leading(client: Client, leads: Callable[[], bool]) -> Callable[[], Client]:
    """Gives a client for one request, or raises NotLeading."""

    def api() -> Client:
        if not leads():
            raise NotLeading
        return client

    return api


class Application:
    """Applies and withdraws. ``api`` gives a client for one request; ``clock`` gives seconds."""

    def __init__(
        self,
        api: Callable[[], Client],
        identities: Identity,
        inventory: Inventory,
        repairs: Repairs,
        territory: Territory,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._identities = identities
        self._inventory = inventory
        self._repairs = repairs
        self._labels = territory.labels
        self._controller_name = territory.controller_name
        self._clock = clock
        self._succession = Succession(api, clock)
        # To tell a repair from news.
        self._made: dict[Key, dict[ObjectPath, _Made]] = {}

    async def apply(self, infrastructure: Infrastructure, is_listed: Callable[[ObjectPath], bool]) -> Outcome:
        """Make everything as it is to be that is not. Raises KubeError and NotLeading.

        An object whose kind was not listed yet is left for later: it may be there.
        """
        attempt = _Attempt(infrastructure.gateway)
        try:
            for generated in infrastructure.objects:
                if is_listed(generated.path) and self._has_needs(infrastructure, generated):
                    await self._ensure(attempt, generated, is_held=infrastructure.is_held)
            if not infrastructure.is_held:
                await self._remove_unwanted(attempt, infrastructure.objects)
        except _GatewayGone:
            # The garbage collector takes care of everything.
            attempt.unapplied.clear()
            self.forget(infrastructure.gateway)
        applied = Applied(infrastructure.gateway, tuple(attempt.unapplied))
        return Outcome(applied, attempt.has_written, attempt.again_at)

    async def withdraw(self, gateway: Key) -> None:
        """Delete what this installation generated for a Gateway that another controller serves now.

        Raises KubeError and NotLeading. Asked for without need it does nothing: it deletes only where the Gateway says
        so itself, by its class.
        """
        if not self._inventory.of(gateway):
            return
        attempt = _Attempt(gateway)
        try:
            if await self._is_of_another(gateway):
                await self._remove_unwanted(attempt, ())
        except _GatewayGone:
            return

    def forget(self, gateway: Key) -> None:
        """The Gateway is gone, or another's: one of that name that comes later has nothing to do with it."""
        self._succession.forget(gateway)
        for path in self._made.pop(gateway, {}):
            self._repairs.forget(path)

    async def _is_of_another(self, gateway: Key) -> bool:
        found = await self._stored(gateway)
        class_path = ObjectPath(GATEWAY_CLASS, found["spec"]["gatewayClassName"])
        try:
            class_ = msgspec.json.decode(await self._api().read(class_path))
        except ApiError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return bool(class_["spec"]["controllerName"] != self._controller_name)

    async def _ensure(self, attempt: _Attempt, generated: Generated, *, is_held: bool) -> None:
        existing = self._inventory.get(generated.path)
        if existing is None and is_held:
            return
        data = await self._data(attempt.gateway, generated, existing)
        if existing is not None and is_as_generated(existing, generated) and not data.is_new:
            self._inventory.put(compared(existing, generated))
            self._note(attempt.gateway, existing)
            return
        not_before = self._repairs.not_before(generated.path)
        if self._clock() < not_before and await self._is_repair(attempt, generated, existing):
            attempt.again(not_before)
            return
        owner = await self._owner(attempt)
        is_repair = await self._is_repair(attempt, generated, existing)
        if not is_repair:
            self._repairs.forget(generated.path)
        if existing is not None and existing.owner != owner:
            self._in_the_way(attempt, existing, owner)
            return
        uid = existing.uid if existing is not None else ""
        try:
            if uid and leaves_number_open(generated):
                await self._hand_over_number(generated.path)
            answer = await self._api().apply(generated.path, body(generated, owner, data.entries, uid), FIELD_MANAGER)
        except ApiError as error:
            await self._refused(attempt, generated, owner, error)
            return
        attempt.has_written = True
        if is_repair:
            self._repairs.made(generated.path, self._clock())
        made = compared(existing_of(generated.path.kind, answer), generated)
        self._inventory.put(made)
        self._note(attempt.gateway, made)

    def _note(self, gateway: Key, existing: Existing) -> None:
        owner = existing.owner.uid if existing.owner is not None else ""
        self._made.setdefault(gateway, {})[existing.path] = _Made(owner, existing.digest)

    async def _is_repair(self, attempt: _Attempt, generated: Generated, existing: Existing | None) -> bool:
        """Whether an object was as we want it for this very Gateway: others have changed it since, and are not fought.

        One of that name before does not count, nor does what is wanted now and was not then.
        """
        made = self._made.get(attempt.gateway, {}).get(generated.path)
        if made is None or made.digest != digest_of(generated):
            return False
        owner = existing.owner if existing is not None else None
        return made.owner == (owner or await self._owner(attempt)).uid

    def _has_needs(self, infrastructure: Infrastructure, generated: Generated) -> bool:
        """Whether everything is there that an object needs: pods must not run with another's account or Secret."""
        if generated.path.kind != DEPLOYMENT:
            return True
        needed = (each.path for each in infrastructure.objects if each.path.kind in NEEDED_BY_PODS)
        found = [self._inventory.get(path) for path in needed]
        owners = [each.owner.gateway if each is not None and each.owner is not None else None for each in found]
        return all(owner == infrastructure.gateway for owner in owners)

    async def _data(self, gateway: Key, generated: Generated, existing: Existing | None) -> _Data:
        if not generated.is_identity:
            return _Data(None)
        current = dict(existing.data) if existing is not None and existing.data else None
        issued = await self._identities.issue(gateway, current)
        # Whatever is applied holds all of it: a field that is left out would be taken away.
        return _Data(current) if issued is None else _Data(issued, is_new=True)

    async def _owner(self, attempt: _Attempt) -> Owner:
        """The Gateway as it is now: objects must not outlive it, nor be made for one of before."""
        if attempt.owner is None:
            found = await self._stored(attempt.gateway)
            attempt.owner = Owner(attempt.gateway, found["metadata"]["uid"])
        return attempt.owner

    async def _stored(self, gateway: Key) -> dict[str, Any]:
        """The Gateway as it is now. Raises _GatewayGone."""
        try:
            answer = await self._api().read(ObjectPath(GATEWAY, gateway.name, gateway.namespace))
        except ApiError as error:
            if error.status == NOT_FOUND:
                raise _GatewayGone from None
            raise
        found: dict[str, Any] = msgspec.json.decode(answer)
        if "deletionTimestamp" in found["metadata"]:
            raise _GatewayGone
        return found

    async def _hand_over_number(self, path: ObjectPath) -> None:
        """Have the number of pods stay when we stop setting it, for the autoscaler to begin with.

        A field that nobody sets any more falls back to its default, which would be one pod.
        """
        handover = handover_of(await self._api().read(path))
        if handover is not None:
            await self._api().apply(path, handover, HANDOVER_MANAGER)

    async def _refused(self, attempt: _Attempt, generated: Generated, owner: Owner, error: ApiError) -> None:
        path = generated.path
        if error.status == CONFLICT:
            await self._look(attempt, path, owner)
        elif error.status in _REFUSALS:
            # A namespace that is being deleted takes nothing new, and its Gateways are about to go as well.
            if "is being terminated" not in error.message:
                attempt.unapplied.append(Unapplied(str(path), "refused", error.message))
            attempt.again(self._clock() + BLOCKED_SECONDS)
        else:
            raise error

    async def _look(self, attempt: _Attempt, path: ObjectPath, owner: Owner) -> None:
        """Something has the name. If it is ours, the watch has not told yet, or labels by which it selects are gone."""
        try:
            existing = existing_of(path.kind, await self._api().read(path))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            self._inventory.remove(path)
            attempt.again(self._clock() + LEFTOVER_SECONDS)
            return
        if existing.owner == owner and not self._doubt(existing):
            self._inventory.put(existing)
            attempt.again(self._clock())
            return
        self._in_the_way(attempt, existing, owner)

    def _in_the_way(self, attempt: _Attempt, existing: Existing, owner: Owner) -> None:
        """An object that is not this Gateway's has a name that it needs."""
        if existing.owner is not None and existing.owner.gateway == owner.gateway and existing.owner != owner:
            # A Gateway of that name was there before, and what it owned is being collected.
            attempt.again(self._clock() + LEFTOVER_SECONDS)
            return
        if existing.owner is None:
            why = "no Gateway controls it"
        elif existing.owner != owner:
            why = f"it belongs to {existing.owner.gateway}"
        else:
            why = self._doubt(existing)
        attempt.unapplied.append(Unapplied(str(existing.path), "foreign", why))
        attempt.again(self._clock() + BLOCKED_SECONDS)

    def _doubt(self, existing: Existing) -> str:
        """Why an object that a Gateway controls may not be ours all the same, in words; "" if it certainly is."""
        installation = dict(existing.labels).get(INSTALLATION_LABEL)
        if installation not in (None, self._labels[INSTALLATION_LABEL]):
            return f"it is of another installation, {installation}, by its label {INSTALLATION_LABEL}"
        return "" if existing.digest else f"it lacks the annotation {DIGEST_ANNOTATION}"

    async def _remove_unwanted(self, attempt: _Attempt, wanted: tuple[Generated, ...]) -> None:
        paths = {each.path for each in wanted}
        mine = [each for each in self._inventory.of(attempt.gateway) if each.path not in paths]
        if not mine:
            # What is unwanted later is waited for anew.
            self._succession.forget(attempt.gateway)
            return
        owner = await self._owner(attempt)
        gone = unwanted(mine, owner, wanted)
        if not await self._succession.is_over(attempt.gateway, gone, wanted, attempt.unapplied):
            # Its class is another one of ours: those that serve now go when the new ones do.
            attempt.again(self._clock() + SUCCESSOR_SECONDS)
            return
        for existing in gone:
            try:
                await self._api().delete(existing.path, {"preconditions": {"uid": existing.uid}})
            except ApiError as error:
                if error.status not in (NOT_FOUND, CONFLICT):
                    raise
            attempt.has_written = True
            self._made.get(attempt.gateway, {}).pop(existing.path, None)
            self._repairs.forget(existing.path)
        if gone and any(is_held_by_old(each) for each in attempt.unapplied):
            attempt.again(self._clock() + LEFTOVER_SECONDS)


class _Data(Struct, frozen=True):
    """The data to apply, if any, and whether it differs from what is there."""

    entries: Mapping[str, bytes] | None
    is_new: bool = False
