"""Nom et codes of one collectivité: what changes when communes merge, or one takes another name.

Access: administrators. Nothing that it has is touched, so no second word is asked for: the same form takes it back.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from beffroi.core.audit import queries as audit
from beffroi.core.communes import actions, queries
from beffroi.core.communes.actions import CodeInUse, CollectiviteLeft, InseeInvalid, NameInvalid, SirenInvalid
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid
from beffroi.portal.pages import for_administrators, page

FORMER = 10
_CODES = ("insee", "siren")
_ERRORS: dict[type[Invalid], tuple[str, Any]] = {
    NameInvalid: ("name", gettext_lazy("Écrivez le nom, en 200 caractères au plus.")),
    InseeInvalid: ("insee", gettext_lazy("Un code INSEE de commune a cinq signes, par exemple 21054.")),
    SirenInvalid: (
        "siren",
        gettext_lazy(
            "Un SIREN a neuf chiffres, et le dernier vérifie les autres : celui-ci n’est pas juste."
        ),
    ),
}


@require_http_methods(["GET", "POST"])
@for_administrators
def name(request: HttpRequest, actor: Actor, collectivite_id: str) -> HttpResponse:
    """Show; POST ``name``, ``insee``, ``siren``. Errors: NotFound."""
    collectivite = queries.access_collectivite(actor, collectivite_id)
    typed = {"name": collectivite.name, **{one: queries.current_code(collectivite.id, one) for one in _CODES}}
    errors: dict[str, str] = {}
    if request.method == "POST":
        typed = {one: request.POST.get(one, "")[:500] for one in typed}
        errors = _rename(request, actor, collectivite, typed)
        if not errors:
            return HttpResponseRedirect(reverse("commune_name", args=[collectivite.id]))
    context = {
        "place": "communes",
        "collectivite": collectivite,
        "typed": typed,
        "errors": errors,
        "former": _former(actor, collectivite.id),
    }
    status = HTTPStatus.BAD_REQUEST if errors else HTTPStatus.OK
    return page(request, "console/commune_name.html", context, status=status)


def _rename(
    request: HttpRequest, actor: Actor, collectivite: Collectivite, typed: dict[str, str]
) -> dict[str, str]:
    try:
        if actions.rename(actor=actor, collectivite=collectivite, **typed):
            messages.success(request, _("C’est enregistré : le nouveau nom est déjà partout."))
        else:
            messages.info(request, _("Rien à changer : c’est déjà ce qui est inscrit."))
    except Invalid as error:
        where, said = _ERRORS[type(error)]
        return {where: str(said)}
    except CodeInUse:
        said = _(
            "Une autre collectivité inscrite a ce code. Si elle a fusionné, changez ou videz d’abord le sien."
        )
        return {"codes": said}
    except CollectiviteLeft:
        return {"codes": _("Cette collectivité est partie : son nom reste celui de son attestation.")}
    return {}


def _former(actor: Actor, collectivite_id: str) -> list[dict[str, Any]]:
    """What it was called before, the latest change first."""
    entries = audit.visible_entries(actor).filter(verb=queries.RENAMED, object_id=collectivite_id)[:FORMER]
    return [{"at": one.at, **json.loads(one.details)} for one in entries]
