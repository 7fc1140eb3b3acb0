"""What every page needs: who asks, the frame around it, errors in plain words, the grant for live updates.

Process: web and console.
Input:   hostile; a view receives the actor of the session, never one named in the request.
Fails:   closed: no actor, no page. Absent and forbidden look the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from django.views.i18n import set_language
from django_htmx.http import HttpResponseClientRedirect

from beffroi.core.communes.queries import access_collectivite
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.core.identity.sessions import VERSION_KEY
from beffroi.core.identity.shared_cache import StorageFull
from beffroi.core.planes.sessions import Session, mark_of
from beffroi.core.planes.tokens import make_grant
from beffroi.drive.store.names import in_order
from beffroi.lib.config import SettingInvalid
from beffroi.lib.errors import BeffroiError, Invalid, Unavailable
from beffroi.portal import marked, navigation
from beffroi.portal.error_words import words_of

log = logging.getLogger("beffroi.portal")
LIVE_COOKIE = "beffroi_live"
LIVE_PATH = "/live"
LIVE_TTL_S = 900
View = Callable[..., HttpResponse]
_NAME_FILES = ("portal/drive_", "portal/departure_files", "portal/home", "portal/incident", "portal/parts/")
"""Pages, and parts of pages, that show names of files and no text of others: there nothing turns the order of letters,
be it in a title, in a field or in what a screen reader says."""
WRITTEN = ("text", "note", "message", "signature", "emails", "guests", "mailboxes", "why", "reason")
"""Fields in which people write sentences or lists. Their page may have no form any more when they come back to it."""
_FULL = ("disk is full", "No space left")
"""What SQLite and PostgreSQL say then."""


# Pages of links send no origin with a form; another site would change words here, and nothing else.
language = csrf_exempt(set_language)


def page(
    request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """Render a page, or the part of it that htmx asked for, inside the frame of this listener."""
    actor: Actor | None = getattr(request, "actor", None)
    response = render(request, template, {**frame(request, actor), **(context or {})}, status=status)
    if template.startswith(_NAME_FILES):
        response.content = in_order(response.content.decode()).encode()
    response["Vary"] = "Cookie, HX-Request, Accept-Language"
    if actor is not None:
        give_live_grant(request, response, actor)
    return response


def as_file(content: bytes | str, content_type: str, name: str) -> HttpResponse:
    """A file to keep, and never to show. ``name``: of any signs."""
    disposition = content_disposition_header(True, name) or "attachment"
    return HttpResponse(content, content_type=content_type, headers={"Content-Disposition": disposition})


def sought(request: HttpRequest, most_chars: int) -> str:
    """What somebody searches for, as the field ``q`` of a list has it. PostgreSQL takes no NUL."""
    return request.GET.get("q", "").replace("\x00", "").strip()[:most_chars]


def typed(request: HttpRequest, name: str) -> str:
    """What somebody wrote in a field of several lines. Its ``maxlength`` counts the end of a line as one sign; a
    browser sends two."""
    return request.POST.get(name, "").replace("\r\n", "\n")


def pressed[T](request: HttpRequest, acts: Mapping[str, T]) -> T:
    """What a page's button stands for, by its ``word``. Errors: Invalid."""
    act = acts.get(request.POST.get("word", ""))
    if act is None:
        raise Invalid("word")
    return act


def asks_part(request: HttpRequest, name: str) -> bool:
    """Whether htmx asks for this part of a page alone."""
    return bool(request.htmx) and request.GET.get("part") == name  # type: ignore[attr-defined]


def frame(request: HttpRequest, actor: Actor | None) -> dict[str, Any]:
    """Names shown around the page."""
    at_console = actor is not None and actor.kind == "administrator"
    names: dict[str, Any] = {
        "actor": actor,
        "departement": settings.BEFFROI.departement_name,
        "around": "console/base.html" if at_console else "portal/web.html",
    }
    if actor is None:
        return names
    names["navigation"] = navigation.places(actor)
    if actor.kind == "administrator":
        names["who"] = identity.administrator(actor.id).name
        return names
    current = memberships_of(request, actor)
    names["who"] = current[0].person.name if current else ""
    names["collectivite"] = access_collectivite(actor, actor.collectivite_id or "")
    names["several"] = len(current) > 1
    return names


def memberships_of(request: HttpRequest, actor: Actor) -> list[Membership]:
    """Asked once a request."""
    found: list[Membership] | None = getattr(request, "current_memberships", None)
    if found is None:
        found = identity.current_memberships(actor.id)
        request.current_memberships = found  # type: ignore[attr-defined]
    return found


def session_of(request: HttpRequest) -> Session:
    """By which grants live: of the person or the administrator who is signed in."""
    user = request.user if hasattr(request, "user") else None
    if user is not None and user.is_authenticated:
        mark = mark_of(user.password, user.sessions_from)
    else:
        mark = str(request.session.get(VERSION_KEY, ""))
    return Session(str(request.session.session_key), mark)


def give_live_grant(request: HttpRequest, response: HttpResponse, actor: Actor) -> None:
    """Let this browser hear of changes, as long as its session stands; without the key there are no live updates."""
    try:
        key = settings.BEFFROI.secret("live.key")
    except SettingInvalid:
        return
    grant = make_grant(
        key,
        subject_id=actor.id,
        collectivite_id=actor.collectivite_id,
        paths=(LIVE_PATH,),
        ttl_s=LIVE_TTL_S,
        role=actor.role,
        session=session_of(request).sealed(key),
    )
    give_cookie(response, LIVE_COOKIE, grant, path=LIVE_PATH, life_s=LIVE_TTL_S)


@require_GET
def live_grant(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A new grant for a page that stayed open longer than its first one."""
    response = HttpResponse(status=204)
    give_live_grant(request, response, actor)
    return response


def give_cookie(response: HttpResponseBase, name: str, grant: str, *, path: str, life_s: int) -> None:
    """A grant that this browser shows at ``path`` alone, to no script, and never where another site led there."""
    response.set_cookie(
        name,
        grant,
        max_age=life_s,
        path=path,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )


def take_live_grant(response: HttpResponseBase) -> None:
    """Who sat at this computer is gone."""
    response.delete_cookie(LIVE_COOKIE, path=LIVE_PATH, samesite="Strict")


def for_agents(view: View) -> View:
    """``view(request, actor, ...)`` for a person who is signed in and carries a membership."""
    return _guarded(view, "person")


def for_administrators(view: View) -> View:
    """``view(request, actor, ...)`` for an administrator of the Département, on the console."""
    return _guarded(view, "administrator")


def _guarded(view: View, kind: str) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        actor: Actor | None = getattr(request, "actor", None)
        if actor is None or actor.kind != kind:
            return _sign_in_first(request)
        try:
            with marked.of(actor, lambda: len(memberships_of(request, actor)) > 1):
                return view(request, actor, *args, **marked.plain(actor, kwargs))
        except BeffroiError as error:
            return error_page(request, error)

    return guarded


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return page(request, "portal/no_membership.html", status=HTTPStatus.FORBIDDEN)
    if not settings.LOGIN_URL:
        raise ImproperlyConfigured("LOGIN_URL")
    target = settings.LOGIN_URL
    if (wanted := _page_wanted(request)) not in ("", "/"):
        target += "?" + urlencode({"next": wanted})
    if request.method == "POST" and request.accepts("text/html"):
        # Whoever filled in a form must not believe that it arrived. A script says it itself, or sends the form then.
        lost = _("Votre session était terminée : rien n’a été enregistré. Connectez-vous, puis recommencez.")
        if kept := _written_here(request):
            context = {"written": kept, "target": target}
            return page(request, "portal/signed_out.html", context, status=HTTPStatus.FORBIDDEN)
        messages.error(request, lost)
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(target)
    return HttpResponseRedirect(target)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without its token, or with an old one. What stands in it is shown to whom it is from."""
    return render(request, "403_csrf.html", {"written": _written_here(request)}, status=HTTPStatus.FORBIDDEN)


def _written(request: HttpRequest) -> list[str]:
    """Of a POST alone."""
    return [one for name in WRITTEN if (one := typed(request, name).strip())]


def _written_here(request: HttpRequest) -> list[str]:
    """From a page of ours: nobody else's words stand on one, which another site could send in a form."""
    origin = urlsplit(request.headers.get("Origin", "")).netloc
    is_own = origin == request.get_host() or request.headers.get("Sec-Fetch-Site") == "same-origin"
    return _written(request) if is_own and not getattr(request, "htmx", False) else []


def _page_wanted(request: HttpRequest) -> str:
    """The address of the page that is asked for, or on which a form or a part stands; "" where nothing says it."""
    if request.method == "GET" and not getattr(request, "htmx", False):
        return request.get_full_path()
    stands = urlsplit(request.headers.get("Referer", ""))
    return (
        stands._replace(scheme="", netloc="", fragment="").geturl()
        if stands.netloc == request.get_host()
        else ""
    )


def error_page(request: HttpRequest, error: BeffroiError) -> HttpResponse:
    """One page for every error: what happened, what to do. Never what the error says inside."""
    if error.http_status >= 500:
        log.warning("%s %s", error.code, type(error.__cause__ or error).__name__)
    title, advice = words_of(error, getattr(request, "actor", None))
    context = {
        "title": title,
        "advice": advice,
        "code": error.code,
        "home": reverse("home"),
        "written": _written(request),
        "again": request.get_full_path()
        if request.method == "GET" and isinstance(error, Unavailable) and error.retryable
        else "",
    }
    return page(request, "portal/error.html", context, status=error.http_status)


class ErrorPages:
    """Middleware: what a view of django-allauth, or one before the sign-in, could not do is said as on every other
    page; a disk that is full above all. Nor does a browser keep what any view answers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed) and "text/html" in request.headers.get("Accept", ""):
            response = _opened_by_itself(request, response["Allow"])
        response.headers.setdefault("Cache-Control", "no-store, private")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, ReauthenticationRequired):
            # Allauth keeps what was sent in the session, for the next confirmation whatever it is of: not what was
            # given up, and nothing of who is not signed in.
            request.session.pop(STATE_SESSION_KEY, None)
            return None if getattr(request, "actor", None) else _sign_in_first(request)
        if isinstance(error, OperationalError) and any(word in str(error) for word in _FULL):
            error = StorageFull("database")
        elif isinstance(error, DataError) and "NUL" in str(error):
            # PostgreSQL takes none: no program of ours sends it.
            error = Invalid("NUL")
        return error_page(request, error) if isinstance(error, BeffroiError) else None


def _opened_by_itself(request: HttpRequest, allowed: str) -> HttpResponse:
    """A browser that finds the address of a form again, in its history or once closed, asks without the form."""
    title = _("Cette page ne s’ouvre pas toute seule")
    advice = _("Rien n’a été fait. Elle suit un formulaire : revenez là où il était, et recommencez.")
    context = {"title": title, "advice": advice, "home": reverse("home")}
    answer = page(request, "portal/error.html", context, status=HTTPStatus.METHOD_NOT_ALLOWED)
    answer["Allow"] = allowed
    return answer
