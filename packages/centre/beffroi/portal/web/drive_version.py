"""Coffre: an earlier content of a file, shown as the present one is; and the list of them on the file's page.

Input:  hostile: identifiers of the address; contents, which the drive gives out harmless (``drive.web.given``).
Access: ``View``: who sees the file sees its earlier contents. What a decision or a finding holds is not shown, though
        the present content may be free.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.drive.store import seals, versions
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.versions import Version
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place, View
from beffroi.portal import drive_seal_words, drive_visits, drive_words, scan_words, words
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive, drive_office


@require_GET
@for_agents
def version(request: HttpRequest, actor: Actor, node_id: int, etag: int, share_id: str = "") -> HttpResponse:
    """``share_id``: of what another collectivité shares. Errors: AbsentNode, Unavailable."""
    view = drive_visits.view_towards(request, actor, share_id, node_id)
    with view.database.reading() as reading:
        place = view.at(reading, node_id)
        if place.node.is_folder:
            raise AbsentNode("file")
        old, every = versions.find(reading, node_id, etag), versions.of(reading, node_id)
        node = old.of(place.node)
        scan = scan_words.line(reading, actor, place._replace(node=node))
        context: dict[str, Any] = {
            "node": node,
            "version": row(node, old, written(every)[etag]),
            "others": _beside(every, old),
            "trail": drive.trail(reading, view, place)[:-1],
            "at": drive.at_of(place),
            "at_rest": f"/{etag}",
            "may_write": place.rights.may_write,
            "may_delete": may_delete(reading, view, place),
            "compares": drive_words.compares(node.name),
            "scan": scan,
            "preview": "" if scan.is_held or not node.size_bytes else shown(node),
            "preview_note": "" if scan.is_held else _too_large(node),
            "office_words": {code: str(text) for code, text in drive_words.PREVIEWS.items()},
        }
        context |= drive_seal_words.of_place(reading, actor, place) | drive_visits.addresses(view)
    return drive.drive_page(request, view, "portal/drive_version.html", context)


def listed(reading: Reading, node: Node) -> list[dict[str, Any]]:
    """For the page of a file, newest first."""
    every = versions.of(reading, node.id)
    said = written(every)
    return [row(one.of(node), one, said[one.etag]) for one in every]


def written(every: Sequence[Version]) -> dict[int, str]:
    """By their etags, when the versions of a file were written, each in words of its own. ``every``: newest first."""
    said = drive_words.written([datetime.fromtimestamp(one.mtime_s, UTC) for one in every])
    return dict(zip((one.etag for one in every), said, strict=True))


def may_delete(reading: Reading, view: View, place: Place) -> bool:
    """Whether the pages offer to delete a version for good."""
    return view.may_destroy(place) and seals.covering(reading, place.node.id) is None


def shown(node: Node) -> str:
    """How a content is shown: image, text, pdf, office (pictures of its first pages), or "" (not at all)."""
    found = drive_words.preview(node.name, node.size_bytes)
    is_document = settings.BEFFROI.previews and drive_office.suffix_of(node.name)
    return found or ("office" if is_document and not _too_large(node) else "")


def _too_large(node: Node) -> str:
    return drive_words.too_large(node.name, node.size_bytes, documents=settings.BEFFROI.previews)


def row(node: Node, old: Version, said: str) -> dict[str, Any]:
    """``said``: when it was written (``written``)."""
    return {
        "etag": old.etag,
        "size": words.size(old.size_bytes),
        "written": said,
        "replaced": datetime.fromtimestamp(old.replaced_s, UTC),
        "is_shown": bool(shown(node)),
    }


def _beside(every: Sequence[Version], old: Version) -> dict[str, int]:
    """The etags of the versions just before and after, 0 for none."""
    etags = [one.etag for one in every]
    return {
        "older": max((one for one in etags if one < old.etag), default=0),
        "newer": min((one for one in etags if one > old.etag), default=0),
    }
