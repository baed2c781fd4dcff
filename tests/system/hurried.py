"""Run the program with a short grace: a cluster that no route names any more leaves Envoy after 0.2 s, not 30."""

from __future__ import annotations

from trilithon.cli.main import main
from trilithon.sinks.delivery.grpc_server import XdsServer

GRACE_SECONDS = 0.2

if __name__ == "__main__":
    assert XdsServer.__init__.__kwdefaults__ is not None
    XdsServer.__init__.__kwdefaults__["grace"] = GRACE_SECONDS
    main()
