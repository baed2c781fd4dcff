"""The cluster's certificates, keys and tokens, made once per cluster."""

from __future__ import annotations

import datetime as dt
import ipaddress
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from testcluster.layout import NODE, NODE_ADDRESS, SERVICE_NETWORK

ADMIN: Final = "admin"
COMPONENTS: Final = ("kubelet", "kube-controller-manager", "kube-proxy", "coredns", "balancer")
"""Each has a token, and a user name, of its own, so the audit log tells them apart."""

LIFETIME: Final = dt.timedelta(days=3650)
SERVER_NAMES: Final = (
    f"IP:{NODE_ADDRESS}",
    "IP:127.0.0.1",
    f"IP:{SERVICE_NETWORK[1]}",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def user_of(component: str) -> str:
    """The name by which the API server knows a part of the cluster."""
    return component if component == ADMIN else f"cluster:{component}"


def token_of(pki: Path, component: str) -> str:
    """The bearer token of the administrator or of a part of the cluster."""
    return (pki / f"{component}.token").read_text()


def make(pki: Path) -> None:
    """Fill the folder, unless it was filled before."""
    done = pki / "done"
    if done.exists():
        return
    pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = _authority(pki)
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    _issue(pki, "apiserver", authority, "kube-apiserver", "", server, SERVER_NAMES)
    kubelet_names = (f"IP:{NODE_ADDRESS}", NODE)
    _issue(pki, "kubelet", authority, f"system:node:{NODE}", "system:nodes", server, kubelet_names)
    _issue(pki, "apiserver-kubelet", authority, "apiserver-kubelet", "system:masters", client, ())
    signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_key(pki / "service-accounts.key", signing)
    public = signing.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (pki / "service-accounts.pub").write_bytes(public)
    lines = []
    for component in (ADMIN, *COMPONENTS):
        token = secrets.token_hex(16)
        (pki / f"{component}.token").write_text(token)
        user = user_of(component)
        lines.append(f'{token},{user},{user},"system:masters"\n')
    (pki / "tokens.csv").write_text("".join(lines))
    done.touch()


def _authority(pki: Path) -> tuple[x509.Certificate, PrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("test cluster", "")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(pki, "ca", certificate, key)
    return certificate, key


def _issue(  # noqa: PLR0913, PLR0917 - a certificate has this many parts
    pki: Path,
    file: str,
    authority: tuple[x509.Certificate, PrivateKey],
    common_name: str,
    organization: str,
    usage: x509.ObjectIdentifier,
    names: Iterable[str],
) -> None:
    issuer, issuer_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name(common_name, organization), issuer.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if alternatives := [_alternative(name) for name in names]:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    _write(pki, file, builder.sign(issuer_key, hashes.SHA256()), key)


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey) -> x509.CertificateBuilder:
    # An hour back: clocks of what checks it may be behind.
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str, organization: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _alternative(name: str) -> x509.GeneralName:
    if name.startswith("IP:"):
        return x509.IPAddress(ipaddress.ip_address(name.removeprefix("IP:")))
    return x509.DNSName(name)


def _write(pki: Path, name: str, certificate: x509.Certificate, key: PrivateKey) -> None:
    (pki / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(pki / f"{name}.key", key)


def _write_key(path: Path, key: PrivateKey) -> None:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
