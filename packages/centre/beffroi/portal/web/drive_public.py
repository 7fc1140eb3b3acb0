"""What a link shows to people without an account: a file, or a folder and what lies below it.

Input:   hostile; nobody signs in here, and no cookie of the portal is looked at.
Secrets: the token is part of the address: no-referrer, noindex, and nothing on the page comes from elsewhere. The front
         keeps no record of requests that went well. Passwords are tried a few times an hour by link and subscriber, and
         a limited number of times by all.
Fails:   closed: a link that never was, has ended, is used up, of another collectivité or of one whose files were
         erased, whose file is in the trash, that leads to the own file of who left or hands in to a sealed folder,
         gives one and the same page.
Rule:    the pages stand in ``web``; bytes come from ``drive`` under a grant of the share's own path (SameSite=Strict:
         downloads begin on this page, never on another site), and ``drive`` asks for the share again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.communes import row_security
from beffroi.core.communes.queries import access_collectivite
from beffroi.core.identity import limits
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.sign_ins import client_address
from beffroi.core.planes.tokens import GrantRefused, make_grant, read_grant
from beffroi.drive.store import drops, link_passwords, look, shares
from beffroi.drive.store.database import Database
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.store.look import node as find_node
from beffroi.drive.store.model import Node
from beffroi.drive.store.orders import Part, orders
from beffroi.drive.store.shares import LinkClosed, Share
from beffroi.drive.store.writing import Reading
from beffroi.drive.web import granted
from beffroi.lib import clock, digits
from beffroi.lib.config import SettingInvalid
from beffroi.lib.errors import NotFound, Unavailable
from beffroi.lib.ids import is_id
from beffroi.portal import drive_link_previews, drive_words, words
from beffroi.portal.drive_access import GRANT_KEY, metadata_of
from beffroi.portal.pages import asks_part, give_cookie, page
from beffroi.portal.web import drive_dropped
from beffroi.portal.web.signin import refuse_blocked

PAGE_ROWS = 200
TRIES, TRIES_OF_ALL, HOUR_S = 10, 200, 3600
"""Wrong passwords of one link in an hour: by one subscriber (colleagues who know it share an address), and by all
together: whoever rents a server comes from as many networks as there are passwords to try."""
VISIT_S = 4 * 3600
"""How long a page that is open gives files: a grant says that token and password were right, no more."""
LEFT = "left"
PAGE_PATH, PAGE_COOKIE = "/partage", "beffroi_partage"


@csrf_exempt  # without a referrer a browser sends no origin, and there is no session that another site could misuse
@require_http_methods(["GET", "POST"])
def link(request: HttpRequest, collectivite_id: str, token: str) -> HttpResponse:
    """The file or folder, or the form for its password."""
    refused = refuse_blocked(request, person_unknown=True)
    if refused is not None:
        return refused
    try:
        if not is_id(collectivite_id, "col"):
            raise LinkClosed
        with row_security.unlimited():
            collectivite = access_collectivite(Actor.system("drive"), collectivite_id)
        database = metadata_of(collectivite.id)
        with database.reading() as reading:
            share = shares.behind(reading, token, now_s=clock.epoch_s())
            owner = shares.owner(reading, share)
            if share.rights == "drop" and drops.is_sealed(reading, share):
                raise LinkClosed
        # Nobody else could see or end the links to the own files of who left.
        if share.rights not in ("read", "drop") or (owner and not identity.belongs(owner, collectivite.id)):
            raise LinkClosed
        context: dict[str, Any] = {
            "collectivite_name": collectivite.name,
            "address": request.path,
            "is_drop": share.rights == "drop",
        }
        is_open = not share.has_password or bool(_visit(request, share))
        if asks_part(request, LEFT):
            return _left(share.downloads_left if is_open else shares.NO_LIMIT)
        if not is_open:
            return _ask(request, collectivite.id, share, context)
        if request.method == "POST":
            return _to_page(request)
        if share.rights == "drop":
            return _dropped(request, collectivite.id, share, context)
        return _shown(request, collectivite.id, database, share, context)
    except (NotFound, LinkClosed, KeysErased):
        return _left(0) if asks_part(request, LEFT) else closed_page(request)


@require_GET
def refused(request: HttpRequest) -> HttpResponse:
    """Where the drive leads whoever asked for a file in vain."""
    code = request.GET.get("refus", "")
    sentence = drive_words.LINK_REFUSALS.get(code)
    if sentence is None:
        return closed_page(request)
    return _page(request, "portal/drive_link_closed.html", {"sentence": sentence}, HTTPStatus.FORBIDDEN)


def _left(downloads: int) -> HttpResponse:
    """How many downloads are left, for a page that is open: 0 of whatever is not open. It gives no grant."""
    if downloads == shares.NO_LIMIT:
        return _quiet(HttpResponse(status=HTTPStatus.NO_CONTENT))
    if downloads:
        return _quiet(HttpResponse(str(downloads)))
    return _quiet(
        HttpResponse(
            _("0. Ce lien ne donne plus rien : demandez-en un autre à la personne qui vous l’a donné.")
        )
    )


def closed_page(request: HttpRequest) -> HttpResponse:
    return _page(request, "portal/drive_link_closed.html", {}, HTTPStatus.NOT_FOUND)


def _ask(request: HttpRequest, collectivite_id: str, share: Share, context: dict[str, Any]) -> HttpResponse:
    """The form for the password; the right one leads to the page."""
    if request.method == "GET":
        return _page(request, "portal/drive_link_locked.html", context, HTTPStatus.OK)
    network = limits.network_of(client_address(request))
    # One network uses up its own first: alone it shuts nobody else out.
    tried = limits.take("drive_link", share.id, network, limit=TRIES, window_s=HOUR_S)
    of_all = tried and limits.take("drive_link_of_all", share.id, limit=TRIES_OF_ALL, window_s=HOUR_S)
    if not of_all:
        context["error"] = _("Trop de mots de passe ont été essayés : réessayez dans une heure.")
        return _page(request, "portal/drive_link_locked.html", context, HTTPStatus.TOO_MANY_REQUESTS)
    if not link_passwords.fits(share.password_hash, request.POST.get("password", "")):
        context["error"] = _(
            "Ce n’est pas le mot de passe de ce lien. Demandez-le à la personne qui vous a donné le lien."
        )
        return _page(request, "portal/drive_link_locked.html", context, HTTPStatus.FORBIDDEN)
    limits.give_back(tried, of_all)
    response = _to_page(request)
    _begin(response, request, share, collectivite_id)
    return response


@require_GET
def dropped(request: HttpRequest) -> HttpResponse:
    """Where the drive leads whoever handed a file in by the plain form."""
    template, facts, status = drive_dropped.answer(request.GET.get("recu", ""), request.GET.get("refus", ""))
    return _page(request, template, facts, status)


def _dropped(
    request: HttpRequest, collectivite_id: str, share: Share, context: dict[str, Any]
) -> HttpResponse:
    response = _page(
        request, "portal/drive_dropped.html", context | drive_dropped.facts(share), HTTPStatus.OK
    )
    at = f"{granted.DROP_PATH}/{share.id}/"
    _give(response, granted.DROP_COOKIE, granted.DROP_PATH, share, collectivite_id, at=at)
    return response


def _shown(
    request: HttpRequest, collectivite_id: str, database: Database, share: Share, context: dict[str, Any]
) -> HttpResponse:
    """Errors: LinkClosed."""
    with database.reading() as reading:
        shared = find_node(reading, share.node)
        file = _file(reading, share, request.GET.get("fichier", ""))
        inside = _inside(reading, share, request.GET.get("dossier", ""))
        if shared is None or inside is None:
            raise LinkClosed
        context |= {
            "node": shared,
            "size": words.size(shared.size_bytes),
            "ends": datetime.fromtimestamp(share.expires_s, UTC),
            "left": None if share.downloads_left == shares.NO_LIMIT else share.downloads_left,
            "bytes": f"{granted.LINK_PATH}/{share.id}/",
        }
        if file is not None:
            above = 0 if file.parent == share.node else file.parent
            context |= {"node": file, "size": words.size(file.size_bytes), "above": above}
            context |= drive_link_previews.shown(reading, share, file)
        elif not shared.is_folder:
            context |= drive_link_previews.shown(reading, share, shared)
        else:
            first, etag = (digits.number(request.GET.get(one, "")) or 0 for one in ("rang", "etat"))
            part = orders.part(reading, collectivite_id, inside, first=first, most=PAGE_ROWS, etag=etag)
            context |= _list(reading, share, inside, part, first)
    template = "portal/drive_link_file.html" if file is not None else "portal/drive_link.html"
    response = _page(request, template, context, HTTPStatus.OK)
    visit = _visit(request, share) or _begin(response, request, share, collectivite_id)
    at = f"{granted.LINK_PATH}/{share.id}/"
    _give(response, granted.LINK_COOKIE, granted.LINK_PATH, share, collectivite_id, at=at, visit=visit)
    return response


def _file(reading: Reading, share: Share, text: str) -> Node | None:
    """The file of a shared folder that the address names; None without one. Errors: LinkClosed."""
    if not text:
        return None
    number = digits.number(text)
    found = find_node(reading, number) if number is not None else None
    if (
        found is None
        or found.is_folder
        or found.id == share.node
        or not shares.covers(reading, share, found.id)
    ):
        raise LinkClosed
    return found


def _inside(reading: Reading, share: Share, text: str) -> Node | None:
    """The folder below the share that the address names; what was shared without one. None for anything else."""
    if not text:
        return find_node(reading, share.node)
    number = digits.number(text)
    found = find_node(reading, number) if number is not None else None
    if found is None or not found.is_folder or not shares.covers(reading, share, found.id):
        return None
    return found


def _list(reading: Reading, share: Share, folder: Node, part: Part, first: int) -> dict[str, Any]:
    after = first + PAGE_ROWS
    way = []
    for one in look.above(reading, folder.id):
        way.append(one)
        if one.id == share.node:
            break
    return {
        "folder": folder,
        "rows": [
            {
                "entry": one,
                "size": words.size(one.size_bytes),
                "changed": datetime.fromtimestamp(one.mtime_s, UTC),
                "icon": "folder" if one.is_folder else "file-text",
                "preview": not one.is_folder
                and bool(drive_link_previews.kind_of(share, one.name, one.size_bytes)),
            }
            for one in part.entries
        ],
        "total": part.total,
        "after": after if after < part.total else 0,
        "state": part.etag,
        "first": first,
        "way": [(one.name, one.id) for one in reversed(way)][:-1],
    }


def _begin(response: HttpResponse, request: HttpRequest, share: Share, collectivite_id: str) -> str:
    """A visit of this browser, which has given the password where there is one. Errors: Unavailable."""
    visit = secrets.token_urlsafe(9)
    _give(response, PAGE_COOKIE, PAGE_PATH, share, collectivite_id, at=request.path, visit=visit)
    return visit


def _visit(request: HttpRequest, share: Share) -> str:
    """The visit that this browser began a while ago; "" without one."""
    try:
        key = settings.BEFFROI.secret(GRANT_KEY)
        grant = read_grant(key, request.COOKIES.get(PAGE_COOKIE, ""), path=PAGE_PATH)
    except (SettingInvalid, GrantRefused):
        return ""
    return grant.session if grant.subject_id == share.id else ""


def _give(
    response: HttpResponse,
    name: str,
    path: str,
    share: Share,
    collectivite_id: str,
    *,
    at: str,
    visit: str = "",
) -> None:
    """A cookie that opens this share, at ``at`` alone. ``visit``: "" where each look is one. Errors: Unavailable."""
    try:
        key = settings.BEFFROI.secret(GRANT_KEY)
    except SettingInvalid:
        raise Unavailable("The drive") from None
    grant = make_grant(
        key,
        subject_id=share.id,
        collectivite_id=collectivite_id,
        paths=(path,),
        ttl_s=VISIT_S,
        session=visit,
    )
    give_cookie(response, name, grant, path=at, life_s=VISIT_S)


def _to_page(request: HttpRequest) -> HttpResponse:
    return _quiet(HttpResponseRedirect(request.path))


def _page(
    request: HttpRequest, template: str, context: Mapping[str, Any], status: HTTPStatus
) -> HttpResponse:
    """The same for everybody, also for who is signed in to the portal in this browser."""
    return _quiet(page(request, template, {"actor": None, **context}, status=status))


def _quiet(response: HttpResponse) -> HttpResponse:
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    return response
