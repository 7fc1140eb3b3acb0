"""Sender and subject of a held mail: read from Dovecot's answer, kept sealed.

Purpose: page and digest name a mail that lies where no IMAP session reaches, without asking an engine.
Hostile: both header fields; they are capped and freed of control signs as in ``reader``.
Fails:   closed: what does not open is shown as unknown, and the mail stays on the list.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from email.utils import parseaddr

from beffroi.lib import envelopes
from beffroi.lib.config import Config
from beffroi.lib.envelopes import KeyUnreadable
from beffroi.mail import keys
from beffroi.mail.decoding import header_text

MAX_SUBJECT_CHARS = 300
MAX_NAME_CHARS = 200
FIELDS = ("hdr.from", "hdr.subject")


@dataclass(frozen=True)
class Heading:
    """``from_address``: lower case, or "" when the field names none."""

    from_name: str = ""
    from_address: str = ""
    subject: str = ""


def read(row: dict[str, str]) -> Heading:
    """From the fields ``FIELDS`` of one doveadm answer."""
    name, address = parseaddr(row.get("hdr.from", "").replace("\r", "").replace("\n", " "))
    clean = header_text(address.encode("utf-8", "replace")).lower()[:320]
    return Heading(
        header_text(name.encode("utf-8", "replace"))[:MAX_NAME_CHARS],
        clean if "@" in clean and " " not in clean else "",
        header_text(row.get("hdr.subject", "").encode("utf-8", "replace"))[:MAX_SUBJECT_CHARS],
    )


def seal(config: Config, collectivite_id: str, message_id: str, heading: Heading) -> str:
    text = json.dumps(asdict(heading), ensure_ascii=False, separators=(",", ":")).encode()
    return envelopes.wrap(keys.commune_key(config, collectivite_id), text, message_id)


class Opener:
    """Opens many with one look at each collectivité's key."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._keys: dict[str, bytes] = {}

    def open(self, collectivite_id: str, message_id: str, sealed: str) -> Heading:
        if not sealed:
            return Heading()
        try:
            if collectivite_id not in self._keys:
                self._keys[collectivite_id] = keys.commune_key(self._config, collectivite_id)
            text = envelopes.unwrap(self._keys[collectivite_id], sealed, message_id)
        except KeyUnreadable:
            return Heading()
        return Heading(**json.loads(text))
