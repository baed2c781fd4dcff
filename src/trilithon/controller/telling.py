"""Tell whoever listens what happens, so that a mistake of a listener stays its own."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable

from trilithon.controller.events import Event, Failed


class Telling:
    """Calls a listener with events and never raises.

    A listener that raises is told of that as an event, once for each place where it does so; when it fails at this,
    too, the error is the loop's to log. It goes on to be called: the next event may be one that it can tell.
    """

    def __init__(self, listener: Callable[[Event], None]) -> None:
        self._listener = listener
        self._known: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Hand an event to the listener."""
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - what serves must not depend on who listens
            failure = failed("telling", error)
            if failure.where in self._known:
                return
            self._known.add(failure.where)
            self._tell_of(failure, error)

    def _tell_of(self, failure: Failed, error: Exception) -> None:
        try:
            self._listener(failure)
        except Exception:  # noqa: BLE001 - likewise
            asyncio.get_running_loop().call_exception_handler({"message": "telling failed", "exception": error})


def failed(what: str, error: BaseException) -> Failed:
    """An error as an event: what failed, how, and where it came from."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return Failed(what, f"{type(error).__name__}: {error}", f"{where.filename}:{where.lineno}")
