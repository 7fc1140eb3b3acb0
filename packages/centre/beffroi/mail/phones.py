"""What a mail program needs to know of a mailbox, in the forms that phones read. Pure, but for the key that signs.

Purpose: an Apple configuration profile (iPhone, iPad), and the code that Thunderbird for Android scans. Both hold an
         app password, which is made for this one device.
Hostile: nothing; names and addresses are our own tables' and are escaped by the writers of the formats.
Source:  Apple Device Management, com.apple.mail.managed; Thunderbird "Export for Mobile" QR code format, version 1.
"""

from __future__ import annotations

import json
import plistlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.domains.records import Servers

SIGNING_SECRET = "profile-signing.pem"  # noqa: S105 - the name of the file
PROFILE_TYPE = "application/x-apple-aspen-config"
_SPACE = uuid.UUID("7d8f5c0e-52c4-4a35-9d36-0f3f0c1f5b21")
_STARTTLS, _TLS, _PASSWORD, _IMAP, _SMTP = 2, 3, 1, 0, 0
"""Of Thunderbird's format."""


@dataclass(frozen=True)
class Account:
    """One mailbox on one device. ``password``: an app password."""

    address: str
    name: str
    password: str


def outgoing_port(servers: Servers) -> int:
    return servers.submissions_port or servers.submission_port


def apple_profile(
    servers: Servers, accounts: Sequence[Account], *, device: str, organisation: str, title: str
) -> bytes:
    """A configuration profile (XML). ``device``: an identifier of its own for each device, so that a second profile
    for the same phone stands beside the first one instead of replacing it unseen."""
    name = ".".join(reversed(servers.front.split(".")))
    mails = [_apple_mail(servers, one, f"{name}.{device}.{number}") for number, one in enumerate(accounts)]
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": f"{name}.{device}",
            "PayloadUUID": _uuid(device),
            "PayloadDisplayName": title,
            "PayloadOrganization": organisation,
            "PayloadRemovalDisallowed": False,
            "PayloadContent": mails,
        }
    )


def _apple_mail(servers: Servers, one: Account, identifier: str) -> dict[str, object]:
    return {
        "PayloadType": "com.apple.mail.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": _uuid(identifier),
        "PayloadDisplayName": one.address,
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAccountDescription": one.address,
        "EmailAccountName": one.name,
        "EmailAddress": one.address,
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": servers.mx,
        "IncomingMailServerPortNumber": servers.imaps_port,
        "IncomingMailServerUseSSL": True,
        "IncomingMailServerUsername": one.address,
        "IncomingPassword": one.password,
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": servers.mx,
        "OutgoingMailServerPortNumber": outgoing_port(servers),
        "OutgoingMailServerUseSSL": True,
        "OutgoingMailServerUsername": one.address,
        "OutgoingPasswordSameAsIncomingPassword": True,
    }


def _uuid(name: str) -> str:
    return str(uuid.uuid5(_SPACE, name)).upper()


def signs(config: Config) -> bool:
    """Whether somebody gave us a key for profiles."""
    return (config.secrets / SIGNING_SECRET).exists()


def signed(config: Config, profile: bytes) -> bytes:
    """The profile in a CMS envelope, so that the phone shows who made it; as it is where nobody gave us a key.

    The key stands with its certificate, then the authority's, in STATE/secrets/profile-signing.pem: not the key of
    the portal's TLS, which no Python process may read. Errors: SettingInvalid.
    """
    if not signs(config):
        return profile
    pem = config.secret(SIGNING_SECRET)
    try:
        key = load_pem_private_key(pem, None)
        own, *authorities = x509.load_pem_x509_certificates(pem)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError("neither RSA nor EC")
    except (ValueError, TypeError):
        raise SettingInvalid(f"secrets/{SIGNING_SECRET}", config.state, "no key with certificate") from None
    builder = PKCS7SignatureBuilder().set_data(profile).add_signer(own, key, SHA256())
    for one in authorities:
        builder = builder.add_certificate(one)
    return builder.sign(Encoding.DER, [PKCS7Options.Binary])


def thunderbird_code(servers: Servers, accounts: Sequence[Account]) -> str:
    """The text of the QR code: compact JSON, nested lists by position."""
    sending = _TLS if servers.submissions_port else _STARTTLS
    found: list[object] = [1, [1, 1]]
    for one in accounts:
        reading = [_IMAP, servers.mx, servers.imaps_port, _TLS, _PASSWORD, one.address, "", one.password]
        writing = [
            _SMTP, servers.mx, outgoing_port(servers), sending, _PASSWORD, one.address, one.password,
        ]  # fmt: skip
        found += [reading, [[writing, [one.address, one.name]]]]
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)
