"""Configuration of the private Dovecot instance.

Purpose: mailboxes with a key each, IMAP, LMTP, sign-in, doveadm for remediation, the journal of deliveries.
Process: dovecot as root, its parts as ``dovecot``, ``dovenull`` and the mailboxes' number.
Hostile: every IMAP client; the messages.
Fails:   closed for sign-in without a projection; open when mailgate does not answer the policy question.
Source:  doc.dovecot.org 2.4; docs/internals/mail-engines.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.lib.gigabytes import GB
from beffroi.lib.process import Process
from beffroi.mail import tokens
from beffroi.mail.engines import layout, probes


class SieveRefused(BeffroiError):
    """The script that files mails by their verdict does not compile: {}"""

    code = "mail.sieve_refused"


_SIEVEC = """\
# Only to compile people's scripts before they are used. Written by Beffroi, do not edit.
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
log_path = /dev/stderr
ssl = no
"""
_SEARCH_RULES = re.compile(r"^(?:language|fts_header)_[a-z0-9_]+ = .+$|^  filters = .+$", re.MULTILINE)
ROTATE_BYTES = 8 * 1024 * 1024


def write(config: Config) -> None:
    """Write the instance. Errors: EngineMissing."""
    paths = layout.Paths(config.state)
    dovecot = layout.user("dovecot", "dovecot-core")
    home = paths.dovecot
    layout.directory(home, 0o755)
    layout.directory(home / "etc", 0o755)
    layout.directory(home / "run", 0o755)
    layout.directory(home / "state", 0o755)
    layout.directory(paths.mailboxes, 0o700, layout.Owner(layout.MAIL_UID, layout.MAIL_UID))
    python = layout.python_owner(config)
    # The statistics process writes the journal as ``dovecot``; ours reads it and takes it away when read.
    layout.directory(paths.journal.parent, 0o770, layout.Owner(python.uid, dovecot.gid))
    _settle_journal(paths.journal, dovecot, python)
    # Only delivery reads it: it holds the name of quarantine.
    layout.write(
        home / "etc" / "verdict.sieve",
        layout.render("verdict.sieve", quarantine=layout.quarantine_folder(config)),
        0o600,
        layout.Owner(layout.MAIL_UID, layout.MAIL_UID),
    )
    layout.write(
        home / "etc" / "trash.sieve",
        layout.template("trash.sieve"),
        0o600,
        layout.Owner(layout.MAIL_UID, layout.MAIL_UID),
    )
    layout.write(
        paths.dovecot_conf,
        layout.render(
            "dovecot.conf",
            home=home,
            log=config.log,
            tls=paths.tls,
            listen="*, ::" if config.listen == "*" else config.listen,
            help=layout.sign_in_help(config),
            refused=layout.sign_in_refused(config),
            extensions=" ".join(layout.SCRIPT_EXTENSIONS),
            sieve_port=config.sieve_port,
            managesieve_port=config.managesieve_port,
            managesieve_key=layout.secret(config, "managesieve.key"),
            mail_uid=layout.MAIL_UID,
            auth=paths.auth,
            oauth_keys=paths.oauth_keys,
            mail_name=config.mail_name,
            mailboxes=paths.mailboxes,
            scripts=paths.scripts,
            filters_port=config.filters_port,
            queue=paths.postfix / "queue",
            journal=paths.journal,
            imap_port=config.imap_port,
            imaps_port=config.imaps_port,
            imap_local_port=config.imap_local_port,
            doveadm_port=config.doveadm_port,
            mailgate_port=config.mailgate_port,
            mailgate_key=layout.secret(config, "mailgate.key"),
            policy_nonce=layout.secret(config, "policy.key"),
            quarantine=layout.quarantine_prefix(config),
            deleted=layout.deleted_prefix(config),
            quota_bytes=config.mail_quota_gb * GB,
            doveadm_key=layout.secret(config, "doveadm.key"),
        ),
        0o600,
    )
    layout.write(home / "etc" / "stopwords_fr.txt", layout.template("stopwords_fr.txt"), 0o644)
    forget_words(home / "etc", paths.mailboxes)
    for name in ("verdict.sieve", "trash.sieve"):
        _compile(paths.dovecot_conf, home / "etc" / name)
    # For a check by those who may not read the other: no secret in it.
    layout.write(paths.sievec_conf, _SIEVEC, 0o644)
    extensions = " ".join(layout.SCRIPT_EXTENSIONS)
    layout.write(paths.scripts_conf, f"{_SIEVEC}sieve_extensions = {extensions}\n", 0o644)
    _write_token_key(config, dovecot)


def forget_words(etc: Path, mailboxes: Path) -> None:
    """Take the index of words away where other rules made it: what a search asks for would not be in it. Dovecot, which
    is not running yet, makes it anew at the next mail or search of each folder."""
    conf = (etc / "dovecot.conf").read_text()
    rules = "\n".join((*_SEARCH_RULES.findall(conf), (etc / "stopwords_fr.txt").read_text()))
    kept = etc / "search-rules"
    if kept.exists() and kept.read_text() == rules:
        return
    for made in list(mailboxes.rglob("dbox-Mails/fts-flatcurve")):
        shutil.rmtree(made)
    layout.write(kept, rules, 0o644)


def _compile(conf: Path, script: Path) -> None:
    """Compile the script beforehand: delivery may not write beside it, and said so in the log at each mail.

    Errors: SieveRefused.
    """
    made = script.with_suffix(".svbin")
    draft = made.with_suffix(".new")
    try:
        done = subprocess.run(
            ["/usr/bin/sievec", "-c", str(conf), str(script), str(draft)],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except OSError as error:
        raise SieveRefused(error.strerror) from None
    if done.returncode or not draft.exists():
        raise SieveRefused((done.stderr or done.stdout).strip()[-300:])
    os.chown(draft, layout.MAIL_UID, layout.MAIL_UID)
    draft.chmod(0o600)
    draft.replace(made)


def _settle_journal(journal: Path, dovecot: layout.Owner, python: layout.Owner) -> None:
    """Let us read the journal and give its read part back to the disk; set a long one aside: Dovecot, which is not
    running yet, holds its file open for as long as it lives."""
    if journal.exists() and journal.stat().st_size > ROTATE_BYTES:
        aside = journal.with_name(journal.name + ".1")
        if not aside.exists():
            journal.replace(aside)
    journal.touch(mode=0o660)
    os.chown(journal, dovecot.uid, python.gid)
    journal.chmod(0o660)


def _write_token_key(config: Config, dovecot: layout.Owner) -> None:
    """Give Dovecot the public half of the tokens' key, where its local validation looks."""
    folder = layout.Paths(config.state).oauth_keys / tokens.AUTHORISED_PARTY / "ES256"
    for part in (folder.parent.parent, folder.parent, folder):
        layout.directory(part, 0o750, layout.Owner(0, dovecot.gid))
    key = tokens.load_key(config)
    layout.write(folder / tokens.key_id(key), tokens.public_pem(key), 0o640, layout.Owner(0, dovecot.gid))


def process(config: Config) -> Process:
    conf = layout.Paths(config.state).dovecot_conf
    return Process(
        name="dovecot",
        argv=("/usr/sbin/dovecot", "-F", "-c", str(conf)),
        healthy=lambda: probes.imap(config),
        stop_timeout_s=10,
        # It ends its workers then, and starts no new ones before the old time has come again.
        restart_when_set_back=True,
        dies_without_log=True,
        advice=f"Look at {config.log / 'dovecot.log'}; is another program on port {config.imap_port}?",
    )
