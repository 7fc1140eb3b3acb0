"""A time stamping authority for tests: what openssl's refuses to say, this one says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from beffroi.drive.archives import der
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 11, 27, 5, tzinfo=UTC)
SHA256 = "2.16.840.1.101.3.4.2.1"


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass(frozen=True)
class Authority:
    root: x509.Certificate
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def authority(
    *,
    uses: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,),
    critical: bool = True,
    more: tuple[x509.ExtensionType, ...] = (),
) -> Authority:
    above, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = (
        _builder(_name("Racine"), above.public_key())
        .issuer_name(_name("Racine"))
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(_key_usage(above=True), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(above.public_key()), False)
        .sign(above, hashes.SHA256())
    )
    builder = _builder(_name("Horodatage"), key.public_key()).issuer_name(_name("Racine"))
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical)
    for one in more:
        builder = builder.add_extension(one, False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False
    )
    return Authority(root, builder.sign(above, hashes.SHA256()), key)


def _builder(name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
    )
    return builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=365))


def _key_usage(*, above: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not above,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=above,
        crl_sign=above,
        encipher_only=False,
        decipher_only=False,
    )


def answer(
    one: Authority,
    data: bytes,
    *,
    at: str = "20261127050000Z",
    nonce: int = 7,
    status: int = 0,
    named: x509.Certificate | None = None,
    token: Callable[[bytes], bytes] = lambda token: token,
    token_kind: str = "1.2.840.113549.1.9.16.1.4",
) -> bytes:
    """A TimeStampResp over ``data``. ``token``: changes what is handed out, after it was signed."""
    algorithm = der.written(der.SEQUENCE, der.object_id(SHA256))
    imprint = der.written(der.SEQUENCE, algorithm, der.written(der.OCTETS, hashlib.sha256(data).digest()))
    info = der.written(
        der.SEQUENCE,
        der.number(1),
        der.object_id("1.2.3"),
        imprint,
        der.number(99),
        der.written(der.TIME, at.encode()),
        der.number(nonce),
    )
    named_hash = (named or one.certificate).fingerprint(hashes.SHA256())
    ess = der.written(
        der.SEQUENCE, der.written(der.SEQUENCE, der.written(der.SEQUENCE, der.written(4, named_hash)))
    )
    attributes = sorted(
        der.written(der.SEQUENCE, der.object_id(kind), der.written(der.SET, value))
        for kind, value in (
            ("1.2.840.113549.1.9.3", der.object_id(token_kind)),
            ("1.2.840.113549.1.9.4", der.written(der.OCTETS, hashlib.sha256(info).digest())),
            ("1.2.840.113549.1.9.16.2.47", ess),
        )
    )
    signature = one.key.sign(der.written(der.SET, *attributes), ec.ECDSA(hashes.SHA256()))
    signer = der.written(
        der.SEQUENCE,
        der.number(1),
        der.written(
            der.SEQUENCE, one.certificate.issuer.public_bytes(), der.number(one.certificate.serial_number)
        ),
        algorithm,
        der.written(0xA0, *attributes),
        der.written(der.SEQUENCE, der.object_id("1.2.840.10045.4.3.2")),
        der.written(der.OCTETS, signature),
    )
    signed = der.written(
        der.SEQUENCE,
        der.number(3),
        der.written(der.SET, algorithm),
        der.written(
            der.SEQUENCE, der.object_id(token_kind), der.written(0xA0, der.written(der.OCTETS, token(info)))
        ),
        der.written(0xA0, one.certificate.public_bytes(Encoding.DER)),
        der.written(der.SET, signer),
    )
    content = der.written(der.SEQUENCE, der.object_id("1.2.840.113549.1.7.2"), der.written(0xA0, signed))
    return der.written(der.SEQUENCE, der.written(der.SEQUENCE, der.number(status)), content)
