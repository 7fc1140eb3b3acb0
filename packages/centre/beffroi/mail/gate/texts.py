"""The text of a mail as an indicator: what a campaign keeps where address, link and file are new for each reader.

Purpose: ``sketch`` of what rspamd tells of a text; ``families``: the texts that mails before had and that are near to
         this one's. A mail is seen with its family's sketch, not with its own: from there on, a text is the same or
         not, as a link is.
Rule:    the first text that no earlier one is near to founds a family. So a decision names a founder, and whatever is
         near to one was near to it when it came: the door's answer and the record's are the same.
Privacy: lanes are mixed with the engines' key: who has the database alone cannot try guesses of a text.
Source:  docs/decisions/0237-texts-that-are-near.md.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from beffroi_protocol.sketches import LANE_DIGITS, LANES, Sketches, lanes

from beffroi.core.planes.db import Database

BANDS, ROWS = 10, 3
"""Candidates share a band of three lanes: of texts that have the half in common three in four do, of those with three
quarters all but one in two hundred."""
CANDIDATES, MOST = 50, 4
"""Whoever sends texts that stand between others makes a mail be of a few families, not of fifty."""
_SHARING = (
    "SELECT t.id, t.value FROM mail_text t JOIN mail_text_band b ON b.text_id = t.id"
    " WHERE b.band IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) GROUP BY t.id, t.value ORDER BY COUNT(*) DESC, t.id LIMIT ?"
)


def sketch(key: bytes, told: Iterable[str]) -> str:
    """``told``: ``Facts.text``, hostile only through the text. Return "" where there is none."""
    made = [
        hmac.digest(key, f"beffroi/text/1\n{number}\n{one}".encode(), "sha256").hex()[:LANE_DIGITS]
        for number, one in enumerate(told)
    ]
    return "".join(made) if len(made) == LANES else ""


def families(database: Database, text: str, at: datetime) -> list[str]:
    """The sketches of the families that a text is of, the nearest ``MOST``; it founds its own where it is near to none.
    In the caller's transaction."""
    bands = _bands(text)
    rows = database.execute(_SHARING, [*bands, CANDIDATES])
    known = Sketches()
    for _, value in rows:
        known.add(value)
    if found := known.near(text)[:MOST]:
        met = [(at, id_, at) for id_, value in rows if value in found]
        database.executemany("UPDATE mail_text SET seen_at = ? WHERE id = ? AND seen_at < ?", met)
        return found
    founded = database.execute(
        "INSERT INTO mail_text (value, seen_at) VALUES (?, ?) RETURNING id", (text, at)
    )
    database.executemany(
        "INSERT INTO mail_text_band (text_id, band) VALUES (?, ?)", [(founded[0][0], band) for band in bands]
    )
    return [text]


def _bands(text: str) -> list[int]:
    """Signed numbers of 64 bits, as a column holds them."""
    found = lanes(text)
    parts = ("".join(found[at : at + ROWS]) for at in range(0, BANDS * ROWS, ROWS))
    digests = (hashlib.blake2b(bytes.fromhex(one), digest_size=8).digest() for one in parts)
    return [int.from_bytes(one, signed=True) for one in digests]
