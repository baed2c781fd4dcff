"""A Gateway is programmed when its Envoy has what the Gateway says now, and stays so while routes change."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest
import trustme

from tests.system.client import fetch, trusting
from tests.system.harness import backends, free_port, serves, status_of
from tests.system.manifests import Folder, backend, gateway, listener, prefix, route, rule, secret, tls_listener, to
from tests.system.program import serving

pytestmark = pytest.mark.system
CA = trustme.CA()


async def test_a_changed_hostname_is_programmed_when_envoy_has_it(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("gateway.yaml", gateway(listener(port, hostname="a.test")))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            after = len(program.events)
            os.kill(program.envoy, signal.SIGSTOP)
            try:
                folder.write("gateway.yaml", gateway(listener(port, hostname="b.test")))
                told = await program.event("gateway", after=after, gateway="demo/gw", programmed=False)
                assert told["message"] == "Envoy has not acknowledged yet"
            finally:
                os.kill(program.envoy, signal.SIGCONT)
            await program.programmed(after=after)
            assert (await status_of(port, host="b.test"), await status_of(port, host="a.test")) == (200, 404)


async def test_a_changed_route_leaves_its_gateway_programmed(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("gateway.yaml", gateway(listener(port)), backend("a", servers["a"].port))
        folder.write("route.yaml", route("web", rule(to("a"))))
        async with serving(folder, runtime) as program:
            after = len(program.events)
            for path in ("/one", "/two"):
                edited = route("web", rule(to("a"), matches=[prefix(path)]))
                await program.served(partial(folder.write, "route.yaml", edited), "HTTPRoute demo/web")
                assert await status_of(port, path) == 200
            assert not [each for each in program.events[after:] if each["event"] == "gateway"]


async def test_a_new_listener_is_served_once_it_is_programmed(folder: Folder, runtime: Path) -> None:
    port, more = free_port(), free_port()
    async with backends("a") as servers:
        folder.write("gateway.yaml", gateway(listener(port)))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        folder.write("secret.yaml", secret("tls", CA.issue_cert("a.test")))
        async with serving(folder, runtime) as program:
            await serves(port)
            after = len(program.events)
            folder.write("gateway.yaml", gateway(listener(port), tls_listener(more, "tls", "tls")))
            await program.event("gateway", after=after, gateway="demo/gw", programmed=False)
            await program.programmed(after=after)
            tls = trusting(CA.cert_pem.bytes())
            assert (await fetch(more, host="a.test", tls=tls, sni="a.test")).status == 200
