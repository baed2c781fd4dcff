"""Which TLS Secrets can be used (GatewayTLSConfig.certificateRefs; what Envoy refuses)."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from trilithon.incremental import Edit, Engine
from trilithon.model.certificate import Certificate
from trilithon.model.tables import CERTIFICATES, OURS, SECRETS
from trilithon.resources.core import Bytes, Secret
from trilithon.resources.gateways import Gateway, GatewayListener, GatewaySpec, ListenerTLS
from trilithon.resources.meta import Key, SecretObjectReference
from trilithon.translate.certificates import GATEWAYS_BY_CERTIFICATE, certificate_of

SECRET = Key("Secret", "infra", "tls")
GATEWAY = Gateway(
    Key("Gateway", "infra", "gw"),
    1,
    "",
    GatewaySpec(
        gateway_class_name="trilithon",
        listeners=(
            GatewayListener(
                name="https",
                port=443,
                protocol="HTTPS",
                tls=ListenerTLS(certificate_refs=(SecretObjectReference(name="tls"),)),
            ),
        ),
    ),
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def leaf(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("a.test", "B.test")


def certificate(data: Mapping[str, bytes], type_: str = "kubernetes.io/tls") -> Certificate | None:
    engine = Engine()
    for source in (OURS, SECRETS):
        engine.source(source)
    engine.group(CERTIFICATES, GATEWAYS_BY_CERTIFICATE, certificate_of)
    secret = Secret(SECRET, 1, "", type_, tuple((name, Bytes(value)) for name, value in data.items()))
    engine.apply([Edit(OURS, GATEWAY.key, GATEWAY), Edit(SECRETS, SECRET, secret)])
    assert engine.faults == {}
    return engine.row(CERTIFICATES, SECRET)


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def chain(leaf: trustme.LeafCert) -> bytes:
    return b"".join(pem.bytes() for pem in leaf.cert_chain_pems)


def test_a_good_secret_promises_its_names_in_lower_case(leaf: trustme.LeafCert) -> None:
    found = certificate({"tls.crt": chain(leaf), "tls.key": leaf.private_key_pem.bytes()})
    assert found == Certificate(SECRET, ("a.test", "b.test"))


def test_a_renewal_with_the_same_names_is_an_equal_row(authority: trustme.CA, leaf: trustme.LeafCert) -> None:
    renewed = authority.issue_cert("a.test", "b.test")
    before = certificate({"tls.crt": chain(leaf), "tls.key": leaf.private_key_pem.bytes()})
    after = certificate({"tls.crt": chain(renewed), "tls.key": renewed.private_key_pem.bytes()})
    assert before == after


def refusal(data: Mapping[str, bytes], type_: str = "kubernetes.io/tls") -> str:
    found = certificate(data, type_)
    assert found is not None
    assert found.problem is not None
    assert found.problem.code == "CertificateInvalid"
    assert found.names == ()
    return found.problem.message


def test_what_cannot_be_used_says_why(authority: trustme.CA, leaf: trustme.LeafCert) -> None:
    good = {"tls.crt": chain(leaf), "tls.key": leaf.private_key_pem.bytes()}
    other = authority.issue_cert("other.test").private_key_pem.bytes()
    assert "not kubernetes.io/tls" in refusal(good, "Opaque")
    assert "has no tls.key" in refusal({"tls.crt": good["tls.crt"]})
    assert "has no tls.crt" in refusal({"tls.key": good["tls.key"]})
    assert "not a PEM certificate" in refusal(good | {"tls.crt": b"rubbish"})
    assert "not a PEM private key" in refusal(good | {"tls.key": b"rubbish"})
    assert "does not belong to the certificate" in refusal(good | {"tls.key": other})


def test_certificates_that_break_the_standard_are_refused_and_fault_nothing(leaf: trustme.LeafCert) -> None:
    good = {"tls.crt": chain(leaf), "tls.key": leaf.private_key_pem.bytes()}
    der = x509.load_pem_x509_certificate(good["tls.crt"]).public_bytes(Encoding.DER)
    third, ninth = (bytes.fromhex(f"a0030201{number:02}") for number in (2, 9))
    assert "not a PEM certificate" in refusal(good | {"tls.crt": pem(der.replace(third, ninth, 1))})
    # With two subject key identifiers nobody can tell any names.
    authority, subject = (bytes.fromhex(f"0603551d{number}") for number in ("23", "0e"))
    found = certificate(good | {"tls.crt": pem(der.replace(authority, subject, 1))})
    assert found == Certificate(SECRET, ())


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def test_keys_that_envoy_refuses_are_refused_before_it_sees_them(leaf: trustme.LeafCert) -> None:
    small = key_pem(rsa.generate_private_key(65537, 1024))
    assert "1024 bits" in refusal({"tls.crt": chain(leaf), "tls.key": small})
    odd = "neither RSA nor ECDSA"
    assert odd in refusal({"tls.crt": chain(leaf), "tls.key": key_pem(ed25519.Ed25519PrivateKey.generate())})
    assert odd in refusal({"tls.crt": chain(leaf), "tls.key": key_pem(ec.generate_private_key(ec.SECP256K1()))})


def test_an_encrypted_key_is_refused_and_never_shown(leaf: trustme.LeafCert) -> None:
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    message = refusal({"tls.crt": chain(leaf), "tls.key": locked})
    assert "encrypted" in message
    assert "BEGIN" not in message


def test_a_secret_that_no_gateway_names_is_never_parsed(leaf: trustme.LeafCert) -> None:
    engine = Engine()
    for source in (OURS, SECRETS):
        engine.source(source)
    engine.group(CERTIFICATES, GATEWAYS_BY_CERTIFICATE, certificate_of)
    data = (("tls.crt", Bytes(chain(leaf))), ("tls.key", Bytes(leaf.private_key_pem.bytes())))
    changes = engine.apply([Edit(SECRETS, SECRET, Secret(SECRET, 1, "", "kubernetes.io/tls", data))])
    assert changes.recomputed == 0
