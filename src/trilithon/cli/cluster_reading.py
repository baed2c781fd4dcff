"""Read a cluster once, for the commands that only look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from trilithon.cli.cluster_rights import (
    dispensable,
    refused_places,
    told,
    told_of_object,
    without_parameters,
)
from trilithon.cli.main import EnvironmentLacks
from trilithon.cli.origin import Origin
from trilithon.kube.client import Client
from trilithon.kube.config import find_config
from trilithon.kube.errors import ApiError, ConfigError, KubeError
from trilithon.kube.transport import Transport
from trilithon.model.settings import ANY_ADDRESS, ANY_ADDRESS_6, Installation, Settings
from trilithon.model.stored import Stored, StoredCondition, condition_in
from trilithon.resources.kinds import KINDS
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.problem import Problem
from trilithon.resources.stored import ObjectReader
from trilithon.sources.kubernetes.kinds import Scope
from trilithon.sources.kubernetes.source import KubernetesSource
from trilithon.sources.kubernetes.state import ClusterChange, OnStored
from trilithon.sources.kubernetes.trouble import ClusterProblem

# What is in trouble for so long stays so; what is only slow gets more time.
TROUBLED_SECONDS = 3.0
PATIENCE_SECONDS = 20.0
LOOK_SECONDS = 0.25
# What is refused stays so at once; so long it is collected.
REFUSED_SECONDS = 0.5

# Troubles of a kind as a whole; those of single objects keep nobody waiting.
_OF_KINDS = frozenset({"KindNotWatched", "KindGone"})


class ClusterRead(Struct, frozen=True):
    """Every object of a cluster that translation takes, and those that are not read as they should be.

    ``programmed`` is what the stored status of each Gateway says of Programmed, of its present generation. ``lacking``
    are the kinds that whoever looks may not list.
    """

    resources: Mapping[Key, Any]
    problems: tuple[Problem, ...]
    programmed: Mapping[Key, StoredCondition]
    lacking: frozenset[str] = frozenset()


def settings_of(origin: Origin) -> Settings:
    """The surroundings of a controller in that cluster."""
    namespace, _, name = origin.installation.partition("/")
    # Gateways have addresses of their own there, other controllers serve some, and generated Services are to be found.
    return Settings(
        controller_name=origin.controller_name,
        address=ANY_ADDRESS_6 if origin.address_family == "IPv6" else ANY_ADDRESS,
        shared_address=False,
        private_backends=False,
        backend_hostnames=origin.backend_hostnames,
        installation=Installation(namespace, name),
    )


def read_cluster(origin: Origin) -> ClusterRead:
    """Read the cluster that kubectl would use. Raises EnvironmentLacks."""
    try:
        config = find_config(origin.kubeconfig, origin.context)
    except ConfigError as error:
        raise EnvironmentLacks(str(error)) from error
    own = origin.installation.partition("/")[0]
    scope = Scope(namespaces=origin.namespaces, namespace_selector=origin.namespace_selector, own_namespace=own)
    return asyncio.run(_read(Transport(config), scope, origin.controller_name))


async def _read(transport: Transport, scope: Scope, controller_name: str) -> ClusterRead:
    programmed: dict[Key, StoredCondition] = {}

    def stored(key: Key, found: Stored | None) -> None:
        condition = condition_in(found.status, "Programmed") if found is not None else None
        if key.kind == "Gateway" and found is not None and condition is not None:
            # Of an older generation it says nothing of this one.
            is_current = condition.observed_generation == found.generation
            programmed[key] = condition if is_current else StoredCondition()

    async with transport:
        await _knock(transport)
        first, problems, without = await _listed(transport, scope, stored)
        can_lack = dispensable(scope)
        of_kinds = [each for each in problems if each.problem.code in _OF_KINDS]
        # What the first state does not wait for may be refused as well.
        lacking = {place: can_lack[place] for place in (without | refused_places(of_kinds)) & can_lack.keys()}
        kinds = frozenset(lacking.values())
        rows = {**without_parameters(first.upserts, scope, kinds), **await _namespaces(transport, scope, kinds)}
    known = {each for each in of_kinds if refused_places([each]) & lacking.keys()}
    found = (told_of_object(each) for each in problems if each not in known)
    return ClusterRead(rows, (*told(lacking, controller_name), *found), programmed, kinds)


async def _listed(
    transport: Transport, scope: Scope, stored: OnStored
) -> tuple[ClusterChange, Sequence[ClusterProblem], frozenset[str]]:
    """The first state, what is wrong with it, and the watches that it does without."""
    while True:
        source = KubernetesSource(transport, scope, stored)
        async with aclosing(source.changes()) as changes:
            first = await _first(transport, source, changes, scope)
        if not isinstance(first, frozenset):
            return first, source.problems(), scope.without
        scope = replace(scope, without=scope.without | first)


async def _namespaces(transport: Transport, scope: Scope, lacking: frozenset[str]) -> Mapping[Key, Any]:
    """The namespaces one by one, where they may not be listed: who has rights in one may have that to get it."""
    (kind,) = (each for each in KINDS if each.name == "Namespace")
    if kind.name not in lacking:
        return {}
    rows: dict[Key, Any] = {}
    for name in scope.namespaces:
        try:
            found = ObjectReader(kind)(await Client(transport).get(f"/api/v1/namespaces/{name}"))
        except KubeError as error:
            raise _unread(transport, str(error)) from error
        rows[found.key] = found.resource
    return rows


async def _knock(transport: Transport) -> None:
    """Fail at once where everything else would only fail slowly."""
    try:
        await Client(transport, attempts=1).get(f"/apis/{GATEWAY_GROUP}")
    except ApiError as error:
        if error.status != 404:
            raise _unread(transport, str(error)) from error
        raise _unread(transport, "it has no Gateway API; install its definitions first") from error
    except KubeError as error:
        raise _unread(transport, str(error)) from error


async def _first(
    transport: Transport, source: KubernetesSource, changes: AsyncGenerator[ClusterChange, None], scope: Scope
) -> ClusterChange | frozenset[str]:
    """The first state, or the watches that are refused and that can be done without."""
    can_lack = dispensable(scope)
    coming = asyncio.ensure_future(anext(changes))
    try:
        waited = troubled = 0.0
        while not coming.done():
            await asyncio.wait({coming}, timeout=LOOK_SECONDS)
            waited += LOOK_SECONDS
            errors = [each for each in source.problems() if each.problem.code in _OF_KINDS]
            troubled = troubled + LOOK_SECONDS if errors else 0.0
            if not coming.done() and troubled >= REFUSED_SECONDS and all(each.is_forbidden for each in errors):
                refused = refused_places(errors)
                if refused <= can_lack.keys():
                    return refused
            if not coming.done() and (troubled >= TROUBLED_SECONDS or waited >= PATIENCE_SECONDS):
                raise _unread(transport, _why(errors, scope) if errors else "the API server does not answer")
        return coming.result()
    finally:
        coming.cancel()
        await asyncio.wait({coming})


def _why(errors: Sequence[ClusterProblem], scope: Scope) -> str:
    """The kinds that may not be listed, and those that cannot be, each with its reason."""
    refused: list[str] = []
    others: dict[str, list[str]] = {}
    for each in errors:
        if each.is_forbidden:
            refused += each.places
        else:
            others.setdefault(each.cause.reason if each.cause else each.problem.message, []).extend(each.places)
    somewhere = "" if scope.namespaces else " (--namespace reads only some of the cluster)"
    said = [f"you may not list {', '.join(sorted(refused))}{somewhere}"] if refused else []
    said += [f"{', '.join(sorted(names))}: {reason}" for reason, names in others.items()]
    return "; ".join(said)


def _unread(transport: Transport, why: str) -> EnvironmentLacks:
    return EnvironmentLacks(f"{transport.config.server} could not be read: {why}")
