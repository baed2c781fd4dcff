"""Notice at once when a ConfigMap or Secret that a pod uses changes, without holding what it contains."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import aclosing, contextmanager

import msgspec

from testcluster.kubelet.api import Reference
from trilithon.kube.discovery import Discovery, KindWanted
from trilithon.kube.events import Degraded, Delete, Upsert
from trilithon.kube.watch import Watch
from trilithon.kube.watch_state import Selection

_KINDS = ("ConfigMap", "Secret")


class References:
    """Who is to be woken for which objects. One watch of all objects' metadata serves all pods."""

    def __init__(self) -> None:
        self._bells: defaultdict[Reference, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def heard(self, references: Iterable[Reference], bell: asyncio.Event) -> Iterator[None]:
        """Ring the bell whenever one of these objects comes, changes or goes."""
        wanted = set(references)
        for reference in wanted:
            self._bells[reference].add(bell)
        try:
            yield
        finally:
            for reference in wanted:
                self._bells[reference].discard(bell)
                if not self._bells[reference]:
                    del self._bells[reference]

    async def watch(self, discovery: Discovery) -> None:
        """Watch for ever."""
        async with asyncio.TaskGroup() as group:
            for kind in _KINDS:
                group.create_task(self._watch(discovery, kind))

    async def _watch(self, discovery: Discovery, kind: str) -> None:
        wanted = KindWanted("", kind, ("v1",))
        watch = Watch(discovery, wanted, _nothing, Selection(is_metadata_only=True))
        async with aclosing(watch.events()) as events:
            async for event in events:
                match event:
                    case Upsert(name) | Delete(name):
                        self.ring(Reference(kind, *name))
                    case Degraded(reason):
                        print(f"cannot watch {kind}s: {reason}", flush=True)
                    case _:
                        continue

    def ring(self, reference: Reference) -> None:
        """Wake whoever uses an object."""
        for bell in self._bells.get(reference, ()):
            bell.set()


def _nothing(written: msgspec.Raw) -> None:
    del written
