"""Find the listener that a request comes in by, as its port, server name and Host decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from trilithon.incremental import Engine
from trilithon.inspect.decision import Decision
from trilithon.inspect.request import Request
from trilithon.model.listener import Listener
from trilithon.model.route_mistakes import LISTENER_NOT_SERVING
from trilithon.model.settings import Settings
from trilithon.model.tables import IDLE, LISTENERS
from trilithon.status.problems import GATEWAY_PROBLEMS
from trilithon.translate.isolation import owner, told_apart

PROTOCOL_OF_SCHEME = {"http": "HTTP", "https": "HTTPS"}


class UnknownListenerError(ValueError):
    """No listener has the name that was asked for; the message lists those there are."""


class Found(Struct, frozen=True):
    """The listener that owns the request, and its neighbours on the port."""

    listener: Listener
    neighbours: tuple[Listener, ...]


def find_listener(engine: Engine, settings: Settings, request: Request, name: str | None) -> Found | Decision:
    """The listener, or the whole answer where none takes the request. Raises UnknownListenerError.

    ``name`` (a listener's name, also as gateway/listener or namespace/gateway/listener) overrules the URL's port.
    """
    everything = [item for row in engine.rows(LISTENERS).values() for item in row.items]
    if name is not None:
        named = _named(everything, name)
        candidates = [item for item in everything if item.port_key == named.port_key]
    else:
        candidates = [item for item in everything if request.port in {item.port, settings.bound_port(item.port)}]
    protocol = PROTOCOL_OF_SCHEME[request.scheme]
    served = [item for item in candidates if item.serves and item.protocol == protocol]
    if not served:
        return Decision(
            outcome="no-listener", status=None, reason=_why_none(engine, everything, candidates, request, name)
        )
    picked: Listener | None = None
    if protocol == "HTTPS":
        picked = owner(served, request.server_name)
        if picked is None:
            reason = (
                f"no listener of port {request.port} takes the server name {request.server_name}, so TLS is refused"
            )
            return Decision(outcome="no-listener", status=None, reason=reason)
    sharing = [
        item for item in candidates if any(item.port_key == each.port_key and told_apart(item, each) for each in served)
    ]
    taking = owner(sharing, request.host)
    if taking is None:
        reason = f"no listener of port {request.port} takes the host {request.host}"
        return _nobody([picked] if picked else served, reason)
    if not taking.serves:
        return _not_serving(taking, request, engine.row(IDLE, taking.key) or "")
    if picked is not None and picked.key != taking.key:
        return _misdirected(picked, taking, request)
    return Found(taking, tuple(served))


def _not_serving(taking: Listener, request: Request, why: str) -> Decision:
    problem = LISTENER_NOT_SERVING.at(taking.key.gateway, taking.path, listener=taking.key.name, why=why)
    return Decision(
        outcome="direct",
        status=503,
        reason=f"the host {request.host} belongs to listener {taking.key.name}, which does not serve: {why}",
        gateway=taking.key.gateway,
        listener=taking.key.name,
        listener_text=describe(taking),
        problem=problem,
    )


def _misdirected(picked: Listener, taking: Listener, request: Request) -> Decision:
    """TLS picked the listener by server name, and the Host is one that another listener owns."""
    return Decision(
        outcome="direct",
        status=421,
        reason=(
            f"Misdirected: the server name {request.server_name} picked listener {picked.key.name}, "
            f"and the host {request.host} belongs to listener {taking.key.name}"
        ),
        gateway=picked.key.gateway,
        listener=picked.key.name,
        listener_text=describe(picked),
    )


def _nobody(served: Sequence[Listener], reason: str) -> Decision:
    only = served[0] if len(served) == 1 else None
    return Decision(
        outcome="no-route",
        status=404,
        reason=reason,
        gateway=served[0].key.gateway,
        listener=only.key.name if only else None,
        listener_text=describe(only) if only else f"port {served[0].port}",
    )


def describe(listener: Listener) -> str:
    """A listener in a few words."""
    hostname = "any hostname" if listener.hostname == "*" else listener.hostname
    return f"listener {listener.key.name} (port {listener.port}, {hostname})"


def _named(listeners: Sequence[Listener], name: str) -> Listener:
    found = [item for item in listeners if name in _names_of(item)]
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(sorted(_names_of(item)[-1] for item in found))
        raise UnknownListenerError(f"several listeners are named {name!r}; write one of: {choices}")
    choices = ", ".join(sorted(_names_of(item)[-1] for item in listeners)) or "there are none"
    raise UnknownListenerError(f"no listener is named {name!r}; the listeners: {choices}")


def _names_of(listener: Listener) -> tuple[str, str, str]:
    gateway = listener.key.gateway
    short = listener.key.name
    return (short, f"{gateway.name}/{short}", f"{gateway.namespace}/{gateway.name}/{short}")


def _strangers(engine: Engine) -> Iterable[str]:
    """Why the first Gateway there is is none of ours."""
    for key, found in sorted(engine.rows(GATEWAY_PROBLEMS).items())[:1]:
        yield f"{key}: {found.items[0].message}; {found.items[0].hint}"


def _why_none(
    engine: Engine,
    everything: Sequence[Listener],
    candidates: Sequence[Listener],
    request: Request,
    name: str | None,
) -> str:
    idle = next((item for item in candidates if not item.serves and item.problems), None)
    if idle is not None:
        return f"{describe(idle)} does not serve: {idle.problems[0].message}"
    if candidates:
        there = f"listener {name}" if name else f"port {request.port}"
        speaks = " and ".join(sorted({item.protocol for item in candidates}))
        return f"{there} speaks {speaks}, and the URL says {request.scheme}"
    if not everything:
        return "; ".join(("no Gateway of ours has a listener", *_strangers(engine)))
    ports = ", ".join(str(port) for port in sorted({item.port for item in everything if item.serves}))
    return f"no listener has port {request.port}; the ports: {ports or 'none serves'}"
