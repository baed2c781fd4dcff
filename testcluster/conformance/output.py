"""Reading what the suite's program prints while it runs: which test ended how, and why."""

from __future__ import annotations

import re
from collections import deque
from typing import Final

import msgspec

from testcluster.conformance.outcome import Failing, Outcome, Verdict

ROOT: Final = "TestConformance"
ACTION: Final = re.compile(r"=== (RUN|PAUSE|CONT|NAME) +(\S*)")
ENDED: Final = re.compile(r"--- (PASS|FAIL|SKIP): (\S+) \(([\d.]+)s\)")
ENTRY: Final = re.compile(r"    (\w[\w.-]*\.go:\d+): ?(?:\d{4}-\d\d-\d\dT[\d:.]+Z: )?(.*)")
ASSERTION: Final = re.compile(r"\s+(Error Trace|Error|Test|Messages):\s+(.*)")
NOT_READY: Final = "not ready"
MARK: Final = "\x16"
"""What ``-test.v=test2json`` puts before the lines that are the testing package's own."""

# What the suite says about an answer that it did not expect begins with the whole request and ends with the answer.
UNEXPECTED: Final = re.compile(r"Response expectation failed for request: .*\} +not ready yet: (.*?)(?:\. CRes: .*)?$")
AFTER: Final = re.compile(r" \(after [\d.]+\w+\)$")
"""How long it took, which would make the same answer look like another."""
CRASH: Final = re.compile(r"(panic|fatal error): ")
KEPT_ENTRIES: Final = 30
LAST_ENTRIES: Final = 3
"""How much of what was logged is shown of a test that failed without an assertion's message."""
LONGEST: Final = 400


class Entry(msgspec.Struct):
    """Something logged: where, and its lines."""

    place: str
    lines: list[str]


class Transcript:
    """Takes the lines of a run as they come; each test's outcome is there when the line that ends it was taken.

    Times are our own: the testing package leaves out what a test's parallel parts take.
    """

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.setup: list[Failing] = []
        self._path = ""
        self._begun: dict[str, float] = {}
        self._logged: dict[str, deque[Entry]] = {}
        self._errors: dict[str, list[Entry]] = {}
        self._failings: dict[str, list[Failing]] = {}
        self._crash: list[str] = []

    @property
    def waiting_for(self) -> str:
        """What the preparation waits for: what was last said to be not ready, else the last that was said."""
        said = [entry.lines[0] for entry in self._logged.get(ROOT, ())]
        return _short(next((line for line in reversed(said) if NOT_READY in line), said[-1] if said else ""))

    @property
    def has_begun(self) -> bool:
        """Whether the first test was reached."""
        return any("/" in path for path in self._begun) or bool(self.outcomes)

    def take(self, line: str, now: float) -> Outcome | None:
        """Take a line read at a time in seconds; returns the outcome of the test that it ends, if it ends one."""
        line = line.rstrip("\n").removeprefix(MARK)
        if found := ACTION.match(line):
            action, self._path = found[1], found[2]
            # A parallel test pauses at once and goes on when it is its turn.
            if action == "CONT" or (action == "RUN" and self._path not in self._begun):
                self._begun[self._path] = now
            return None
        if found := ENDED.match(line):
            return self._end(found[2], found[1], now)
        self._log(line)
        return None

    def finish(self, now: float) -> tuple[Outcome, ...]:
        """The run is over: what began and did not end is unfinished. Returns all outcomes."""
        last = {path for path in self._begun if path.count("/") == 1}
        for path in sorted(last):
            failings = self._explained(path) if self._path.startswith(path) else ()
            outcome = Outcome(_test(path), Verdict.UNFINISHED, now - self._begun[path], failings=failings)
            self.outcomes.append(outcome)
        if self._crash:
            self.setup.append(Failing("", tuple(self._crash)))
        return tuple(self.outcomes)

    def _log(self, line: str) -> None:
        if CRASH.match(line) or self._crash:
            if len(self._crash) < KEPT_ENTRIES:
                self._crash.append(line[:LONGEST])
            return
        entries = self._logged.setdefault(self._path, deque(maxlen=KEPT_ENTRIES))
        if found := ENTRY.match(line):
            entries.append(Entry(found[1], [found[2]]))
        elif entries and line.startswith("     "):
            entry = entries[-1]
            entry.lines.append(line.strip())
            # Kept apart, because what is cleaned up afterwards is logged too, and that may be much.
            errors = self._errors.setdefault(self._path, [])
            if ASSERTION.match(line) and (not errors or errors[-1] is not entry):
                errors.append(entry)

    def _end(self, path: str, result: str, now: float) -> Outcome | None:
        seconds = now - self._begun.pop(path, now)
        above = self._above(path)
        if result == "FAIL":
            self._fail(path, above)
        reason = self._reason(path) if result == "SKIP" else ""
        self._logged.pop(path, None)
        self._errors.pop(path, None)
        if above != ROOT:
            return None
        verdict = {"PASS": Verdict.PASSED, "FAIL": Verdict.FAILED}.get(result, Verdict.SKIPPED)
        if "does not support" in reason:
            verdict = Verdict.UNCLAIMED
        outcome = Outcome(_test(path), verdict, seconds, reason, tuple(self._failings.pop(ROOT, ())))
        self.outcomes.append(outcome)
        return outcome

    def _fail(self, path: str, above: str) -> None:
        """Note why a part failed, for the part that it belongs to: what its own parts said, and it."""
        below = self._failings.pop(path, [])
        if path == ROOT:
            said = self._said(path, only_errors=any(one.verdict is Verdict.FAILED for one in self.outcomes))
            self.setup.extend([Failing("", said)] if said else [])
            return
        said = self._said(path, only_errors=bool(below))
        inner = path.removeprefix(f"{ROOT}/{_test(path)}").lstrip("/")
        self._failings.setdefault(above, []).extend([*below, *([Failing(inner, said)] if said or not below else [])])

    def _above(self, path: str) -> str:
        """What a part belongs to. Names of parts may have slashes, so the longest that is known counts."""
        known = [other for other in self._begun if path.startswith(f"{other}/")]
        return max(known, key=len, default="")

    def _reason(self, path: str) -> str:
        entries = self._logged.get(path)
        return entries[-1].lines[0].split(": ", 1)[-1] if entries else ""

    def _explained(self, path: str) -> tuple[Failing, ...]:
        said = self._said(self._path, only_errors=False)
        inner = self._path.removeprefix(path).lstrip("/")
        return (*self._failings.get(path, ()), *((Failing(inner, said),) if said else ()))

    def _said(self, path: str, *, only_errors: bool) -> tuple[str, ...]:
        """What a part of a test said when it failed: its assertions, else the last that it logged."""
        errors = [_assertion(entry) for entry in self._errors.get(path, ())]
        if errors or only_errors:
            return tuple(dict.fromkeys(errors))
        logged = [f"{entry.place}: {_short(' '.join(entry.lines))}" for entry in self._logged.get(path, ())]
        # The suite asks again and again; the same answer needs to be seen once.
        return tuple(dict.fromkeys(line for line in logged if not _is_cleanup(line)))[-LAST_ENTRIES:]


def _test(path: str) -> str:
    return path.split("/")[1]


def _is_cleanup(line: str) -> bool:
    return line.startswith("apply.go:") and ": Deleting " in line


def _assertion(entry: Entry) -> str:
    """An assertion's message in one line: what was wrong, and what that meant."""
    parts: dict[str, list[str]] = {}
    label = ""
    for line in entry.lines:
        if found := ASSERTION.match(f" {line}"):
            label = found[1]
            parts[label] = [found[2]]
        elif label:
            parts[label].append(line)
    said = [" ".join(parts[name]) for name in ("Messages", "Error") if name in parts]
    return f"{entry.place}: {_short(': '.join(said))}"


def _short(text: str) -> str:
    if found := UNEXPECTED.match(text):
        text = AFTER.sub("", found[1])
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
