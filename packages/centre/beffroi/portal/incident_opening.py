"""A dossier that a person opens: what the form of the portal and of the console says, and what is wrong with it.

Input:  hostile: every field. What was written stands in the form again where one of them cannot be used.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy

from beffroi.core.identity.actor import Actor
from beffroi.incidents import actions
from beffroi.incidents.models import Incident
from beffroi.lib import clock
from beffroi.lib.errors import Invalid
from beffroi.portal import incident_words as words
from beffroi.portal.pages import typed

_WRONG = {
    "kind": gettext_lazy("Choisissez ce qui s’est passé."),
    "text": gettext_lazy("Écrivez ce que vous avez vu ou fait, en 2 000 signes au plus."),
    "many": gettext_lazy(
        "Vous avez déjà ouvert vingt dossiers en un jour : ajoutez ceci à l’un d’eux, ou appelez le Département."
    ),
    "known_at": gettext_lazy(
        "Donnez un moment passé, de moins d’un an ; laissez vide si vous venez de l’apprendre."
    ),
}


def blank() -> dict[str, Any]:
    """What the form shows at first."""
    return {"kinds": words.BY_HAND.items(), "chosen": "suspect_machine", "latest": clock.now()}


def take(request: HttpRequest, actor: Actor, collectivite_id: str) -> tuple[Incident | None, dict[str, Any]]:
    """The dossier; or None, and what the form shows then. Errors: NotFound."""
    kind, note = request.POST.get("kind", ""), typed(request, "note")
    known = request.POST.get("known_at", "")[:40]
    try:
        made = actions.open_by_hand(
            actor=actor,
            collectivite_id=collectivite_id,
            kind=kind,
            text=note,
            known_at=_moment(known) if known else None,
        )
    except Invalid as error:
        at = "text" if error.what == "many" else error.what
        failed = {"failed": at, "error": _WRONG[error.what]}
        form = {"chosen": kind, "note": note, "known": known, **failed}
        return None, blank() | form
    return made, {}


def wrong_note(request: HttpRequest, error: Invalid) -> dict[str, Any]:
    """What the form of a note in a dossier shows, where ``error`` is about it. Errors: Invalid, where it is not."""
    if error.what != "text":
        raise error
    return {"note": typed(request, "note"), "note_error": _WRONG["text"]}


def _moment(text: str) -> datetime:
    """What a field of the type "datetime-local" sends, by the clock on the wall. Errors: Invalid."""
    try:
        return timezone.make_aware(datetime.fromisoformat(text).replace(tzinfo=None))
    except ValueError:
        raise Invalid("known_at") from None
