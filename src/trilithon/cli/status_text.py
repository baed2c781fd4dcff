"""Show the overview of a process or of manifests as tables."""

from __future__ import annotations

from collections.abc import Iterable

import click

from trilithon.cli.printing import print_problems, print_table, printable
from trilithon.inspect.overview import ConditionView, EnvoyView, GatewayView, Overview

# These are good news when they are False; all others when they are True.
BAD_WHEN_TRUE = ("Conflicted", "OverlappingTLSConfig", "PartiallyInvalid")


def print_overview(overview: Overview) -> None:
    """Gateways, listeners, routes, problems; what there is none of is left out."""
    if overview.pid is not None:
        click.echo(f"process {overview.pid} serves {printable(', '.join(overview.paths))}\n")
    if not overview.gateways:
        click.echo("no Gateway of ours\n")
    else:
        print_table("Gateways", ("gateway", "conditions", "envoy"), [_gateway(each) for each in overview.gateways])
        listeners = [
            (
                f"{gateway.name} {listener.name}",
                listener.url or f"({listener.protocol} {listener.port})",
                "any" if listener.hostname == "*" else listener.hostname,
                str(listener.attached_routes),
                conditions_text(listener.conditions),
            )
            for gateway in overview.gateways
            for listener in gateway.listeners
        ]
        print_table("Listeners", ("listener", "url", "hostname", "routes", "conditions"), listeners)
    routes = [
        (
            f"{route.kind} {route.name}",
            parent.gateway + (f" {parent.section}" if parent.section else ""),
            conditions_text(parent.conditions),
        )
        for route in overview.routes
        for parent in route.parents
    ]
    if routes:
        print_table("Routes", ("route", "parent", "conditions"), routes)
    if overview.problems:
        click.echo("Problems")
        print_problems(overview.problems)


def _gateway(gateway: GatewayView) -> tuple[str, str, str]:
    return gateway.name, conditions_text(gateway.conditions), _envoy(gateway.envoy)


def _envoy(envoy: EnvoyView | None) -> str:
    if envoy is None:
        return "-"
    state = f"{envoy.connected} connected, {envoy.acknowledged} of {envoy.wanted} resources acknowledged"
    return state + (f", refused {'; '.join(envoy.rejected)}" if envoy.rejected else "")


def conditions_text(conditions: Iterable[ConditionView]) -> str:
    """``Accepted, Programmed``, or what is not so, with its reason; a good condition of little interest is left out."""
    words = []
    for each in conditions:
        is_bad_news = each.type in BAD_WHEN_TRUE
        if each.status == "True":
            words.append(f"{each.type} ({each.reason})" if is_bad_news else each.type)
        elif not is_bad_news:
            words.append(f"not {each.type} ({each.reason})")
    return ", ".join(words)
