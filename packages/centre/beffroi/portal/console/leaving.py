"""Départ d'une collectivité: its day, the erasure of all of it, and the certificate.

Access: administrators. What lets nothing come back is done with a present code; an erasure needs two persons.
"""

from __future__ import annotations

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.drive.erasures import SealsRunning
from beffroi.leaving import actions, applying, continuing, erasures, queries
from beffroi.leaving.continuing import MailboxesThere, ReceiverInvalid
from beffroi.leaving.erasures import NotExported
from beffroi.leaving.models import Leaving
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.portal import commune_erasure_file, leaving_words
from beffroi.portal.console.incidents import step_up
from beffroi.portal.leaving_form import asked_from, known, planned_from, said, unsaid, who
from beffroi.portal.pages import as_file, asks_part, for_administrators, page

_WITH_CODE = ("plan", "give_back", "continue", "ask", "grant")
_TYPED = ("day", "reason", "name", "visa", "why", "receiver", "act")


@require_http_methods(["GET", "POST"])
@for_administrators
def leaving(request: HttpRequest, actor: Actor, collectivite_id: str) -> HttpResponse:
    """Show; POST ``word``: plan, take_back, give_back, continue, discontinue, ask, grant, refuse, call_back, file.

    Errors: NotFound, SamePerson, CommuneHeld, Conflict.
    """
    collectivite = communes.access_collectivite(actor, collectivite_id)
    if collectivite.kind == Collectivite.Kind.DEPARTEMENT:
        raise NotFound("page")
    errors: dict[str, str] = {}
    if request.method == "POST":
        if request.POST.get("word") == "file":
            found = queries.access_erasure(actor, collectivite.id)
            name = f"attestation-{collectivite.id[-6:]}.zip"
            return as_file(commune_erasure_file.make(actor, found), "application/zip", name)
        errors = _act(request, actor, collectivite)
        if not errors:
            return HttpResponseRedirect(reverse("commune_leaving", args=[collectivite.id]))
    row, erasure = queries.leaving_of(actor, collectivite.id), queries.erasure_of(actor, collectivite.id)
    done = erasure is not None and erasure.state == erasure.State.DONE
    context = known(collectivite.id) | {
        "place": "communes",
        "collectivite": collectivite,
        "errors": errors,
        "typed": {name: request.POST.get(name, "")[:500] for name in _TYPED},
        "leaving": leaving_words.leaving(row) if row else None,
        "said_by": who(row.said_by) if row else "",
        "continued": leaving_words.continued(row) if row else None,
        "continued_by": leaving_words.continued_by(row) if row else "",
        "erasure": leaving_words.erasure(erasure) if erasure else None,
        "mine": erasure is not None and erasure.asked_by == actor.id,
        "file": commune_erasure_file.content(actor, erasure) if erasure and done else None,
        "left_on": row.leaves_on if row else None,
        "remains": leaving_words.REMAINS,
    }
    if asks_part(request, "erasure") and erasure and not done:
        return page(request, "portal/parts/commune_erasure_state.html", context)
    status = HTTPStatus.FORBIDDEN if "code" in errors else HTTPStatus.BAD_REQUEST if errors else HTTPStatus.OK
    response = page(request, "console/commune_leaving.html", context, status=status)
    if asks_part(request, "erasure"):  # it is done: the page is another one
        response["HX-Refresh"] = "true"
    return response


def _act(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> dict[str, str]:
    """What is wrong, by field; nothing when it was done."""
    word = request.POST.get("word", "")
    if word == "ask" and request.POST.get("name", "").strip() != collectivite.name:
        return {"name": _("Écrivez le nom de la collectivité tel qu’il est affiché."), "word": word}
    if word in _WITH_CODE and (error := step_up(request, actor)):
        return {"code": error, "word": word}
    if word == "plan":
        return planned_from(request, actor, collectivite)
    if word == "take_back":
        actions.take_back(actor=actor, leaving=queries.access_leaving(actor, collectivite.id))
        messages.success(request, _("Le départ n’est plus prévu : la collectivité reste."))
    elif word in ("give_back", "continue", "discontinue"):
        return _carried(request, actor, queries.access_leaving(actor, collectivite.id), word)
    elif word == "ask":
        return asked_from(request, actor, collectivite)
    elif word == "call_back":
        erasures.call_back(actor=actor, erasure=queries.access_erasure(actor, collectivite.id))
        messages.success(request, _("L’effacement est abandonné : rien n’a été effacé."))
    elif word in ("grant", "refuse"):
        return _answer(request, actor, collectivite, word)
    else:
        raise Conflict("nothing that is done here")
    return {}


def _carried(request: HttpRequest, actor: Actor, leaving: Leaving, word: str) -> dict[str, str]:
    """What moves its domains, or may."""
    try:
        if word == "give_back":
            applying.give_back(actor=actor, leaving=leaving)
            done = _("La collectivité est de retour : comptes, boîtes et alias se rouvrent.")
        elif word == "discontinue":
            continuing.end(actor=actor, leaving=leaving)
            done = _("Plus aucune collectivité ne reçoit son courrier.")
        else:
            receiver, act = request.POST.get("receiver", ""), request.POST.get("act", "")
            continuing.begin(actor=actor, leaving=leaving, address=receiver, reason=act)
            done = _("C’est enregistré.")
    except MailboxesThere as error:
        said = _("Des boîtes ont été créées sous ce domaine : %(boxes)s. Fermez-les d’abord.")
        return {"passed": said % {"boxes": error.args[0]}}
    except ReceiverInvalid:
        return {
            "receiver": _("Écrivez l’adresse d’une boîte de service d’une autre collectivité."),
            "word": word,
        }
    except Invalid:
        return {"act": _("Dites quel acte, de quel jour."), "word": word}
    messages.success(request, done)
    return {}


def _answer(request: HttpRequest, actor: Actor, collectivite: Collectivite, word: str) -> dict[str, str]:
    erasure = queries.access_erasure(actor, collectivite.id)
    try:
        if word == "refuse":
            erasures.refuse(actor=actor, erasure=erasure, reason=request.POST.get("why", ""))
        else:
            visa = request.POST.get("visa", "")
            erasures.grant(actor=actor, erasure=erasure, visa=visa, **said(request))
    except (NotExported, SealsRunning) as error:
        return unsaid(error) | {"word": word}
    except Invalid:
        if word == "refuse":
            return {"why": _("Dites en une phrase pourquoi : la commune la lira.")}
        return {
            "visa": _("Écrivez la référence du visa, telle qu’elle figure sur le bordereau des Archives."),
            "word": word,
        }
    return {}
