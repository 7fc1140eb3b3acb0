"""Metadata of a collectivité are made, or brought forward, when they are opened.

Process: every one that opens metadata.
Source:  ``schema``; docs/internals/drive.md, "Metadata".
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import LiteralString

from beffroi.drive.store import room, schema, weights
from beffroi.drive.store.model import Limits
from beffroi.drive.store.scalars import keep_meta, meta
from beffroi.drive.store.writing import Session, Writing
from beffroi.lib.errors import BeffroiError

FIRST_NUMBERS = 1 << 25
"""New metadata begin to count at one of these. Android takes the first eight digits of ``oc:id`` for the number."""


class FormatUnknown(BeffroiError):
    """The drive's data are of format {}, which is newer than this program; install the release that wrote them."""

    code = "drive.format_unknown"


def prepare(
    session: Session,
    *,
    bytes_type: LiteralString,
    key_type: LiteralString,
    usual: Limits | None,
    clustered: LiteralString = "",
) -> None:
    """Make the tables, or bring them forward; where ``schema.MARK`` says that they are, that is one look-up.

    ``clustered``: for tables that are their index. Errors: FormatUnknown.
    """

    def make(statements: Sequence[LiteralString]) -> None:
        for statement in statements:
            typed = statement.replace("{bytes}", bytes_type).replace("{key}", key_type)
            session.run(typed.replace("{clustered}", clustered))

    make(schema.TABLES[:1])
    if meta(session, "tables") != schema.MARK:
        make(schema.TABLES[1:])
        keep_meta(session, "tables", schema.MARK)
    found = meta(session, "format")
    if found is None:
        # Where there were others before, which are lost, devices have all of it: by a fingerprint that they do not know
        # they delete nothing, and no number may be one that they know.
        began = [("number", str(secrets.randbelow(FIRST_NUMBERS))), ("fingerprint", secrets.token_hex(16))]
        session.many("INSERT INTO meta (name, value) VALUES (?, ?)", [("format", str(schema.FORMAT)), *began])
    elif int(found) > schema.FORMAT:
        raise FormatUnknown(found)
    weights.first_count(session)
    if usual is not None:
        room.keep_usual(session, usual)


def mark_anew(writing: Writing) -> str:
    """From here on devices send what they have and is not there, and delete nothing. Return the new fingerprint."""
    fingerprint = secrets.token_hex(16)
    writing.run("UPDATE meta SET value = ? WHERE name = 'fingerprint'", (fingerprint,))
    return fingerprint
