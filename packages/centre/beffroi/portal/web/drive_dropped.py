"""What the page of a drop link shows to people without an account: a form, and nothing of what lies there.

Input:  hostile: codes and references of the address.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.conf import settings

from beffroi.drive.store.drops import MAX_MESSAGE_CHARS, MAX_SENDER_CHARS, MOST_FILE_BYTES
from beffroi.drive.store.shares import NO_LIMIT, Share
from beffroi.drive.web import granted
from beffroi.portal import drop_words, words

_REFERENCE = re.compile(r"[0-9A-F]{12}", re.ASCII)


def facts(share: Share) -> dict[str, Any]:
    most = MOST_FILE_BYTES if share.most_bytes == NO_LIMIT else min(share.most_bytes, MOST_FILE_BYTES)
    return {
        "share": share,
        "ends": datetime.fromtimestamp(share.expires_s, UTC),
        "types": drop_words.of_types(share.types),
        "accepted": ",".join(f".{one}" for one in share.types.split()),
        "most": words.size(most),
        "most_bytes": most,
        "desk": f"{granted.DROP_PATH}/{share.id}/",
        "max_sender": MAX_SENDER_CHARS,
        "max_message": MAX_MESSAGE_CHARS,
        "is_scanned": settings.BEFFROI.scan or bool(settings.BEFFROI.clamd),
        "words": {code: str(said) for code, said in drop_words.REFUSALS.items()},
    }


def answer(reference: str, code: str) -> tuple[str, dict[str, Any], HTTPStatus]:
    """(template, context, status) of the page behind the plain form."""
    if _REFERENCE.fullmatch(reference):
        return "portal/drive_dropped_done.html", {"reference": reference}, HTTPStatus.OK
    status = {
        "drive.quota_full": HTTPStatus.INSUFFICIENT_STORAGE,
        "drive.too_many_entries": HTTPStatus.INSUFFICIENT_STORAGE,
        "drive.store_full": HTTPStatus.INSUFFICIENT_STORAGE,
        "drive.drop_full": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "drive.drop_too_long": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "input.too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "drive.drop_empty": HTTPStatus.BAD_REQUEST,
        "drive.drop_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "drive.store_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    }.get(code, HTTPStatus.FORBIDDEN)
    return "portal/drive_dropped_done.html", {"sentence": drop_words.refusal(code)}, status
