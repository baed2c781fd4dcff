"""Say what the Envoys' answers mean for a Gateway: what they still have, and what they refuse of its listeners."""

from __future__ import annotations

from collections.abc import Iterable

from trilithon.model import gateway_mistakes as mistakes
from trilithon.model.listener import Listener, WantedListener
from trilithon.model.proxy import Acked, Proxy
from trilithon.model.settings import Settings
from trilithon.resources.problem import Problem

PRIVILEGED_PORTS = range(1, 1024)


def is_behind(proxy: Proxy, wanted: Iterable[WantedListener]) -> bool:
    """Whether an Envoy still has a port that no listener wants any more."""
    ports = {(each.envoy_listener.type_url, each.envoy_listener.name) for each in wanted}
    types = {type_url for type_url, _ in ports}
    return any(acked.type_url in types and (acked.type_url, acked.name) not in ports for acked in proxy.acked)


def refusals(settings: Settings, proxy: Proxy, listener: Listener, wanted: WantedListener) -> tuple[Problem, ...]:
    """What Envoy refuses of what the listener needs; what others of its port need is not its problem."""
    gateway = listener.key.gateway
    found = [_of_port(settings, listener, why) for why in _messages(proxy, wanted.envoy_listener)]
    found += [
        mistakes.ENVOY_REFUSED.at(gateway, listener.path, why=why) for why in _messages(proxy, wanted.route_table)
    ]
    for key, secret in wanted.secrets:
        path = f"{listener.path}.tls.certificateRefs"
        found += [
            mistakes.CERTIFICATE_REFUSED.at(gateway, path, secret=key.path, why=why) for why in _messages(proxy, secret)
        ]
    return tuple(found)


def _messages(proxy: Proxy, wanted: Acked) -> list[str]:
    # A listener and a route table may have one name.
    of = (wanted.type_url, wanted.name)
    return [entry.message for entry in proxy.rejected if (entry.type_url, entry.name) == of]


def _of_port(settings: Settings, listener: Listener, message: str) -> Problem:
    gateway = listener.key.gateway
    if "cannot bind" not in message:
        return mistakes.ENVOY_REFUSED.at(gateway, listener.path, why=message)
    bound = settings.bound_port(listener.port)
    if settings.installation is not None:
        why, remedy = message, "another process of the node may have it; see hostNetwork of GatewayParameters"
    elif "Permission denied" in message:
        why = f"ports below {PRIVILEGED_PORTS.stop} need privileges that this process lacks"
        remedy = f"start with --port-offset 8000 to serve port {bound} at {bound + 8000}, or grant CAP_NET_BIND_SERVICE"
    elif "Address already in use" in message:
        why, remedy = "another process has it", "stop that process, or start with another --port-offset"
    elif "Cannot assign requested address" in message:
        why = f"the address {settings.address} is not one of this machine's"
        remedy = "start with --address 127.0.0.1, or 0.0.0.0 for all addresses of this machine"
    else:
        why, remedy = message, "check --address"
    return mistakes.PORT_NOT_BOUND.at(gateway, f"{listener.path}.port", bound=bound, why=why, remedy=remedy)
