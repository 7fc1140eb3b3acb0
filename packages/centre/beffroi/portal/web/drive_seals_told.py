"""For the home: seals that a verification found damaged, until somebody has dealt with it; eliminations that wait for
this person's word.

Access: ``seals.actions``: damages are the référent's, an elimination is answered by another référent or an élu.
Fails:  the Coffre away: nothing is told here, its own pages say so.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from beffroi.core.identity.actor import Actor
from beffroi.drive.seals import actions
from beffroi.drive.store import seal_alarms
from beffroi.lib.errors import BeffroiError
from beffroi.portal.counts import Count
from beffroi.portal.drive_access import has_drive, view_of


def told(request: HttpRequest, actor: Actor) -> list[dict[str, str]]:
    try:
        if not has_drive(actor.collectivite_id):
            return []
        return [*_damaged(request, actor), *_asked(actor)]
    except BeffroiError:
        return []


def _damaged(request: HttpRequest, actor: Actor) -> list[dict[str, str]]:
    if not actions.may_act(actor):
        return []
    with view_of(request, actor).database.reading() as reading:
        count = len(seal_alarms.open_(reading))
    if not count:
        return []
    title = ngettext("%(n)s dossier scellé est abîmé", "%(n)s dossiers scellés sont abîmés", count) % {
        "n": Count(count)
    }
    why = _(
        "Sa vérification a trouvé des fichiers qui ne sont plus ce qui a été scellé. Prévenez le Département."
    )
    return [{"title": title, "why": why, "url": "drive_seals", "button": _("Voir")}]


def _asked(actor: Actor) -> list[dict[str, str]]:
    waiting = actions.waiting(actor) if actor.role in actions.ANSWERS else ()
    count = sum(actions.may_grant(actor, one) for one in waiting)
    if not count:
        return []
    title = ngettext(
        "%(n)s élimination de dossier scellé attend votre réponse",
        "%(n)s éliminations de dossiers scellés attendent votre réponse",
        count,
    ) % {"n": Count(count)}
    why = _("Les Archives ont donné leur visa. Rien n’est détruit sans votre accord.")
    return [{"title": title, "why": why, "url": "drive_seals", "button": _("Voir")}]
