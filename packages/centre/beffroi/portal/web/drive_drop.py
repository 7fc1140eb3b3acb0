"""Coffre: drop links of a folder, as who gives them sees them: made, listed, and what came by them.

Input:  hostile: identifiers and the form; what senders wrote, which templates escape.
Access: ``drive.links``, as for links that give files.
Rule:   the address of a link stands in the answer that made it and nowhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.drive import handed_in, links, sharing
from beffroi.drive.store import drops, link_passwords, shares
from beffroi.drive.store.model import KindDiffers
from beffroi.drive.store.shares import Wish
from beffroi.lib import clock
from beffroi.portal import drive_words, drop_words, words
from beffroi.portal.drive_access import act_of, view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive, drive_links

FIRST = {"days": "30", "types": "documents", "size": "20", "total": "500", "files": "100"}


@require_http_methods(["GET", "POST"])
@for_agents
def of_node(request: HttpRequest, actor: Actor, node_id: int) -> HttpResponse:
    """The open drop links of a folder, the form of another, what came. Errors: AbsentNode, ReadOnly, KindDiffers."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        place = sharing.shareable(view, reading, node_id)
        if not place.node.is_folder:
            raise KindDiffers("files are handed in to a folder")
        context = drive_links.facts(reading, view, place)
    context |= {
        "types": [(key, words) for key, (_endings, words) in drop_words.TYPES.items()],
        "sizes": [(str(one), drop_words.size(one)) for one in drop_words.SIZES_MB],
        "totals": [(str(one), drop_words.size(one)) for one in drop_words.TOTALS_MB],
        "counts": [(str(one), str(one)) for one in drop_words.COUNTS],
        "form": FIRST,
        "is_scanned": settings.BEFFROI.scan or bool(settings.BEFFROI.clamd),
    }
    status = HTTPStatus.OK
    if request.method == "POST":
        wish, limits, errors = _wish(request)
        context |= {"error": errors, "form": request.POST}
        if errors:
            status = HTTPStatus.BAD_REQUEST
        else:
            _share, token = links.make(
                actor=actor,
                view=view,
                act=act_of(view),
                node_id=node_id,
                wish=wish,
                also=lambda writing, share: drops.set_limits(writing, share.id, limits),
            )
            context |= {
                "form": FIRST,
                "address": drive_words.link_address(view.who.collectivite_id, token),
            }
    with view.database.reading() as reading:
        found = [
            one for one in shares.of_node(reading, node_id, now_s=clock.epoch_s()) if one.rights == "drop"
        ]
        context["links"] = drive_links.rows(reading, view, actor, found)
        lying = handed_in.files(reading, node_id)
        is_all = sum(map(len, lying.values())) < handed_in.MOST_FILES
        context["came"] = [
            {
                "one": one,
                "files": lying.get(one.id, []),
                "away": one.files - len(lying.get(one.id, [])) if is_all else 0,
                "size": words.size(one.total_bytes),
                "at": datetime.fromtimestamp(one.last_s, UTC),
            }
            for one in drops.handings(reading, node_id)
        ]
    return drive.drive_page(request, view, "portal/drive_drops.html", context, status=status)


def _wish(request: HttpRequest) -> tuple[Wish, drops.Limits, dict[str, str]]:
    """What the form says, and what is wrong with it by its fields."""
    errors: dict[str, str] = {}
    password = request.POST.get("password", "")
    if password and not link_passwords.may_be(password):
        errors["password"] = drive_links.wrong_password()
    days = _chosen(request, "days", drive_links.ENDS_DAYS, errors)
    size = _chosen(request, "size", drop_words.SIZES_MB, errors)
    total = _chosen(request, "total", drop_words.TOTALS_MB, errors)
    files = _chosen(request, "files", drop_words.COUNTS, errors)
    if size > total:
        errors.setdefault("total", _("Choisissez au moins la taille d’un fichier."))
    types = request.POST.get("types", "")
    if types not in drop_words.TYPES:
        errors["types"], types = _("Choisissez dans la liste."), ""
    wish = Wish(
        "link",
        rights="drop",
        password="" if "password" in errors else password,
        expires_s=clock.epoch_s() + days * drive_links.DAY_S,
        most_bytes=drop_words.bytes_of(size),
        types=drop_words.TYPES[types][0],
    )
    return wish, drops.Limits(drop_words.bytes_of(total), files), errors


def _chosen(request: HttpRequest, name: str, offered: tuple[int, ...], errors: dict[str, str]) -> int:
    text = request.POST.get(name, "")
    if text not in {str(one) for one in offered}:
        errors[name] = _("Choisissez dans la liste.")
        return offered[0]
    return int(text)
