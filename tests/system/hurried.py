"""Run the program with a short grace: a cluster that no route names any more leaves Envoy after 0.2 s, not 30."""

from __future__ import annotations

from functools import partial

from trilithon import controller
from trilithon.cli.main import main
from trilithon.sinks.grpc_server import XdsServer

GRACE_SECONDS = 0.2

if __name__ == "__main__":
    vars(controller)["XdsServer"] = partial(XdsServer, grace=GRACE_SECONDS)
    main()
