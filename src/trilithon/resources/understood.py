"""Read of a stored spec what is understood, and name the rest: each flaw costs the smallest part that it is in.

The answer depends on the spec alone, so that a controller that has just started makes of it what one that runs makes.
Nothing here decides what becomes of a part: it is only taken out, and the flaw stands for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from trilithon.resources.cut import Cut
from trilithon.resources.cut_gateway import ClassCut, GatewayCut
from trilithon.resources.cut_route import RouteCut
from trilithon.resources.documents import DocumentTooBig, plain
from trilithon.resources.flaw import WHOLE, Flaw
from trilithon.resources.gateways import GatewayClassSpec, GatewaySpec
from trilithon.resources.routes import HTTPRouteSpec
from trilithon.resources.rules import check_stored
from trilithon.resources.shape import examine
from trilithon.resources.wording import Finding

Understood = tuple[Struct | None, tuple[Flaw, ...]]

# Shapes, then rules, each with what comes to light when the first mistakes are out of the way.
_MOST_PASSES = 10


def understood(written: object, expected: type[Struct]) -> Understood:
    """The spec without what is not understood, and the flaws; None where nothing can be made of it."""
    cutting = _CUTTING.get(expected)
    if cutting is None:
        return None, ()
    try:
        value, unfit = plain(written)
    except DocumentTooBig:
        return None, ()
    if unfit or not isinstance(value, dict):
        return None, ()
    cut = cutting(value)
    for _ in range(_MOST_PASSES):
        found: Sequence[Finding] = examine(value, expected, "spec").findings
        is_shape = bool(found)
        part: Struct | None = None if is_shape else msgspec.convert(value, expected)
        if part is not None:
            found = check_stored(part, "spec")
        news = [each for each in found if cut.is_news(each)]
        if part is not None and not news:
            return part, tuple(cut.flaws)
        # Each is told, also after one that costs the whole.
        for each in news:
            cut.take(each, is_shape=is_shape)
        cut.settle()
        if not news or cut.is_whole:
            break
    if not cut.is_whole:
        # What remains says nothing of where it applies, so that it must never be used as if it were all.
        cut.flaws.append(Flaw(WHOLE, WHOLE, "what is understood of it does not stand by itself"))
    return cut.remains(), tuple(cut.flaws)


_CUTTING: Mapping[type[Struct], Callable[[dict[str, Any]], Cut]] = {
    HTTPRouteSpec: RouteCut,
    GatewaySpec: GatewayCut,
    GatewayClassSpec: ClassCut,
}
