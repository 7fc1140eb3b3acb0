"""Where the mailboxes of the usual providers are, as they document it. ``day_bytes``: what one may fetch a day.

Source: the providers' help pages; Gmail's limits: support.google.com/a/answer/1071518 (2500 MB a day by IMAP).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Provider:
    """``hint``: key of a sentence in ``portal.import_words``. ``passwords``: False where none opens IMAP any more."""

    key: str
    name: str
    host: str
    hint: str = ""
    day_bytes: int = 0
    passwords: bool = True


PROVIDERS = (
    Provider("orange", "Orange", "imap.orange.fr"),
    Provider("wanadoo", "Wanadoo", "imap.orange.fr", hint="wanadoo"),
    Provider("gmail", "Gmail", "imap.gmail.com", hint="app_password", day_bytes=2_000_000_000),
    Provider("free", "Free", "imap.free.fr"),
    Provider("sfr", "SFR", "imap.sfr.fr"),
    Provider("laposte", "La Poste", "imap.laposte.net"),
    Provider("outlook", "Outlook, Hotmail", "outlook.office365.com", hint="no_passwords", passwords=False),
)
_BY_KEY = {one.key: one for one in PROVIDERS}
_DAY = {one.host: one.day_bytes for one in PROVIDERS if one.day_bytes}


def provider(key: str) -> Provider | None:
    return _BY_KEY.get(key)


def day_bytes(host: str) -> int:
    """How many bytes a day this host lets one mailbox fetch; 0: no known limit."""
    return _DAY.get(host.lower(), 0)
