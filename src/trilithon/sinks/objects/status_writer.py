"""Write statuses to an API server: what we say of each object, and nothing that others say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from trilithon.kube.client import Client
from trilithon.model.stored import Stored
from trilithon.resources.meta import Key
from trilithon.sinks.objects.object_writer import ObjectWriter
from trilithon.sinks.objects.object_writes import Decision, ObjectWrites
from trilithon.sinks.objects.status_merge import generation_of, merged, patience, without_ours

Render = Callable[[], dict[str, object]]


class StatusWriter:
    """Makes the statuses in a cluster what is wanted, whatever they are now; no write where they are that already.

    A wanted status is rendered when it is compared, so that one which changes again costs nothing. Leftovers of ours
    are taken away where it was said that nothing is wanted, and everywhere after ``complete``.
    """

    def __init__(
        self,
        client: Client,
        controller_name: str,
        leads: Callable[[], bool],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._controller_name = controller_name
        writes: ObjectWrites[Render | None] = ObjectWrites(self._decide, None)
        self._writer = ObjectWriter(client, writes, leads, on_trouble, subresource="status")

    def stored(self, key: Key, stored: Stored | None) -> None:
        """The API server holds this; None: nothing."""
        self._writer.stored(key, stored)

    def want(self, key: Key, render: Render | None) -> None:
        """The object is to say this; None: nothing of ours."""
        self._writer.want(key, render)

    def complete(self) -> None:
        """Everything has been translated once: what nothing was wanted of by now is to say nothing of ours."""
        self._writer.want_nothing_else()

    def lead(self) -> None:
        """Leadership just began: look at everything again."""
        self._writer.lead()

    async def run(self) -> None:
        """Write while leading, until cancelled."""
        await self._writer.run()

    def _decide(self, stored: Stored, render: Render | None) -> Decision | None:
        if render is None and not stored.is_read:
            # That nobody can tell what to say is no reason to take back what was said.
            return None
        if render is None:
            return _decision(without_ours(stored.status, self._controller_name).fields)
        wanted = render()
        # "Never overwrite a status whose observedGeneration is newer": ours speaks of another version of the spec than
        # the one that is stored, so a new translation is on its way.
        if generation_of(wanted) not in (None, stored.generation):
            return None
        merge = merged(stored.status, wanted, self._controller_name, _now())
        trouble = ""
        if merge.left_out:
            trouble = f"the status of {stored.path} has no room for {merge.left_out} entries beside those of others"
        return _decision(merge.fields, patience=patience(stored.status, wanted), trouble=trouble)


def _decision(fields: object, *, patience: float = 0.0, trouble: str = "") -> Decision:
    return Decision({"status": fields} if fields else {}, patience, trouble)


def _now() -> str:
    """As the API server writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
