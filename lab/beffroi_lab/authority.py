"""Certificates and keys of the laboratory: a web certificate for the internet's pages, a DKIM key.

Purpose: TLS on the landing page and signatures on the lure, made anew for each run.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

_MAX_NAMES = 90


def web_certificate(names: Iterable[str], directory: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for ``names`` and return (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "internet of the laboratory")])
    now = datetime.now(UTC)
    alternatives = [x509.DNSName(name) for name in list(dict.fromkeys(names))[:_MAX_NAMES]]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "internet.pem", directory / "internet.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def dkim_key() -> tuple[bytes, str]:
    """Return (private key PEM as dkimpy wants it, public key as DNS wants it)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private, base64.b64encode(public).decode()
