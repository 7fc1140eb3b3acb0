"""Settings of the centre: one frozen object, read from STATE/beffroi.toml; secrets are files in STATE/secrets.

A setting is one field in the module of its part under lib/declared. docs/reference/settings.md is generated from
these fields, in their order; a test fails while it is behind.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from beffroi.lib.declared.centre import CentreSettings
from beffroi.lib.declared.decisions import DecisionSettings
from beffroi.lib.declared.drive import DriveSettings
from beffroi.lib.declared.keeping import KeepingSettings
from beffroi.lib.declared.mail import MailSettings
from beffroi.lib.declared.outside import OutsideSettings
from beffroi.lib.declared.serving import ServingSettings
from beffroi.lib.declared.setting import setting
from beffroi.lib.errors import BeffroiError

STATE_VARIABLE = "BEFFROI_STATE"
DEFAULT_STATE = Path("/var/lib/beffroi")
DATABASE_PASSWORD = "database.password"  # noqa: S105 - the name of the file


class SettingInvalid(BeffroiError):
    """Setting {} in {}: {}"""

    code = "setting.invalid"


class SettingsUnreadable(SettingInvalid):
    """{} cannot be read: {}. Next: mend it; settings and their forms: docs/reference/settings.md"""

    code = "setting.unreadable"


@dataclass(frozen=True)
class _State:
    state: Path = setting(DEFAULT_STATE, "State directory; everything that must survive is under it.")

    @property
    def run(self) -> Path:
        """Sockets and process ids."""
        return self.state / "run"

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    def secret(self, name: str) -> bytes:
        """Content of STATE/secrets/NAME, stripped. Errors: SettingInvalid."""
        path = self.secrets / name
        try:
            return path.read_bytes().strip()
        except OSError as error:
            raise SettingInvalid(f"secrets/{name}", self.state, error.strerror) from None


# The fields of the last base are the first.
@dataclass(frozen=True)
class Config(
    OutsideSettings,
    DriveSettings,
    KeepingSettings,
    DecisionSettings,
    ServingSettings,
    MailSettings,
    CentreSettings,
    _State,
):
    @property
    def portal_origin(self) -> str:
        """Scheme, name and port of the agents' portal, as others reach it."""
        return _origin(self.portal_name, self.portal_port)

    @property
    def console_origin(self) -> str:
        """The same of the Département's console."""
        return _origin(self.console_name, self.console_port)

    @property
    def relay_names(self) -> tuple[str, ...]:
        """Names of the relays' processes, sockets and directories."""
        return tuple(f"relay-{number}" for number in range(1, self.stream_relays + 1))

    @property
    def reports_address(self) -> str:
        """Where other servers' reports about the communes' domains are to go."""
        return (self.mail_reports or f"rapports@{self.mail_name}").lower()

    @property
    def probe_address(self) -> str:
        """The mailbox of the mails that the centre sends to itself. No person's, of no commune."""
        return f"sonde@{self.mail_name}".lower()

    @property
    def database(self) -> str:
        """URL of the relational database: ``sqlite:///PATH`` or ``postgresql://...``, with its password: never shown.

        Errors: SettingInvalid when the password cannot be read.
        """
        if not self.database_url:
            return f"sqlite:///{self.state / 'db' / 'beffroi.sqlite'}"
        if not (self.secrets / DATABASE_PASSWORD).exists():  # a socket or a certificate needs none
            return self.database_url
        password = quote(self.secret(DATABASE_PASSWORD), safe="")
        return f"{self.database_url}{'&' if '?' in self.database_url else '?'}password={password}"

    @property
    def drive_database(self) -> str:
        """As ``database`` where the drive's metadata lie on the server; "" where they are files.

        Errors: SettingInvalid.
        """
        return self.database if self.drive_on_server else ""


def _origin(name: str, port: int) -> str:
    return f"https://{name}" if port == 443 else f"https://{name}:{port}"


def load(state: Path | None = None) -> Config:
    """Read the configuration of a state directory. Errors: SettingInvalid, with the field's name."""
    root = state or Path(os.environ.get(STATE_VARIABLE, str(DEFAULT_STATE)))
    path = root / "beffroi.toml"
    try:
        values = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsUnreadable(path, getattr(error, "strerror", None) or error) from None
    known = {f.name: f for f in fields(Config) if f.name != "state"}
    for name, value in values.items():
        if name not in known:
            raise SettingInvalid(name, path, "no such setting")
        _check(known[name], value, path)
    if _holds_password(str(values.get("database_url", ""))):
        why = f"holds a password, and every user reads this file: put it in {root / 'secrets' / DATABASE_PASSWORD}"
        raise SettingInvalid("database_url", path, why)
    return Config(state=root, **values)


def _holds_password(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.password) or "password" in parse_qs(parts.query)


_WORDS = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number with a point",
    bool: "true or false",
}


def _check(setting: Field[Any], value: object, path: Path) -> None:
    if type(value) is not type(setting.default):
        raise SettingInvalid(setting.name, path, f"must be {_WORDS[type(setting.default)]}")
    low, high = setting.metadata["low"], setting.metadata["high"]
    if isinstance(value, int) and low is not None and not low <= value <= high:
        raise SettingInvalid(setting.name, path, f"must be between {low} and {high}")
