"""All mail engines at once: write their files, describe their processes.

Purpose: what the supervisor calls. ``write`` may run at every start; it changes only what differs.
Process: the supervisor, as root.
Fails:   closed, with one sentence (EngineMissing, SettingInvalid).
Source:  docs/internals/mail-engines.md.
"""

from __future__ import annotations

import datetime
import os
import sys
from contextlib import AbstractContextManager

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from beffroi.lib import clock, pem
from beffroi.lib.config import Config
from beffroi.lib.process import Process
from beffroi.mail import lookup_tables, projections, signing, tokens
from beffroi.mail.engines import dovecot, layout, postfix, probes, rspamd, unbound
from beffroi.mail.sending import policies
from beffroi.scan import rules, wire


def write(config: Config) -> None:
    """Write every engine's configuration, the missing secrets and the empty projections.

    Errors: EngineMissing.
    """
    python = layout.python_owner(config)
    config.state.mkdir(parents=True, exist_ok=True)
    if not config.secrets.exists():  # the supervisor's otherwise: who may read what is decided there
        layout.directory(config.secrets, 0o700, python)
    layout.directory(config.log, 0o755)
    layout.directory(config.run, 0o2755, python)
    layout.directory(config.state / "mailgate", 0o700, python)
    if not (config.secrets / tokens.KEY_NAME).exists():
        tokens.make_key(config)
        os.chown(config.secrets / tokens.KEY_NAME, python.uid, python.gid)
    _write_certificate(config, "mail", config.mail_name)
    _write_certificate(config, "filters", "filters.invalid")
    _write_certificate(config, "split", "split.invalid")
    projections.create(
        config,
        python=python,
        dovecot_gid=layout.group("dovecot", "dovecot-core"),
        mail_gid=layout.MAIL_UID,
    )
    policies.create(config, python=python)
    signing.create(config, python=python, rspamd_gid=layout.group("_rspamd", "rspamd"))
    # Only its own user makes the socket there, and rspamd's group alone reaches it.
    rspamd_gid = layout.group("_rspamd", "rspamd")
    layout.directory(
        wire.folder(config.state), 0o2710, layout.Owner(layout.scan_owner(config).uid, rspamd_gid)
    )
    # As above, for the process that has files looked at.
    layout.directory(
        wire.files_folder(config.state), 0o2710, layout.Owner(layout.scan_owner(config).uid, python.gid)
    )
    layout.directory(rules.directory(config.state), 0o755)
    for engine in (postfix, dovecot, rspamd, unbound):
        engine.write(config)


def held(config: Config) -> AbstractContextManager[None]:
    """Keep in use what Postfix looks up in: as long as it runs."""
    return lookup_tables.held((layout.Paths(config.state).routes, policies.path(config)))


def processes(config: Config) -> list[Process]:
    """The rows of the process table that belong to mail, in their order of start."""
    return [
        unbound.process(config),
        _mailgate(config),
        rspamd.process(config),
        dovecot.process(config),
        postfix.process(config),
        _queue(config),
        _backup(config),
    ]


def _mailgate(config: Config) -> Process:
    return Process(
        name="mailgate",
        argv=(sys.executable, "-m", "beffroi.mail.gate"),
        user=config.user or None,
        environment={"BEFFROI_STATE": str(config.state)},
        healthy=lambda: probes.mailgate(config),
        stop_timeout_s=10,
        advice=f"Look at {config.log / 'mailgate.log'}.",
    )


def _queue(config: Config) -> Process:
    return Process(
        name="queue",
        argv=(sys.executable, "-m", "beffroi.mail.sending.keeper"),
        environment={"BEFFROI_STATE": str(config.state)},
        socket=config.run / "queue.sock",
        healthy=lambda: probes.queue(config),
        stop_timeout_s=10,
        advice=f"Look at {config.log / 'queue.log'}.",
    )


# Reads mailboxes and acts as their number; of root's powers, no others.
_BACKUP_CAPABILITIES = "-all,+chown,+dac_override,+dac_read_search,+fowner,+kill,+setgid,+setuid"


def _backup(config: Config) -> Process:
    limited = (
        "/usr/bin/setpriv",
        f"--bounding-set={_BACKUP_CAPABILITIES}",
        "--inh-caps=-all",
        "--no-new-privs",
    )
    return Process(
        name="backup",
        argv=(*(limited if os.getuid() == 0 else ()), sys.executable, "-m", "beffroi.mail.backup.keeper"),
        environment={"BEFFROI_STATE": str(config.state)},
        socket=config.run / "backup.sock",
        healthy=lambda: probes.backup(config),
        stop_timeout_s=10,
        advice=f"Look at {config.log / 'backup.log'}.",
    )


def _write_certificate(config: Config, stem: str, common_name: str) -> None:
    """A self-signed certificate: for SMTP and IMAP ("mail"), until a real one takes its place; and those by which
    Postfix knows Dovecot ("filters") and itself ("split")."""
    tls = layout.Paths(config.state).tls
    key_path, pem_path = tls / f"{stem}.key", tls / f"{stem}.pem"
    if key_path.exists() and pem_path.exists():
        return
    if not tls.exists():
        layout.directory(tls, 0o755)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = clock.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = pem.of_key(key)
    layout.write(key_path, private.decode(), 0o600)
    layout.write(pem_path, certificate.public_bytes(Encoding.PEM).decode(), 0o644)
