"""What a client says of a share: fields of a query, a form or JSON, in the words of the protocol.

Rule:    what cannot be had here is refused, and never taken without a word: who forbids a download believes that none
         is possible.
Hostile: all of it.
Source:  Nextcloud's developer manual, "OCS Share API".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime

from beffroi.drive.store import shares
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import NEVER
from beffroi.drive.web.messages import Request, fields
from beffroi.lib import clock, digits
from beffroi.lib.errors import BeffroiError, Invalid

READ, UPDATE, CREATE, DELETE = 1, 2, 4, 8
WRITES = UPDATE | CREATE | DELETE
ALL = 31
FORM_BYTES = 16 * 1024
DOWNLOADS = '[{"scope":"permissions","key":"download","value":true}]'
"""Of each share: who sees a file fetches it. Android takes a share that does not say so for one that forbids it."""


class ShareTooFine(BeffroiError):
    """A share has no note, no password, and no file that is seen and not fetched."""

    code = "drive.share_too_fine"
    http_status = 400


class SharedUnread(BeffroiError):
    """Who is shared something with reads it; a folder that takes files and shows none is a link of the portal."""

    code = "drive.shared_unread"
    http_status = 400


async def fields_of(request: Request) -> dict[str, str]:
    """What a client says in the query, and in a form or JSON. Errors: TooLarge, ClientGone, Invalid."""
    found = {name: values[-1] for name, values in fields(request.query, 64).items()}
    if request.method in ("POST", "PUT"):
        body = (await request.body(FORM_BYTES)).decode("utf-8", "replace")
        if "json" in request.header(b"content-type"):
            found |= {name: _text(one) for name, one in _object(body).items() if one is not None}
        else:
            found |= {name: values[-1] for name, values in fields(body, 64, with_empty=True).items()}
    return found


def _object(body: str) -> dict[str, object]:
    """Empty for JSON that is none. Errors: Invalid."""
    said = _decoded(body or "{}", "body")
    return said if isinstance(said, dict) else {}


def _decoded(text: str, what: str) -> object:
    """Errors: Invalid (``what``)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid(what) from None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def refuse_more(fields: Mapping[str, str]) -> None:
    """Errors: ShareTooFine, Invalid."""
    wants = fields.get("note", "").strip() or fields.get("password") or is_true(fields, "hideDownload")
    if wants or not _may_download(fields.get("attributes", "")):
        raise ShareTooFine


def _may_download(attributes: str) -> bool:
    """Errors: Invalid."""
    said = _decoded(attributes or "[]", "attributes")
    found = [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []
    return all(
        one.get("value", one.get("enabled", True))
        for one in found
        if (one.get("scope"), one.get("key")) == ("permissions", "download")
    )


def rights(fields: Mapping[str, str], usual: int, node: Node) -> shares.Rights:
    """Of what clients can ask for only all or nothing is had here: what is not all of it gives no more than it says.

    Errors: Invalid, SharedUnread (reading alone would give more)."""
    asked = digits.needed(fields.get("permissions", str(usual)), "permissions")
    if not 0 < asked <= ALL:
        raise Invalid("permissions")
    if not asked & READ:
        raise SharedUnread
    wanted = WRITES if node.is_folder else UPDATE
    return "write" if asked & wanted == wanted else "read"


def expires_s(fields: Mapping[str, str], usual_s: int) -> int:
    """The end of the day that is named; "" for no end. Errors: Invalid."""
    text = fields.get("expireDate")
    if text is None:
        return usual_s
    if not text:
        return NEVER
    try:
        day = date.fromisoformat(text[:10])
        end_s = int(datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC).timestamp())
    except ValueError:
        raise Invalid("expireDate") from None
    if end_s <= clock.epoch_s():
        raise Invalid("expireDate")
    return end_s


def is_true(fields: Mapping[str, str], name: str) -> bool:
    return fields.get(name, "").lower() in ("true", "1")


def most(fields: Mapping[str, str], limit: int) -> int:
    """How many are asked for at once, ``limit`` at most."""
    found = digits.number(fields.get("perPage", ""))
    return limit if found is None else min(found, limit)
