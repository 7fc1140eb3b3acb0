"""The centre's own certificate authority, for a demonstration and the laboratory.

Purpose: TLS on every listener from the first start, with names that a client can verify against STATE/tls/ca.pem.
Process: the supervisor; STATE/tls/ca.key is 0600 root's and no process reads it.
Limits:  the authority is constrained to this centre's own names, so that importing it into a browser gives its
         key no power over other sites. In production certificates come from a public authority: put them in
         place of portal.pem and mail.pem / mail.key; files not signed by our authority are left alone.
Source:  RFC 5280; CA/Browser Forum Baseline Requirements for the lifetimes.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from beffroi.lib import clock, pem
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.supervise.secret_files import Owner, supervisor_owner, write_file

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=397)
RENEW_BEFORE = timedelta(days=60)


class CertificateUnusable(BeffroiError):
    """{} {}. Put it right, or remove the file: the centre then makes one of its own."""

    code = "supervise.certificate_unusable"


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def front_names(config: Config) -> tuple[str, ...]:
    """Every name under which the front answers; on loopback also what an ssh -L user types."""
    local = ("localhost", "127.0.0.1", "::1") if config.listen != "*" else ()
    return tuple(dict.fromkeys((config.portal_name, config.console_name, config.box_name, *local)))


def ensure(config: Config) -> list[str]:
    """Make what is missing or close to its end; return the names of the files written."""
    folder = config.state / "tls"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    owner, made = supervisor_owner(), []
    mail_names = tuple(dict.fromkeys((config.mail_name, *front_names(config))))
    wanted = front_names(config)
    authority = _authority(folder, owner, tuple(dict.fromkeys((*wanted, *mail_names))))
    if _needs_renewal(folder / "portal.pem", authority, wanted):
        key, chain = _leaf(authority, wanted)
        write_file(folder / "portal.pem", chain + key, mode=0o600, owner=owner)
        made.append("portal.pem")
    if _needs_renewal(folder / "mail.pem", authority, mail_names, folder / "mail.key"):
        key, chain = _leaf(authority, mail_names)
        write_file(folder / "mail.key", key, mode=0o600, owner=owner)
        write_file(folder / "mail.pem", chain, mode=0o644, owner=owner)
        made.append("mail.pem")
    return made


def _authority(folder: Path, owner: Owner, names: tuple[str, ...]) -> _Authority:
    certificate_path, key_path = folder / "ca.pem", folder / "ca.key"
    if certificate_path.exists() and key_path.exists():
        key = load_pem_private_key(key_path.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        current = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        # Its power ends at the names it was made for: a renamed centre gets a new one.
        if _permits(current, names) and _is_timely(current, LEAF_LIFE):
            return _Authority(current, key)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Beffroi, autorité de ce centre")])
    permitted = [_general_name(name, as_constraint=True) for name in names]
    certificate = (
        _builder(subject, subject, key.public_key(), CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_file(key_path, pem.of_key(key), mode=0o600, owner=owner)
    write_file(certificate_path, certificate.public_bytes(Encoding.PEM), mode=0o644, owner=owner)
    return _Authority(certificate, key)


def _permits(certificate: x509.Certificate, names: tuple[str, ...]) -> bool:
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = constraints.permitted_subtrees or []
    return all(_general_name(name, as_constraint=True) in permitted for name in names)


def _needs_renewal(
    path: Path, authority: _Authority, names: tuple[str, ...], apart: Path | None = None
) -> bool:
    """``apart``: where its key is, None for beside it in the file. Errors: CertificateUnusable."""
    if not path.exists():
        return True
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise CertificateUnusable(path, "holds no certificate that can be read (PEM)") from None
    if certificate.issuer != authority.certificate.subject:
        _need_key(path, certificate, apart or path)
        return False  # a public certificate that the Département put here
    if apart is not None and not apart.exists():
        return True
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError):
        return True  # of our own authority before a renaming
    if not _is_timely(certificate, RENEW_BEFORE):
        return True
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    held = {str(name.value) for name in found}
    return not held.issuperset(names)


def _need_key(path: Path, certificate: x509.Certificate, key_path: Path) -> None:
    """An engine would start all the same, and refuse each connection. Errors: CertificateUnusable."""
    try:
        key = load_pem_private_key(key_path.read_bytes(), None)
    except (OSError, ValueError, TypeError):  # none, none that can be read, one with a password
        raise CertificateUnusable(path, f"has no key that can be read in {key_path.name}") from None
    if key.public_key() != certificate.public_key():
        raise CertificateUnusable(path, f"is not for the key in {key_path.name}")


def _is_timely(certificate: x509.Certificate, before_end: timedelta) -> bool:
    """It has begun (one that a clock ahead of time made has not), and does not end soon."""
    return certificate.not_valid_before_utc <= clock.now() <= certificate.not_valid_after_utc - before_end


def _leaf(authority: _Authority, names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Return (key, certificate) as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        _builder(subject, authority.certificate.subject, key.public_key(), LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    return pem.of_key(key), certificate.public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now - timedelta(days=1) + life)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str, *, as_constraint: bool = False) -> x509.GeneralName:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return x509.DNSName(name)
    return x509.IPAddress(ipaddress.ip_network(address) if as_constraint else address)
