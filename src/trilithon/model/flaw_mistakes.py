"""The mistakes of stored objects whose definition is not of this release: what a flaw costs."""

from __future__ import annotations

from trilithon.model.mistake import Mistake

_HINT = "the installed definitions of Gateway API allow it, and this version of Trilithon does not know it"

# A listener that is left out has no status of its own: its Gateway says that not all are valid.
LEFT_OUT = "Listeners"

RULE_NOT_UNDERSTOOD = Mistake("RuleNotUnderstood", "RuleValue", "UnsupportedValue", "{what}", _HINT)
RULES_NOT_UNDERSTOOD = Mistake(
    "RulesNotUnderstood", "RuleValue", "UnsupportedValue", "{what}; all rules of the route answer 500", _HINT
)
ROUTE_NOT_UNDERSTOOD = Mistake(
    "RouteNotUnderstood", "Accepted", "UnsupportedValue", "{what}; the route serves nothing", _HINT
)
LISTENER_NOT_UNDERSTOOD = Mistake("ListenerNotUnderstood", "Accepted", "UnsupportedValue", "{what}", _HINT)
LISTENER_LEFT_OUT = Mistake("ListenerLeftOut", LEFT_OUT, "ListenersNotValid", "{what}; the listener is left out", _HINT)
GATEWAY_NOT_UNDERSTOOD = Mistake("GatewayNotUnderstood", "Accepted", "Invalid", "{what}", _HINT)
CLASS_NOT_UNDERSTOOD = Mistake("ClassNotUnderstood", "Accepted", "Unsupported", "{what}", _HINT)
CLASS_PARAMETERS_NOT_UNDERSTOOD = Mistake(
    "ClassParametersNotUnderstood", "Accepted", "InvalidParameters", "{what}", _HINT
)
FIELD_NOT_UNDERSTOOD = Mistake("FieldNotUnderstood", "", "", "{what}; it has no effect", _HINT, severity="warning")
