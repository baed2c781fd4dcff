"""Which statuses a contender writes, read from the API server's audit log as it grows."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path

from testcluster.audit import DECODER, AuditEvent

LEASES = "leases"


class Writes:
    """Successful writes of one user since this was made, its Leases left out; the log is read only once."""

    def __init__(self, log: Path, account: str) -> None:
        self._log = log
        self._account = account
        self._place = log.stat().st_size if log.exists() else 0
        self.total = 0
        self.by_resource: Counter[str] = Counter()
        self.first_status: dict[str, float] = {}
        """By the name of the route: when its status was first written, as seconds since the epoch."""
        self.statuses = 0
        """All writes of routes' statuses."""

    def read(self) -> None:
        """Take in what was logged since the last time."""
        with self._log.open("rb") as file:
            file.seek(self._place)
            complete, newline, _ = file.read().rpartition(b"\n")
        self._place += len(complete) + len(newline)
        for line in complete.splitlines():
            event = DECODER.decode(line)
            if event.is_write and event.by == self._account and event.target.resource != LEASES and event.code < 300:
                self._count(event)

    def _count(self, event: AuditEvent) -> None:
        self.total += 1
        self.by_resource[event.resource] += 1
        if event.resource == "httproutes/status":
            self.statuses += 1
            self.first_status.setdefault(event.name, seconds_of(event.received))


def seconds_of(moment: str) -> float:
    """An RFC 3339 time as seconds since the epoch."""
    return dt.datetime.fromisoformat(moment).timestamp()
