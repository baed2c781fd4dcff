"""Run everything in one loop: a source, the engine, and the Envoys."""

from trilithon.controller.events import (
    Change,
    EnvoyChanged,
    EnvoySaid,
    Event,
    Failed,
    GatewayChanged,
    ProblemsChanged,
)
from trilithon.controller.loop import Controller

__all__ = [
    "Change",
    "Controller",
    "EnvoyChanged",
    "EnvoySaid",
    "Event",
    "Failed",
    "GatewayChanged",
    "ProblemsChanged",
]
