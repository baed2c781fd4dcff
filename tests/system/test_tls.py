"""HTTPS: certificates by server name, consent, rotation, misdirected requests, and that keys stay secret."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import trustme

from tests.system.client import Connection, H2Connection, Unanswered, fetch, fetch_h2, trusting
from tests.system.harness import SteadyLoad, backends, free_port, until
from tests.system.manifests import Folder, backend, gateway, grant, listener, route, rule, secret, tls_listener, to
from tests.system.program import Program, serving, trilithon

pytestmark = pytest.mark.system
CA = trustme.CA()
TRUSTED = trusting(CA.cert_pem.bytes())
H2 = trusting(CA.cert_pem.bytes(), alpn=("h2",))


async def test_a_certificate_is_chosen_by_server_name(folder: Folder, runtime: Path) -> None:
    port = free_port()
    names = {"exact": "a.test", "wild": "*.w.test", "other": "b.example"}
    async with backends("exact", "wild", "other") as servers:
        for name, hostname in names.items():
            folder.write(
                f"{name}.yaml",
                secret(name, CA.issue_cert(hostname)),
                backend(name, servers[name].port),
                route(name, rule(to(name)), at=name),
            )
        listeners = [tls_listener(port, name, name, hostname=hostname) for name, hostname in names.items()]
        folder.write("gateway.yaml", gateway(*listeners))
        async with serving(folder, runtime):
            for hostname, name in (("a.test", "exact"), ("z.w.test", "wild"), ("b.example", "other")):
                # The client checks the certificate against the name.
                assert (await fetch(port, host=hostname, tls=TRUSTED, sni=hostname)).backend == name
                answer = await fetch_h2(port, host=hostname, tls=H2, sni=hostname)
                assert (answer.status, answer.backend) == (200, name)
            # Nobody serves this name, or none at all: no certificate, no connection.
            for sni in ("c.example", None):
                with pytest.raises(Unanswered):
                    await fetch(port, host="a.test", tls=trusting(), sni=sni)
            # Plain text at the port of TLS.
            with pytest.raises(Unanswered):
                await fetch(port, host="a.test")


async def test_several_certificates_of_one_listener_serve_their_names(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("secrets.yaml", *(secret(each, CA.issue_cert(f"{each}.test")) for each in ("one", "two")))
        folder.write("gateway.yaml", gateway(tls_listener(port, "tls", "one", "two", "missing")))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            # One of three is missing, which is told and costs the other two nothing.
            assert (await program.event("problem", code="InvalidCertificateRef"))["line"]
            for hostname in ("one.test", "two.test"):
                assert (await fetch(port, host=hostname, tls=TRUSTED, sni=hostname)).backend == "a"


async def test_on_a_reused_connection_another_listeners_host_is_misdirected(folder: Folder, runtime: Path) -> None:
    port = free_port()
    both = CA.issue_cert("a.test", "b.test")
    async with backends("a", "b") as servers:
        folder.write("secret.yaml", secret("both", both))
        for name, server in servers.items():
            folder.write(f"{name}.yaml", backend(name, server.port), route(name, rule(to(name)), at=name))
        listeners = (tls_listener(port, name, "both", hostname=f"{name}.test") for name in servers)
        folder.write("gateway.yaml", gateway(*listeners))
        async with serving(folder, runtime):
            connection = await H2Connection.open(port, tls=H2, sni="a.test")
            assert (await connection.get(host="a.test")).backend == "a"
            # The certificate covers it, the client may try, and has to come back on a connection of its own.
            assert (await connection.get(host="b.test")).status == 421
            assert (await connection.get(host="a.test")).backend == "a"
            assert (await connection.get(host="c.test")).status == 404
            connection.close()
            assert (await fetch(port, host="b.test", tls=TRUSTED, sni="a.test")).status == 421
            assert (await fetch_h2(port, host="b.test", tls=H2, sni="b.test")).backend == "b"


async def test_a_certificate_of_another_namespace_needs_consent_all_the_time(folder: Folder, runtime: Path) -> None:
    port, plain = free_port(), free_port()
    consent = grant(
        "gw-may-use-it",
        namespace="vault",
        sources=[{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "demo"}],
        target={"group": "", "kind": "Secret", "name": "cert"},
    )
    async with backends("a") as servers:
        folder.write("secret.yaml", secret("cert", CA.issue_cert("a.test"), namespace="vault"))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        there = tls_listener(port, "tls", "cert", hostname="a.test", namespace="vault")
        folder.write("gateway.yaml", gateway(there, listener(plain)))

        async def is_served() -> bool:
            try:
                return (await fetch(port, host="a.test", tls=TRUSTED, sni="a.test")).backend == "a"
            except Unanswered:
                return False

        async def is_refused() -> bool:
            return not await is_served()

        async with serving(folder, runtime) as program:
            problem = await program.event("problem", code="RefNotPermitted")
            assert problem["path"] == "spec.listeners[0].tls.certificateRefs[0]"
            assert await is_refused()
            for _ in range(2):
                folder.write("grant.yaml", consent)
                await until(is_served)
                folder.remove("grant.yaml")
                await until(is_refused, why="consent was withdrawn and the certificate is still used")
            # The listener beside it never noticed.
            assert (await fetch(plain)).backend == "a"


@pytest.mark.timeout(400)
async def test_a_certificate_rotates_under_load_without_a_failed_handshake(folder: Folder, runtime: Path) -> None:
    port = free_port()
    async with backends("a") as servers:
        folder.write("secret.yaml", secret("cert", CA.issue_cert("a.test")))
        folder.write("gateway.yaml", gateway(tls_listener(port, "tls", "cert", hostname="a.test")))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime) as program, AsyncExitStack() as stack:
            kept = await stack.enter_async_context(await Connection.open(port, tls=TRUSTED, sni="a.test"))
            opened: list[str] = []
            stop = asyncio.Event()

            async def shake_hands() -> None:
                while not stop.is_set():
                    opened.append(await _serial(port))
                    await asyncio.sleep(0.02)

            hands = asyncio.create_task(shake_hands())
            async with (
                SteadyLoad(port, tls=TRUSTED, rate=100) as one,
                SteadyLoad(port, tls=H2, client=H2Connection, rate=100) as two,
            ):
                for _ in range(20):
                    new = CA.issue_cert("a.test")
                    await program.served(partial(folder.write, "secret.yaml", secret("cert", new)), "Secret demo/cert")
                    # Acknowledged means used, by every worker a moment later.
                    await until(partial(_serves_certificate, port, new))
                    assert (await kept.request()).status == 200
                await one.answered(10)
                await two.answered(10)
            stop.set()
            await hands
            assert not one.bad
            assert not two.bad
            assert not any(load.closes for load in (one, two)), "a new certificate must not cut old connections"
            assert len(set(opened)) > 1


async def test_a_renewal_in_two_saves_fails_no_handshake(folder: Folder, runtime: Path) -> None:
    """In between the certificate before is served, and the listener says so."""
    port = free_port()
    old = CA.issue_cert("a.test")
    async with backends("a") as servers:
        folder.write("secret.yaml", secret("cert", old))
        folder.write("gateway.yaml", gateway(tls_listener(port, "tls", "cert", hostname="a.test")))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            stop = asyncio.Event()
            opened: Counter[str] = Counter()

            async def shake_hands() -> None:
                while not stop.is_set():
                    try:
                        opened[await _serial(port)] += 1
                    except Unanswered as error:
                        opened[f"failed: {error}"] += 1

            async def opened_more(count: int) -> None:
                wanted = opened.total() + count
                await until(lambda: opened.total() >= wanted)

            hands = asyncio.create_task(shake_hands())
            async with SteadyLoad(port, tls=TRUSTED, rate=100) as load:
                for spoil in ({"tls.crt": "rubbish"}, {}):
                    new = CA.issue_cert("a.test")
                    half = secret("cert", new)
                    half["data"]["tls.key"] = secret("cert", old)["data"]["tls.key"]
                    half["data"] |= {name: base64.b64encode(text.encode()).decode() for name, text in spoil.items()}
                    after = len(program.events)
                    folder.write("secret.yaml", half)
                    told = await program.event("problem", after=after, code="InvalidCertificateRef")
                    assert "before is served on" in told["message"]
                    await opened_more(20)
                    assert await _serves_certificate(port, old)
                    await program.served(partial(folder.write, "secret.yaml", secret("cert", new)), "Secret demo/cert")
                    await until(partial(_serves_certificate, port, new), 2)
                    old = new
                await load.answered(10)
            stop.set()
            await hands
            assert not [each for each in opened if each.startswith("failed")]
            assert not load.bad
            assert not load.closes
            # Whoever means it deletes the Secret.
            folder.remove("secret.yaml")

            async def is_refused() -> bool:
                try:
                    await _serial(port)
                except Unanswered:
                    return True
                return False

            await until(is_refused, 5)


async def _serial(port: int) -> str:
    async with await Connection.open(port, tls=TRUSTED, sni="a.test") as connection:
        serial: str = connection.certificate["serialNumber"]
        return serial


async def _serves_certificate(port: int, certificate: trustme.LeafCert) -> bool:
    pem = certificate.cert_chain_pems[0].bytes().decode()
    async with await Connection.open(port, tls=TRUSTED, sni="a.test") as connection:
        return connection.certificate_der == ssl.PEM_cert_to_DER_cert(pem)


async def test_a_certificate_that_breaks_is_told_and_one_that_comes_late_is_used(folder: Folder, runtime: Path) -> None:
    port, other = free_port(), free_port()
    good, mismatched = CA.issue_cert("a.test"), CA.issue_cert("a.test")
    broken = secret("cert", good)
    broken["data"]["tls.key"] = base64.b64encode(mismatched.private_key_pem.bytes()).decode()
    async with backends("a") as servers:
        folder.write("other.yaml", secret("other", CA.issue_cert("b.test")))
        listeners = tls_listener(port, "late", "cert"), tls_listener(other, "other", "other")
        folder.write("gateway.yaml", gateway(*listeners))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            assert (await program.event("problem", code="InvalidCertificateRef"))["message"].endswith("not found")
            after = len(program.events)
            folder.write("cert.yaml", broken)
            told = await program.event("problem", after=after, code="InvalidCertificateRef")
            assert "key" in told["message"]
            await program.served(partial(folder.write, "cert.yaml", secret("cert", good)), "Secret demo/cert")
            assert (await fetch(port, host="a.test", tls=TRUSTED, sni="a.test")).backend == "a"
            assert (await fetch(other, host="b.test", tls=TRUSTED, sni="b.test")).backend == "a"


async def test_no_key_is_ever_told(folder: Folder, runtime: Path) -> None:
    port = free_port()
    certificate = CA.issue_cert("a.test")
    good = secret("cert", certificate)
    # A key that cannot be used, and one that is no base64, are the ones a message might want to quote.
    torn, raw = secret("torn", certificate), secret("raw", certificate)
    key = certificate.private_key_pem.bytes()
    torn["data"]["tls.key"] = base64.b64encode(key[: len(key) // 2]).decode()
    raw["data"]["tls.key"] = key.decode()
    listeners = [tls_listener(port, "tls", "cert", "torn", "raw", hostname="a.test")]
    async with backends("a") as servers:
        folder.write("secrets.yaml", good, torn, raw)
        folder.write("gateway.yaml", gateway(*listeners))
        folder.write("route.yaml", route("web", rule(to("a"))), backend("a", servers["a"].port))
        async with serving(folder, runtime) as program:
            assert (await fetch(port, host="a.test", tls=TRUSTED, sni="a.test")).backend == "a"
            told = [program.output, (await program.status()).output, (await program.status("-o", "json")).output]
            for command in (
                ("translate", folder.path, "-o", "xds"),
                ("translate", folder.path, "-o", "status"),
                ("check", folder.path, "-o", "json"),
                ("explain", folder.path, "GET", f"https://a.test:{port}/"),
            ):
                answered = await trilithon(*command)
                told.append(answered.output)
            told.append(_readable(program))
            assert all(told)
            for canary in _canaries(key):
                assert not [text for text in told if canary in text]


def _canaries(key: bytes) -> list[str]:
    """Parts of a key as they could appear: lines of the PEM, and the same as a Secret holds them."""
    lines = [line for line in key.decode().splitlines() if not line.startswith("-")]
    encoded = base64.b64encode(key).decode()
    return [*(line[:40] for line in lines), encoded[60:100], encoded[120:160]]


def _readable(program: Program) -> str:
    """Every file that the running process has made, and its arguments."""
    files = [path.read_text() for path in program.directory.rglob("*") if path.is_file()]
    return "\n".join([*files, Path(f"/proc/{program.envoy}/cmdline").read_text()])
