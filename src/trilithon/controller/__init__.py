"""Run everything in one loop: a source, the engine, the Envoys, and whatever else results go to."""

from trilithon.controller.envoys import Envoys, LocalEnvoys, RemoteEnvoys
from trilithon.controller.events import (
    Change,
    EnvoyChanged,
    EnvoySaid,
    Event,
    Failed,
    GatewayChanged,
    ProblemsChanged,
)
from trilithon.controller.loop import Controller, Surface
from trilithon.controller.outlet import Outlet
from trilithon.controller.telling import Telling

__all__ = [
    "Change",
    "Controller",
    "EnvoyChanged",
    "EnvoySaid",
    "Envoys",
    "Event",
    "Failed",
    "GatewayChanged",
    "LocalEnvoys",
    "Outlet",
    "ProblemsChanged",
    "RemoteEnvoys",
    "Surface",
    "Telling",
]
