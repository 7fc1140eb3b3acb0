"""What the page of a link shows of a file itself: an image, a PDF, the first page of a document, or why nothing.

Process: web; the bytes come from the drive (``drive.web.linked``), which decides anew.
Rule:    where a link counts downloads nothing here gives the file itself: it would be had without being counted.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from beffroi.drive.store import findings, frozen
from beffroi.drive.store.model import Node
from beffroi.drive.store.shares import NO_LIMIT, Share
from beffroi.drive.store.writing import Reading
from beffroi.portal import drive_words
from beffroi.previews import wire


def kind_of(share: Share, name: str, size_bytes: int) -> str:
    """image, photo (a smaller picture), pdf (the page's viewer), page (a picture of the first one), or ""."""
    is_counted = share.downloads_left != NO_LIMIT
    kind = drive_words.preview(name, size_bytes)
    if kind == "photo" or (kind in ("image", "pdf") and not is_counted):
        return kind
    if drive_words.has_thumbnail(name, size_bytes):
        return "photo"
    is_document = wire.suffix_of(name) in wire.SUFFIXES
    is_made = is_document and settings.BEFFROI.previews and 0 < size_bytes <= wire.MAX_DOCUMENT_BYTES
    return "page" if is_made else ""


def shown(reading: Reading, share: Share, node: Node) -> dict[str, Any]:
    """For the page of one file."""
    found = findings.finding(reading, node.sha256)
    is_held = bool(frozen.decision_of(reading, node.sha256)) or (found is not None and not found.released_s)
    waits = not is_held and _waits(reading, node)
    kind = "" if is_held or waits else kind_of(share, node.name, node.size_bytes)
    context: dict[str, Any] = {"preview": kind, "preview_note": ""}
    if is_held:
        context["preview_note"] = drive_words.held()
    elif waits:
        context["preview_note"] = drive_words.LINK_REFUSALS["drive.not_scanned"]
    elif not kind and drive_words.preview(node.name, node.size_bytes) in ("image", "pdf"):
        context["preview_note"] = _(
            "Ce lien compte ses téléchargements : ce fichier se voit une fois téléchargé."
        )
    elif not kind:
        documents = settings.BEFFROI.previews
        context["preview_note"] = drive_words.too_large(node.name, node.size_bytes, documents=documents)
    if kind == "page":
        context["office_words"] = {code: str(text) for code, text in drive_words.PREVIEWS.items()}
    return context


def _waits(reading: Reading, node: Node) -> bool:
    """Whether it came from outside and nothing looked at it yet: the drive gives nothing of it."""
    try:
        findings.require_scanned(reading, node.sha256)
    except findings.NotScanned:
        return True
    return False
