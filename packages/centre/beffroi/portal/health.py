"""Is this process alive? And the pages for what no view answers."""

from __future__ import annotations

from http import HTTPStatus

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from beffroi.portal.pages import page


def healthz(request: HttpRequest) -> HttpResponse:
    """For the supervisor and the front: no session, no database."""
    return HttpResponse("ok\n", content_type="text/plain")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    advice = _("L’adresse est peut-être incomplète, ou la page a été déplacée.")
    return _error(request, _("Cette page n’existe pas"), advice, HTTPStatus.NOT_FOUND)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    title = _("Cette demande ne peut pas être traitée")
    advice = _("Revenez à l’accueil et recommencez.")
    if isinstance(exception, TooManyFieldsSent):
        advice = _("Trop de cases sont cochées : revenez en arrière et cochez-en 200 au plus à la fois.")
    elif isinstance(exception, TooManyFilesSent):
        advice = _("Trop de fichiers sont choisis : revenez en arrière et envoyez-en 100 au plus à la fois.")
    elif isinstance(exception, RequestDataTooBig):
        advice = _(
            "Le texte est trop long : revenez en arrière et raccourcissez-le, ou joignez-le comme fichier."
        )
    return _error(request, title, advice, HTTPStatus.BAD_REQUEST)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    title = _("Cette action n’est pas permise ici")
    advice = _("Revenez à l’accueil. Si vous pensez y avoir droit, demandez à votre personne référente.")
    return _error(request, title, advice, HTTPStatus.FORBIDDEN)


def broken(request: HttpRequest) -> HttpResponse:
    """Needs nothing that may be what broke: no tag, no catalogue, no database."""
    return render(request, "portal/500.html", status=HTTPStatus.INTERNAL_SERVER_ERROR)


def _error(request: HttpRequest, title: str, advice: str, status: HTTPStatus) -> HttpResponse:
    return page(request, "portal/error.html", {"title": title, "advice": advice, "home": "/"}, status=status)
