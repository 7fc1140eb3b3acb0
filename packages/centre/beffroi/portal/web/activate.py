"""The first visit: address and code of the printed sheet, and the password that the person chooses.

Input:  hostile; nobody is signed in. An address that the feed refuses does not reach the code at all.
Fails:  closed; a wrong address, a wrong code and too many tries give one answer.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from beffroi.core.identity import activation
from beffroi.core.identity.activation import ActivationOver, ActivationRefused
from beffroi.core.identity.sign_ins import client_address
from beffroi.portal.pages import page
from beffroi.portal.web.signin import refuse_blocked

TEMPLATE = "portal/activate.html"
OVER = {
    "used": gettext_lazy(
        "Cette feuille a déjà servi. Connectez-vous avec le mot de passe choisi ce jour-là. Ce n’était pas vous ?"
        " Prévenez tout de suite votre personne référente et le Département."
    ),
    "replaced": gettext_lazy("Une feuille plus récente a remplacé celle-ci : prenez la dernière reçue."),
    "expired": gettext_lazy(
        "Cette feuille n’est plus valable : elle l’est sept jours. Demandez-en une nouvelle à votre personne référente."
    ),
    "closed": gettext_lazy(
        "Ce compte ne s’ouvre pas avec une feuille. Demandez à votre personne référente ou au Département."
    ),
}


@sensitive_post_parameters("code", "new", "again")
@require_http_methods(["GET", "POST"])
def activate(request: HttpRequest) -> HttpResponse:
    """Show the form; POST opens the account and signs its person in. Nothing is used up by a look or a bad password."""
    email = request.POST.get("email", "").replace("\x00", "").strip()[:254]
    refused = refuse_blocked(request, email=email, person_unknown=request.method != "POST")
    if refused is not None:
        return refused
    if request.user.is_authenticated:
        # A shared machine: else the sheet of one person would end, or open in, the session of another.
        return page(request, TEMPLATE, {"inside": True})
    code = request.POST.get("code", "").strip()[:64]
    form: dict[str, Any] = {"email": email, "code": code}
    if request.method == "GET":
        return page(request, TEMPLATE, form)
    try:
        record = activation.check(email=email, code=code, address=client_address(request))
        new = request.POST.get("new", "")
        if new != request.POST.get("again", ""):
            raise ValidationError(_("Les deux saisies ne sont pas les mêmes."))
        person = activation.open_account(record, password=new)
    except ActivationRefused as error:
        said = _(
            "L’adresse et le code ne vont pas ensemble, la feuille a plus de sept jours, ou il y a eu trop d’essais."
            " Recopiez-les de la feuille ; après cinq essais, attendez un quart d’heure. Sinon, demandez une nouvelle"
            " feuille à votre personne référente."
        )
        return page(request, TEMPLATE, {**form, "refused": said}, status=error.http_status)
    except ActivationOver as error:
        return page(request, TEMPLATE, {**form, "refused": OVER[error.why]}, status=error.http_status)
    except ValidationError as wrong:
        context = {**form, "error": " ".join(wrong.messages)}
        return page(request, TEMPLATE, context, status=HTTPStatus.BAD_REQUEST)
    answer: HttpResponse = perform_password_login(
        request, {"email": person.email}, Login(user=person, email=person.email, redirect_url=reverse("home"))
    )
    messages.success(
        request, _("Bienvenue. Votre compte est ouvert ; la feuille ne sert plus à rien, détruisez-la.")
    )
    return answer
