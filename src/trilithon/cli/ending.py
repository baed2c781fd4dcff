"""End a serving process when a signal says so."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from trilithon.cli.main import INTERRUPTED


def until_signalled(told: Callable[[], None], abandon: Callable[[], None]) -> asyncio.Event:
    """An event that SIGINT, SIGTERM or a terminal that is closed will set; from the loop.

    ``told`` is called when that happens. The second SIGINT or SIGTERM waits for nothing: ``abandon`` removes what
    would be left behind, and the process ends.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if stop.is_set():
            # Whatever still waits for requests is left; the Envoys end with this process.
            abandon()
            os._exit(INTERRUPTED)
        hang_up()

    def hang_up() -> None:
        # A closed terminal sends one, its shell another, so the second is no wish to end at once.
        is_new = not stop.is_set()
        # Before it is told: whether anybody listens is not known.
        stop.set()
        if is_new:
            told()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    # Ignored under nohup, and then it stays so.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, hang_up)
    return stop
