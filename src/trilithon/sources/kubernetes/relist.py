"""Say which kinds to list anew after an API server lost data: a watch does not tell of what was there all the time.

When there is evidence of it, or anything is held, each kind is listed once, unless it is listed anyhow. While anything
is held, those of which something is missing are listed often, and the definitions; and when it is over all are listed
once. They do not all do so at once, nor do replicas.
No IO: time is an argument, in seconds of any clock that only grows.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from trilithon.kube.events import Delete, Event, Synced
from trilithon.sources.kubernetes.guard import Guard
from trilithon.sources.kubernetes.kinds import CRD
from trilithon.sources.kubernetes.views import View

# Of the time between two lists of a kind: never sooner, nor later, than these parts of it.
SOONEST, LATEST = 0.7, 1.3


class Relists:
    """When each view is to be listed next; ``seconds`` is how often that is for those of which something is missing."""

    def __init__(self, views: Iterable[View], guard: Guard, seconds: float, dice: random.Random | None = None) -> None:
        self._views = tuple(views)
        self._guard = guard
        self._seconds = seconds
        self._dice = dice or random.Random()  # noqa: S311 - nothing secret is drawn
        # Since when there is evidence, or something is held; how often there was evidence before; whether any is held.
        self._since: float | None = None
        self._losses = guard.losses
        self._has_held = False
        self._lost_at: dict[View, float] = {}
        self._due: dict[View, float] = {}

    def heard(self, view: View, event: Event[Any], now: float) -> None:
        """A view heard this."""
        if isinstance(event, Delete) and event.is_swept:
            self._lost_at[view] = now
        if not isinstance(event, Synced):
            return
        self._due.pop(view, None)
        if self._since is None and (self._guard.is_holding or self._guard.losses > self._losses):
            self._since = now
            self._list_all(now, but=view)
        self._has_held |= self._guard.is_holding
        if self._since is not None and self._is_affected(view, self._since):
            self._again(view, now)

    def due(self) -> float | None:
        """When ``take`` gives something, if nothing is heard before; None: not yet."""
        over = [] if self._since is None or self._guard.is_holding else [self._since + self._seconds]
        return min([*self._due.values(), *over], default=None)

    def take(self, now: float) -> list[View]:
        """The views to be listed now."""
        if self._since is not None and not self._guard.is_holding and now >= self._since + self._seconds:
            self._end(now)
        taken = [view for view, due in self._due.items() if due <= now]
        for view in taken:
            # Until it is listed; a view in trouble is perhaps not.
            self._again(view, now)
        return [view for view in taken if view.is_listed and view.trouble is None]

    def _end(self, now: float) -> None:
        self._since, self._losses = None, self._guard.losses
        self._due.clear()
        if self._has_held:
            self._list_all(now)
        self._has_held = False

    def _is_affected(self, view: View, since: float) -> bool:
        """Whether something is missing of it, or may be; also what was gone at once just before anything was held."""
        is_missing = bool(view.held) or self._lost_at.get(view, float("-inf")) >= since - self._seconds
        return is_missing or view.watched.wanted == CRD

    def _list_all(self, now: float, but: View | None = None) -> None:
        for view in self._views:
            if view is not but:
                self._due[view] = now + self._seconds * self._dice.random()

    def _again(self, view: View, now: float) -> None:
        self._due[view] = now + self._seconds * self._dice.uniform(SOONEST, LATEST)
