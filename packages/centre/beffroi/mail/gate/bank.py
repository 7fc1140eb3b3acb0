"""Bank details that a mail names, as what is kept of them: keyed hashes, by collectivité and sender. Pure.

Privacy: rspamd hands on keyed hashes of IBANs (``bank.key``, which no Python process opens); here each is mixed with
         sender and collectivité under another key, so that nobody finds out who has which account, nor that two
         senders have the same.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum

import msgspec

MAX_IBANS = 20


class Kind(StrEnum):
    IBAN = "iban"
    WORDS = "words"
    """No IBAN that we could read, but words that announce new bank details."""


class Seen(msgspec.Struct, frozen=True):
    """One pair of sender and IBAN in one collectivité; of words, the pair is the message's own."""

    pair: str
    collectivite_id: str
    sender: str
    kind: str
    announces: bool
    proved: bool


def seen(
    key: bytes,
    *,
    message_id: str,
    sender: str,
    ibans: Iterable[str],
    announces: bool,
    proved: bool,
    communes: Iterable[str],
) -> list[Seen]:
    """``ibans``: keyed hashes; ``proved``: the sender's domain (DMARC). One row a collectivité and IBAN."""
    hashes = [one for one in dict.fromkeys(ibans) if len(one) == 64][:MAX_IBANS]
    rows = []
    for commune in sorted(communes):
        who = _hash(key, "sender", commune, sender.lower())
        found = [(Kind.IBAN, _hash(key, "pair", commune, sender.lower(), one)) for one in hashes]
        if announces and not found:
            found = [(Kind.WORDS, _hash(key, "words", commune, message_id))]
        rows += [Seen(pair, commune, who, kind, announces, proved) for kind, pair in found]
    return rows


def _hash(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\n".join(("beffroi/bank/1", *parts)).encode(), hashlib.sha256).hexdigest()
