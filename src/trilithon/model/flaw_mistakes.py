"""The mistakes of stored objects whose definition is not of this release: what a flaw costs."""

from __future__ import annotations

from trilithon.model.mistake import Mistake

_HINT = "the installed definitions of Gateway API allow it, and this version of Trilithon does not know it"

RULE_NOT_UNDERSTOOD = Mistake("RuleNotUnderstood", "RuleValue", "UnsupportedValue", "{what}", _HINT)
ROUTE_NOT_UNDERSTOOD = Mistake(
    "RouteNotUnderstood", "Accepted", "UnsupportedValue", "{what}; the route serves nothing", _HINT
)
LISTENER_NOT_UNDERSTOOD = Mistake("ListenerNotUnderstood", "Accepted", "UnsupportedValue", "{what}", _HINT)
GATEWAY_NOT_UNDERSTOOD = Mistake("GatewayNotUnderstood", "Accepted", "Invalid", "{what}", _HINT)
CLASS_NOT_UNDERSTOOD = Mistake("ClassNotUnderstood", "Accepted", "Unsupported", "{what}", _HINT)
