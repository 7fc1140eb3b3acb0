"""Coffre: links for people without an account, as who gives them sees them: made, listed, ended.

Input:  hostile: identifiers and the form. Every change is a POST with a token of the session.
Access: ``drive.links``.
Rule:   the address of a link stands in the answer that made it and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.audit import queries as audit
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import links, sharing
from beffroi.drive.store import drops, ended_links, handovers, link_passwords, shares
from beffroi.drive.store.ended_links import Ended
from beffroi.drive.store.link_passwords import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS
from beffroi.drive.store.model import AbsentNode, ReadOnly
from beffroi.drive.store.shares import LONGEST_LINK_S, NO_LIMIT, Share, Wish
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place, View
from beffroi.lib import clock, digits
from beffroi.portal import drive_sharing, drive_words, scan_words, words
from beffroi.portal.counts import Count
from beffroi.portal.drive_access import act_of, view_of
from beffroi.portal.pages import asks_part, for_agents, page
from beffroi.portal.web import drive

LEFT = "left"
DAY_S = 86400
ENDS_DAYS = (7, 30, 90, 365)
MOST_DOWNLOADS = 10_000
ENDED_DAYS, MOST_ENDED = 30, 200
assert max(ENDS_DAYS) * DAY_S < LONGEST_LINK_S


@require_http_methods(["GET", "POST"])
@for_agents
def of_node(request: HttpRequest, actor: Actor, node_id: int) -> HttpResponse:
    """The open links of a file or folder, and the form of another. Errors: AbsentNode, ReadOnly."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        place = sharing.shareable(view, reading, node_id)
        context = facts(reading, view, place)
        is_held = scan_words.line(reading, actor, place).is_held
    context |= {"form": {"days": "30"}, "most_downloads": MOST_DOWNLOADS, "is_held": is_held}
    status = HTTPStatus.OK
    if request.method == "POST" and is_held:
        status = HTTPStatus.FORBIDDEN
    elif request.method == "POST":
        wish, errors = asked_wish(request)
        context |= {"error": errors, "form": request.POST}
        if errors:
            status = HTTPStatus.BAD_REQUEST
        else:
            token = links.make(actor=actor, view=view, act=act_of(view), node_id=node_id, wish=wish)[1]
            context |= {
                "form": {"days": "30"},
                "address": drive_words.link_address(view.who.collectivite_id, token),
            }
    with view.database.reading() as reading:
        found = shares.of_node(reading, node_id, now_s=clock.epoch_s())
        if asks_part(request, LEFT):
            return _left(request, rows(reading, view, actor, found, open_only=False))
        context |= _listed(rows(reading, view, actor, found))
    return drive.drive_page(request, view, "portal/drive_links.html", context, status=status)


def facts(reading: Reading, view: View, place: Place) -> dict[str, Any]:
    """What a page about the links of a place says of it and of any link."""
    return {
        "node": place.node,
        "trail": drive.trail(reading, view, place)[:-1],
        "at": drive.at_of(place),
        "ends": drive_words.link_ends(),
        "min_password": MIN_PASSWORD_CHARS,
    }


@require_GET
@for_agents
def own(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The open links that this person made, wherever, and those of who left them their files; what ended lately."""
    view = view_of(request, actor)
    me, now_s = view.who.person_id, clock.epoch_s()
    since_s = now_s - ENDED_DAYS * DAY_S

    def used_up(ids: Collection[str]) -> dict[str, int]:
        last = audit.last_of(verb="drive:link:used", object_ids=ids, collectivite_id=actor.collectivite_id)
        return {share_id: int(at.timestamp()) for share_id, at in last.items()}

    with view.database.reading() as reading:
        found = shares.made_by(reading, me, now_s=now_s)
        for one in sorted({one.person_id for one in handovers.naming(reading, me) if one.heir == me}):
            theirs = shares.made_by(reading, one, now_s=now_s)
            found += [link for link in theirs if _may_write(view, reading, link)]
        if asks_part(request, LEFT):
            return _left(request, rows(reading, view, actor, found, open_only=False))
        ended = ended_links.made_by(reading, me, now_s=now_s, since_s=since_s, used_up=used_up)
        over = {one.share.id for one in ended}
        found = [one for one in found if one.id not in over]
        context = {
            "at": "links",
            **_listed(rows(reading, view, actor, found)),
            "ended": [_over(view, reading, one) for one in ended[:MOST_ENDED]],
            "ended_most": MOST_ENDED if len(ended) > MOST_ENDED else 0,
            "ended_days": ENDED_DAYS,
        }
    return drive.drive_page(request, view, "portal/drive_own_links.html", context)


def _over(view: View, reading: Reading, one: Ended) -> dict[str, Any]:
    """A line of a link that is over. The file as it is named now, for who sees it still."""
    with suppress(AbsentNode):
        node = view.at(reading, one.share.node).node
        return {"node": node, "name": node.name, "is_folder": node.is_folder, "how": _how(one)}
    return {"node": None, "name": one.share.label, "is_folder": one.share.rights == "drop", "how": _how(one)}


def _how(one: Ended) -> str:
    since = words.since(datetime.fromtimestamp(one.since_s, UTC))
    return drive_words.link_over(one.why, since, is_drop=one.share.rights == "drop")


@require_http_methods(["GET", "POST"])
@for_agents
def end(request: HttpRequest, actor: Actor, share_id: str) -> HttpResponse:
    """Whether to end it, and what that means; then it has ended. Errors: AbsentNode."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        found = links.access(view, reading, share_id)
        (row,) = rows(reading, view, actor, [found], open_only=False)
    of_node = "drive_drops" if row["is_drop"] else "drive_links"
    back = reverse(of_node, args=[found.node]) if row["may_write"] else reverse("drive_own_links")
    if request.method == "POST":
        links.end(actor=actor, view=view, act=act_of(view), share_id=share_id)
        messages.success(request, _("Le lien est arrêté : plus personne ne peut l’ouvrir."))
        return HttpResponseRedirect(back)
    return drive.drive_page(request, view, "portal/drive_link_end.html", {"link": row, "back": back})


def rows(
    reading: Reading, view: View, actor: Actor, found: Sequence[Share], *, open_only: bool = True
) -> list[dict[str, Any]]:
    """What a list shows of each link; other kinds of shares are left out."""
    named = identity.visible_names(actor, {one.created_by for one in found})
    out = []
    for one in found:
        if one.kind != "link" or (open_only and one.downloads_left == 0):
            continue
        out.append(
            {
                **drive_sharing.row_of(reading, one, named),
                "ends": datetime.fromtimestamp(one.expires_s, UTC),
                "is_drop": one.rights == "drop",
                "is_full": one.rights == "drop" and drops.of(reading, one.id).is_full,
                "has_password": one.has_password,
                "left": None if one.downloads_left == NO_LIMIT else one.downloads_left,
                "may_write": _may_write(view, reading, one),
            }
        )
    return out


def _listed(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """For a page that lists links. ``counts``: whether one of them counts downloads, so that the page follows it."""
    return {"links": lines, "counts": any(one["left"] is not None for one in lines)}


def _left(request: HttpRequest, lines: list[dict[str, Any]]) -> HttpResponse:
    """How many downloads are left, for a list that is open. The counts alone: a button that is being pressed stays."""
    return page(request, "portal/parts/drive_links_left.html", {"links": lines})


def _may_write(view: View, reading: Reading, share: Share) -> bool:
    try:
        sharing.shareable(view, reading, share.node)
    except (AbsentNode, ReadOnly):
        return False
    return True


def asked_wish(request: HttpRequest) -> tuple[Wish, dict[str, str]]:
    """What the form says, and what is wrong with it by its fields."""
    errors = {}
    days, password = request.POST.get("days", ""), request.POST.get("password", "")
    count = request.POST.get("downloads", "").strip()
    if days not in {str(one) for one in ENDS_DAYS}:
        errors["days"], days = _("Choisissez jusqu’à quand."), "7"
    if password and not link_passwords.may_be(password):
        errors["password"] = wrong_password()
    if count and not 1 <= (digits.number(count) or 0) <= MOST_DOWNLOADS:
        errors["downloads"] = _("Un nombre de 1 à %(most)s, ou rien du tout.") % {
            "most": Count(MOST_DOWNLOADS)
        }
    wish = Wish(
        "link",
        password="" if "password" in errors else password,
        expires_s=clock.epoch_s() + int(days) * DAY_S,
        downloads=NO_LIMIT if not count or "downloads" in errors else int(count),
    )
    return wish, errors


def wrong_password() -> str:
    return _(
        "Un mot de passe a de %(least)s à %(most)s caractères : allongez-le, ou laissez le champ vide."
    ) % {
        "least": Count(MIN_PASSWORD_CHARS),
        "most": Count(MAX_PASSWORD_CHARS),
    }
