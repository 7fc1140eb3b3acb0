"""Where the mail engines keep their files, who owns them, and how they are written.

Purpose: one place for paths, users, secrets and the atomic writing of generated files.
Process: the supervisor, as root, before it starts an engine; the engines drop their privileges by themselves.
Hostile: nothing; every value comes from ``lib.config``.
Fails:   closed: without its file or its user an engine does not start, and the sentence says which.
Source:  docs/internals/mail-engines.md.
"""

from __future__ import annotations

import grp
import hashlib
import hmac
import os
import pwd
import secrets
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from beffroi.lib import durable
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

MAIL_UID = 5000
"""Owner of the mailboxes. A number suffices: no account of the system is needed."""
REPORTS_UID = 5001
"""Owner of mails with reports where everything of ours runs as root (tests): Postfix delivers nothing as root."""
MAX_MAIL_BYTES = 50 * 1024 * 1024
"""Of a mail that Postfix takes: nothing is too large to be looked at, or to be brought in."""
LOOPBACK = "127.0.0.1"
SCRIPT_EXTENSIONS = (
    "fileinto", "envelope", "encoded-character", "subaddress", "comparator-i;ascii-numeric", "relational", "regex",
    "imap4flags", "copy", "body", "variables", "mailbox", "date", "index",
)  # fmt: skip
"""What people's own scripts may use (mail/scripts): nothing that sends, and nothing that reads other files."""


def own_address(config: Config) -> str:
    """Where this machine reaches its own public listeners."""
    return reached(config.listen)


def reached(address: str) -> str:
    """Where this machine reaches what listens on ``address``, "*" for all."""
    return LOOPBACK if address == "*" else address


class EngineMissing(BeffroiError):
    """The system user {} of a mail engine does not exist; install the package {}."""

    code = "engine.missing"


@dataclass(frozen=True)
class Owner:
    """Numeric owner of a file. ``None`` keeps the writer's own."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Paths:
    """All paths of the mail engines under the state directory."""

    state: Path

    @property
    def postfix(self) -> Path:
        return self.state / "postfix"

    @property
    def dovecot(self) -> Path:
        return self.state / "dovecot"

    @property
    def dovecot_conf(self) -> Path:
        return self.dovecot / "etc" / "dovecot.conf"

    @property
    def sievec_conf(self) -> Path:
        return self.dovecot / "etc" / "sievec.conf"

    @property
    def scripts_conf(self) -> Path:
        return self.dovecot / "etc" / "scripts.conf"

    @property
    def scripts(self) -> Path:
        return self.state / "projections" / "sieve"

    @property
    def mailboxes(self) -> Path:
        return self.state / "mailboxes"

    @property
    def rspamd(self) -> Path:
        return self.state / "rspamd"

    @property
    def unbound(self) -> Path:
        return self.state / "unbound"

    @property
    def tls(self) -> Path:
        return self.state / "tls"

    @property
    def routes(self) -> Path:
        return self.state / "projections" / "routes.sqlite"

    @property
    def auth(self) -> Path:
        return self.state / "projections" / "auth.sqlite"

    @property
    def signing(self) -> Path:
        return self.state / "projections" / "dkim"

    @property
    def journal(self) -> Path:
        return self.state / "journal" / "deliveries.log"

    @property
    def oauth_keys(self) -> Path:
        return self.dovecot / "oauth2"


def python_owner(config: Config) -> Owner:
    """The user of the centre's Python processes."""
    if not config.user:
        return Owner(os.getuid(), os.getgid())
    return user(config.user, "beffroi")


def reports_owner(config: Config) -> Owner:
    """Who reads mails with reports, and nothing else. Errors: EngineMissing."""
    if config.user:
        return user(f"{config.user}-reports", "beffroi")
    return Owner(REPORTS_UID, REPORTS_UID) if os.getuid() == 0 else Owner(os.getuid(), os.getgid())


def scan_owner(config: Config) -> Owner:
    """Who looks into attached files, and reads nothing else. Errors: EngineMissing."""
    return user(f"{config.user}-scan", "beffroi") if config.user else Owner(os.getuid(), os.getgid())


def user(name: str, package: str) -> Owner:
    """Errors: EngineMissing."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise EngineMissing(name, package) from None
    return Owner(entry.pw_uid, entry.pw_gid)


def group(name: str, package: str) -> int:
    """Errors: EngineMissing."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise EngineMissing(name, package) from None


def directory(path: Path, mode: int, owner: Owner | None = None) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)
    path.chmod(mode)


def write(path: Path, text: str, mode: int, owner: Owner | None = None) -> None:
    """Replace a file in one step; unchanged content is left alone, so that engines need no reload."""
    data = text.encode()
    numbers = (owner.uid, owner.gid) if owner is not None else None
    if path.exists() and path.read_bytes() == data:
        durable.settle(path, mode=mode, owner=numbers)  # some of these directories are an engine's own
    else:
        durable.write(path, (data,), mode=mode, owner=numbers)


def secret(config: Config, name: str) -> str:
    """Return the text secret STATE/secrets/NAME; made on first use."""
    path = config.secrets / name
    if not path.exists():
        if not config.secrets.exists():
            directory(config.secrets, 0o700, python_owner(config))
        write(path, secrets.token_hex(32) + "\n", 0o600, python_owner(config))
    return config.secret(name).decode("ascii")


def quarantine_prefix(config: Config) -> str:
    """Return the namespace of quarantine, with its separator.

    Only its name keeps it from clients: no command of IMAP tells it (dovecot.conf), and nobody can guess it. It may
    change with the key: the folder below lies at a path of its own.
    """
    return _hidden_prefix(config, b"quarantine")


def quarantine_folder(config: Config) -> str:
    return quarantine_prefix(config) + "Messages"


def deleted_prefix(config: Config) -> str:
    """Return the namespace of what was expunged, with its separator; a thief of a password cannot empty it."""
    return _hidden_prefix(config, b"deleted")


def deleted_folder(config: Config) -> str:
    return deleted_prefix(config) + "Messages"


def _hidden_prefix(config: Config, purpose: bytes) -> str:
    key = secret(config, "doveadm.key").encode("ascii")
    return f"beffroi-{hmac.new(key, purpose, hashlib.sha256).hexdigest()[:32]}/"


def portal_url(config: Config, path: str) -> str:
    return f"{config.portal_origin}/{path}"


def sign_in_help(config: Config) -> str:
    """What a mail program's error should lead to: ASCII, one line, without a character that Postfix or Dovecot read."""
    return (
        f"Mot de passe propre au logiciel de courriel, pas celui du portail : {portal_url(config, 'acces/')}"
    )


REFUSED = "Ce mot de passe n'est pas un mot de passe d'application"
"""The portal's pages of sign-in and of app passwords say the same, with typographic signs."""


def sign_in_refused(config: Config) -> str:
    """What IMAP, submission and ManageSieve answer to every refused password, in the same words whatever the reason:
    the account's own, a wrong one, no such mailbox, an account that is held. ASCII, one line, as above."""
    return f"{REFUSED} : creez-en un ou voyez pourquoi il ne sert plus, ici : {portal_url(config, 'acces/')}"


def render(name: str, **values: object) -> str:
    """Fill the template ``templates/NAME``: every ``@key@`` must have a value, and every value a place.

    Errors: KeyError, a mistake of ours."""
    text = template(name)
    for key, value in values.items():
        mark = f"@{key}@"
        if mark not in text:
            raise KeyError(f"{name} has no {mark}")
        text = text.replace(mark, str(value))
    return text


def template(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")
