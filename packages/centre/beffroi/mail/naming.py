"""What an address that we give may look like before its @, and what to propose instead of one that may not. Pure.

Purpose: an address with an accent (``élodie@``) can be written to only from servers that know SMTPUTF8, and is
         typed without the accent by everybody else. What is given is therefore plain; senders may have what they like.
Hostile: what a person typed.
Fails:   AddressUnusable, with a proposal where one can be made.
Source:  RFC 5321 section 4.1.2 (Dot-string), RFC 6531 section 3.3.
"""

from __future__ import annotations

import re
import unicodedata

from beffroi.lib.errors import Invalid

MAX_LOCAL_CHARS = 64
_LOCAL = re.compile(r"(?!.*\.\.)[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
# What decomposition leaves as one letter.
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "@": None})
_BETWEEN_WORDS = re.compile(r"[\s,;:/]+")
_NOT_PLAIN = re.compile(r"[^a-z0-9._-]")


class AddressUnusable(Invalid):
    """An address has only letters without accents, digits, dots and hyphens before its @. {}"""

    code = "mail.address_unusable"

    def __init__(self, local: str) -> None:
        """``local``: what was typed before the @."""
        self.proposal = proposed(local)
        super().__init__(f"Proposed: {self.proposal}@" if self.proposal else "")


def base_address(address: str) -> str:
    """The mailbox's or alias' own address, without "+detail", which anybody may put there."""
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def check_local(local: str) -> None:
    """Errors: AddressUnusable."""
    if not _LOCAL.fullmatch(local):
        raise AddressUnusable(local)


def proposed(local: str) -> str:
    """The plain spelling of a name: ``Élodie d’Aubigné`` is ``elodie.daubigne``; "" where nothing remains."""
    text = unicodedata.normalize("NFKD", local.strip().lower().translate(_LIGATURES))
    text = _NOT_PLAIN.sub("", _BETWEEN_WORDS.sub(".", text))
    text = re.sub(r"\.{2,}", ".", text).strip("._-")[:MAX_LOCAL_CHARS].rstrip("._-")
    return text if _LOCAL.fullmatch(text) else ""
