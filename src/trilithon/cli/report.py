"""Tell what a running process does: a report for people on standard output, a log on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import MutableMapping, Sequence
from typing import Any, Protocol, TextIO, cast

import click
import msgspec
import structlog

from trilithon.cli.output import Output
from trilithon.cli.printing import dim, printable, problem_lines
from trilithon.controller import (
    Change,
    Controller,
    EnvoyChanged,
    EnvoySaid,
    Event,
    Failed,
    GatewayChanged,
    ProblemsChanged,
)
from trilithon.inspect.hints import with_hint
from trilithon.inspect.overview import GatewayView, ListenerView, ProblemView, gateway_view, problem_view
from trilithon.model.tables import PROXIES
from trilithon.pipeline import SOURCES
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.envoy.processes import EnvoyExited, EnvoyRestarting, EnvoyStarted
from trilithon.status.gateway import GATEWAY_STATUS

# A change of more objects than this is told by their number.
MOST_NAMED = 3
# Problems that say that a file or folder seems empty, and that what it held is still served.
HELD = frozenset({"FolderEmptied", "FileEmptied"})
# What Envoy logs when it is ended, and when it refuses a resource: the first is our doing, the second a problem.
TOLD_OTHERWISE = (
    "caught ENVOY_SIGTERM",
    "gRPC config stream to trilithon-xds closed",
    "failed to bind or apply socket options",
    "config rejected: cannot bind",
    "gRPC config for type.googleapis.com/",
    "delta config for type.googleapis.com/",
)


class Report(Protocol):
    """Where a run tells what happens."""

    def say(self, text: str) -> None:
        """A remark about the run itself."""

    def warn(self, problem: ProblemView) -> None:
        """A problem of the run itself."""

    def ending(self) -> None:
        """The run was asked to end."""

    def ended(self) -> None:
        """Nothing is served any more."""

    def tell(self, controller: Controller, event: Event) -> None:
        """Something happened."""

    def close(self) -> None:
        """Write what is not written yet, as far as somebody reads it."""


def report_for(log_format: str) -> Report:
    """The report in a format: auto, plain or json."""
    is_json = log_format == "json"
    errors = Output(sys.stderr)
    log = logger(errors, as_json=is_json or (log_format == "auto" and not errors.isatty()))

    def gone(error: OSError) -> None:
        log.error("standard output is gone; what is served goes on", error=error.strerror)

    if is_json:
        output = Output(
            sys.stdout, lambda lines: msgspec.json.encode({"event": "left out", "lines": lines}).decode(), gone
        )
        return JsonReport(logger(output, as_json=True), (output, errors))
    return TextReport(Output(sys.stdout, on_failure=gone), log, errors)


def logger(output: Output, *, as_json: bool) -> Any:
    """A structured log: JSON lines, or lines for people."""
    renderer: Any = structlog.processors.JSONRenderer()
    if not as_json:
        renderer = structlog.dev.ConsoleRenderer(colors=output.isatty(), pad_event_to=0, pad_level=False)
    stamp = structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json)
    return structlog.wrap_logger(
        structlog.PrintLogger(cast("TextIO", output)),
        # JSON has escapes of its own.
        processors=[structlog.processors.add_log_level, stamp, *(() if as_json else (_printable_values,)), renderer],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )


def _printable_values(_log: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}


class JsonReport:
    """One JSON object in a line for each event."""

    def __init__(self, log: Any, outputs: Sequence[Output]) -> None:
        self._log = log
        self._outputs = outputs

    def say(self, text: str) -> None:
        """A remark about the run itself."""
        self._log.info("note", text=text)

    def warn(self, problem: ProblemView) -> None:
        """A problem of the run itself."""
        self._log.warning("problem", **_fields(problem))

    def ending(self) -> None:
        """The run was asked to end."""
        self._log.info("ending")

    def ended(self) -> None:
        """Nothing is served any more."""
        self._log.info("ended")

    def tell(self, controller: Controller, event: Event) -> None:
        """Something happened."""
        if isinstance(event, Change):
            self._log.info(
                "change",
                upserted=[str(key) for key in event.upserted],
                removed=[str(key) for key in event.removed],
                recomputed=event.recomputed,
                settled_ms=_milliseconds(event.settled),
                served_ms=None if event.served is None else _milliseconds(event.served),
                waiting=event.waiting,
                refused=event.is_refused,
            )
        elif isinstance(event, ProblemsChanged):
            for problem in event.appeared:
                self._log.warning("problem", **_fields(_view(controller, problem)))
            for problem in event.healed:
                self._log.info("healed", **_fields(problem_view(problem, None, None)))
        elif isinstance(event, GatewayChanged):
            view = _gateway(controller, event.gateway)
            urls = {each.name: each.url for each in view.listeners if each.url} if view else {}
            self._log.info(
                "gateway",
                gateway=event.gateway.path,
                programmed=event.is_programmed,
                message=event.message,
                urls=urls,
            )
        else:
            log_event(self._log, event)

    def close(self) -> None:
        """Write what is not written yet, as far as somebody reads it."""
        for each in self._outputs:
            each.close()


class TextReport:
    """Lines for people; what Envoys say and do goes to the log."""

    def __init__(self, output: Output, log: Any, errors: Output) -> None:
        self._output = output
        self._log = log
        self._errors = errors
        # The objects of the first change, by which it is known when it is told again.
        self._first: tuple[Key, ...] | None = None
        self._served: set[Key] = set()

    def say(self, text: str) -> None:
        """A remark about the run itself."""
        self._output.echo(text)

    def warn(self, problem: ProblemView) -> None:
        """A problem of the run itself."""
        for line in problem_lines(problem):
            self._output.echo(line)

    def ending(self) -> None:
        """The run was asked to end."""
        self._output.echo("ending: requests in flight may finish; Ctrl-C again ends at once")

    def ended(self) -> None:
        """Nothing is served any more."""
        self._output.echo("ended")

    def tell(self, controller: Controller, event: Event) -> None:
        """Something happened."""
        if isinstance(event, Change):
            self._output.echo(f"{dim(time.strftime('%H:%M:%S'))} {self._change(event)}")
        elif isinstance(event, ProblemsChanged):
            self._problems(controller, event)
        elif isinstance(event, GatewayChanged):
            self._gateway(controller, event)
        elif isinstance(event, EnvoyChanged) and isinstance(event.event, EnvoyExited | EnvoyRestarting):
            self._log.warning(_died(event.event), gateway=event.gateway.path)
        elif not (isinstance(event, EnvoySaid) and _is_told_otherwise(event.text)):
            log_event(self._log, event)

    def _change(self, event: Change) -> str:
        if self._first is None:
            self._first = event.upserted
        what = "everything read" if event.upserted is self._first else _what_changed(event)
        cost = f"{event.recomputed} rows recomputed in {_milliseconds(event.settled):g} ms"
        if event.waiting:
            return f"{what}: {cost}, {click.style('waiting', fg='yellow')} for the Envoy of {', '.join(event.waiting)}"
        if event.served is None:
            return f"{what}: {cost}, the same for Envoy"
        if event.is_refused:
            answered = click.style("answered", fg="yellow")
            return f"{what}: {cost}, {answered} after {_milliseconds(event.served):g} ms: Envoy refuses a part"
        return f"{what}: {cost}, {click.style('served', fg='green')} after {_milliseconds(event.served):g} ms"

    def _problems(self, controller: Controller, event: ProblemsChanged) -> None:
        for view in sorted((_view(controller, problem) for problem in event.appeared), key=_place):
            self.warn(view)
        for problem in event.healed:
            self._output.echo(self._healed(controller, problem, event.removed))

    def _healed(self, controller: Controller, problem: Problem, removed: int) -> str:
        what = printable(str(problem))
        if problem.key is not None and controller.engine.row(SOURCES[problem.key.kind], problem.key) is None:
            return f"gone with its object: {what}"
        if problem.code in HELD and removed:
            # The first half says what was seen, the second that it is not believed yet.
            return f"confirmed: {what.partition(';')[0]}; what it held is served no longer"
        if problem.code == "PortUnavailable" and _has_no_envoy(controller, problem.key):
            return f"to be seen again, as no Envoy runs now: {what}"
        return f"{click.style('mended', fg='green')}: {what}"

    def _gateway(self, controller: Controller, event: GatewayChanged) -> None:
        view = _gateway(controller, event.gateway)
        was_served = event.gateway in self._served
        if event.is_gone:
            self._served.discard(event.gateway)
            what = "is no longer served" if was_served else "is gone; it was not served"
            self._output.echo(f"Gateway {event.gateway.path} {what}")
        elif event.is_programmed and view is not None:
            self._served.add(event.gateway)
            self._output.echo(f"Gateway {click.style(view.name, bold=True)} is served")
            for each in view.listeners:
                if each.url and not _is_refused(each):
                    names = "any hostname" if each.hostname == "*" else each.hostname
                    self._output.echo(f"    {each.name}  {click.style(each.url, underline=True)}  ({names})")
        elif not _is_pending(controller, event.gateway):
            self._served.discard(event.gateway)
            self._output.echo(f"Gateway {event.gateway.path} is not served: {printable(event.message)}")

    def close(self) -> None:
        """Write what is not written yet, as far as somebody reads it."""
        self._output.close()
        self._errors.close()


def log_event(log: Any, event: Event) -> None:
    """What is for the log: what an Envoy does or says, what failed."""
    if isinstance(event, Failed):
        log.error("failed, and goes on", what=event.what, error=event.error, where=event.where)
    elif isinstance(event, EnvoySaid):
        level = {"error": log.error, "critical": log.error, "warning": log.warning}.get(event.level, log.info)
        level(event.text, gateway=event.gateway.path, source="envoy")
    elif isinstance(event, EnvoyChanged):
        gateway = event.gateway.path
        happened = event.event
        if isinstance(happened, EnvoyStarted):
            log.info("Envoy started", gateway=gateway, pid=happened.pid)
        elif isinstance(happened, EnvoyExited):
            log.warning("Envoy ended unasked", gateway=gateway, pid=happened.pid, code=happened.code)
        elif isinstance(happened, EnvoyRestarting):
            log.warning("Envoy is started again", gateway=gateway, after=happened.seconds, reason=happened.reason)
        else:
            log.info("Envoy ended", gateway=gateway, pid=happened.pid, code=happened.code)


def _died(event: EnvoyExited | EnvoyRestarting) -> str:
    if isinstance(event, EnvoyExited):
        how = f"was killed by signal {-event.code}" if event.code < 0 else f"ended with exit status {event.code}"
        return f"Envoy (pid {event.pid}) {how}"
    when = "at once" if event.seconds == 0 else f"after {event.seconds:g} s"
    return f"Envoy is started again {when}" + (f": {event.reason}" if event.reason else "")


def _is_told_otherwise(text: str) -> bool:
    """Whether a line of Envoy's says what this process caused, or tells as a problem with its place."""
    return any(each in text for each in TOLD_OTHERWISE)


def _place(view: ProblemView) -> tuple[bool, str, int, str, str]:
    return view.file is None, view.file or "", view.line or 0, view.path, view.message


def _what_changed(event: Change) -> str:
    parts = [
        f"{_named(keys)} {verb}" for keys, verb in ((event.upserted, "changed"), (event.removed, "removed")) if keys
    ]
    return ", ".join(parts) or "nothing changed"


def _named(keys: Sequence[Key]) -> str:
    names = sorted(map(str, keys))
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _view(controller: Controller, problem: Problem) -> ProblemView:
    return problem_view(with_hint(controller.engine, problem), *controller.position(problem))


def _gateway(controller: Controller, key: Key) -> GatewayView | None:
    return gateway_view(controller.engine, controller.settings, key)


def _is_pending(controller: Controller, key: Key) -> bool:
    """Whether the Gateway only waits for Envoy's answer, as it does at every start."""
    status = controller.engine.row(GATEWAY_STATUS, key)
    conditions = status.conditions if status is not None else ()
    return any(each.type == "Programmed" and each.reason == "Pending" for each in conditions)


def _has_no_envoy(controller: Controller, gateway: Key | None) -> bool:
    return gateway is not None and controller.engine.row(PROXIES, gateway.path) is None


def _is_refused(listener: ListenerView) -> bool:
    return any(each.type == "Programmed" and each.status == "False" for each in listener.conditions)


def _fields(view: ProblemView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in view.__struct_fields__}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
