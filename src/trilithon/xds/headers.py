"""Encode changes to headers."""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.config.route.v3.route_components_pb2 import Route, WeightedCluster

from trilithon.model.rule import HeaderEdit

_SET = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_ADD = HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


# What can change headers: a route, or one cluster of several.
Edited = Route | WeightedCluster.ClusterWeight


def fill_headers(target: Edited, request: HeaderEdit | None, response: HeaderEdit | None) -> None:
    """Write the changes to request and response headers."""
    if request is not None:
        target.request_headers_to_remove.extend(request.remove)
        target.request_headers_to_add.extend(_options(request))
    if response is not None:
        target.response_headers_to_remove.extend(response.remove)
        target.response_headers_to_add.extend(_options(response))


def set_response_header(target: Edited, name: str, template: str) -> None:
    """Set a response header to a value in which Envoy fills in its %commands%; an empty value leaves the header out."""
    target.response_headers_to_add.add(header=HeaderValue(key=name, value=template), append_action=_SET)


def vary_by_origin(target: Edited) -> None:
    """Tell caches that the response depends on the Origin header."""
    target.response_headers_to_add.add(header=HeaderValue(key="vary", value="Origin"), append_action=_ADD)


def then(first: HeaderEdit | None, second: HeaderEdit | None) -> HeaderEdit | None:
    """One change that has the effect of two, one after the other.

    Envoy would apply the changes of one of several clusters before those of their route; the spec's order is rule, then
    backend, so both are written at the backend.
    """
    if first is None or second is None:
        return first or second
    # Envoy removes before it sets and adds, and sets before it adds here: what the second one removes or sets, the
    # first one need not add.
    undone = {name.lower() for name in second.remove} | {name.lower() for name, _ in second.set}
    added = {name.lower() for name, _ in first.add} - undone
    # A set by the second one may follow an add by the first, but never the other way round in one change.
    return HeaderEdit(
        set=(*(pair for pair in first.set if pair[0].lower() not in undone), *second.set),
        add=(*(pair for pair in first.add if pair[0].lower() in added), *second.add),
        remove=tuple(dict.fromkeys((*first.remove, *second.remove))),
    )


def _options(edit: HeaderEdit) -> Iterator[HeaderValueOption]:
    for pairs, action in ((edit.set, _SET), (edit.add, _ADD)):
        for name, value in pairs:
            # Envoy replaces %commands% in values; users write values, not commands.
            yield HeaderValueOption(header=HeaderValue(key=name, value=value.replace("%", "%%")), append_action=action)
