"""Where the folders of an old mailbox go. Pure.

Source: RFC 6154 (special use) first; then the names that providers of France give such folders.
Hostile: names of folders; what they become is one of ours, or the same name without signs that a server interprets.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from imapclient import imap_utf7

from beffroi.lib.unseen import CONTROLS, HALVES, LINE_ENDS

MAX_PART_CHARS = 100
MAX_PART_BYTES = 250
"""As Dovecot writes the name on the disk (modified UTF-7): a letter with an accent that stands alone takes five."""
MAX_TARGET_CHARS = 200
"""The page opens 255 (mail/folders.py), and a restore lies below a folder of its own."""
MAX_DEPTH = 10
SPARED = frozenset({"junk", "trash", "starred", "important"})
"""Not chosen unless the person wishes: junk, and what shows mails of other folders a second time."""
_UNFIT = re.compile(rf"[{CONTROLS}{LINE_ENDS}{HALVES}/\\*%]")
_RESERVED = frozenset({"INBOX", "DBOX-MAILS"})
_TARGETS = {
    "inbox": "INBOX",
    "sent": "Sent",
    "drafts": "Drafts",
    "trash": "Trash",
    "junk": "Junk",
    "archive": "Archive",
    "all": "Archive",
}
_USES = {
    "\\sent": "sent",
    "\\drafts": "drafts",
    "\\trash": "trash",
    "\\junk": "junk",
    "\\archive": "archive",
    "\\all": "all",
    "\\allmail": "all",  # XLIST, before RFC 6154
    "\\flagged": "starred",
    "\\important": "important",
}
_NAMES = {
    "sent": "sent|sent items|sent mail|sent messages|sent-mail|outbox|envoyes|envoye|messages envoyes|elements envoyes"
    "|courrier envoye|courriers envoyes|mails envoyes|boite d'envoi|objets envoyes",
    "drafts": "drafts|draft|brouillons|brouillon",
    "trash": "trash|corbeille|deleted|deleted items|deleted messages|elements supprimes|messages supprimes|bin",
    "junk": "junk|junk e-mail|junk email|spam|spams|bulk|bulk mail|indesirables|courrier indesirable|indesirable"
    "|quarantaine|quarantine|pourriel|pourriels",
    "archive": "archive|archives",
    "all": "all mail|tous les messages",
    "starred": "starred|suivis|messages suivis",
    "important": "important",
}
_ROLE_OF = {name: role for role, names in _NAMES.items() for name in names.split("|")}
_BARE_ROLES = frozenset({"all", "starred", "important"})
"""Only below Gmail's own folder: elsewhere a person named it so."""


@dataclass(frozen=True)
class Place:
    """``role``: see ``ImportFolder``; ``chosen``: whether it is copied unless the person says otherwise."""

    role: str
    target: str
    chosen: bool


def place(name: str, delimiter: str, flags: Iterable[str]) -> Place:
    """What a folder is, and where its mails go."""
    parts = [part for part in (name.split(delimiter) if delimiter else [name]) if part]
    role = _role(name, parts, {flag.lower() for flag in flags})
    return Place(role, _TARGETS.get(role) or _own(parts), role not in SPARED)


def _role(name: str, parts: list[str], flags: set[str]) -> str:
    if name.upper() == "INBOX":
        return "inbox"
    for use, role in _USES.items():
        if use in flags:
            return role
    gmail = parts[:1] in (["[Gmail]"], ["[Google Mail]"])
    below = parts[1:] if parts and (parts[0].upper() == "INBOX" or gmail) else parts
    role = _ROLE_OF.get(_plain(below[0]), "") if len(below) == 1 else ""
    return "" if role in _BARE_ROLES and not gmail else role


def _own(parts: list[str]) -> str:
    """The person's own folder under its own name, without the INBOX that some servers put before all."""
    rest = parts[1:] if len(parts) > 1 and parts[0].upper() == "INBOX" else parts
    return below(rest[:MAX_DEPTH]) or "Import"


def below(parts: Iterable[str], folder: str = "") -> str:
    """A folder by its levels, below ``folder``, as long as one may be."""
    name = "/".join([*([folder] if folder else []), *(safe(part) for part in parts)])
    return name if len(name) <= MAX_TARGET_CHARS else name[:MAX_TARGET_CHARS].rstrip("/ .~")


def safe(part: str) -> str:
    """One level of a folder's name in the new mailbox."""
    text = _UNFIT.sub("_", unicodedata.normalize("NFC", part)).strip()[:MAX_PART_CHARS]
    while len(imap_utf7.encode(text)) > MAX_PART_BYTES:
        text = text[:-1]
    text = text.rstrip()
    if text.strip(".") == "" or text.startswith("~"):
        return "_" + text.strip(".~")
    return f"{text}_" if text.upper() in _RESERVED else text


def _plain(text: str) -> str:
    bare = unicodedata.normalize("NFD", text.strip().lower().replace("’", "'"))
    return "".join(sign for sign in bare if not unicodedata.combining(sign))
