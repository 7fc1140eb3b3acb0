"""Adresses d'envoi: by which of our addresses mail leaves, the warm-up of a new one, and who is doubted. A part of the
page of outgoing mail."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import queries as mail
from beffroi.mail.engines.pools import Pool
from beffroi.mail.gate.exits import UNLIMITED
from beffroi.mail.sending import pool_actions, pool_queries, reputation, warming
from beffroi.mail.sending.models import AddressName, Doubted
from beffroi.mail.sending.pool_queries import Way
from beffroi.portal.pages import for_administrators, pressed

_POOLS = {
    Pool.ORDINARY: (
        gettext_lazy("Courrier ordinaire"),
        gettext_lazy("Le courrier de tous les jours en part."),
    ),
    Pool.WARMING: (gettext_lazy("Nouvelle adresse"), ""),
    Pool.DOUBTFUL: (
        gettext_lazy("Envois douteux"),
        gettext_lazy(
            "Ce qu’écrivent les comptes douteux en part, lentement. La réputation des autres adresses n’en souffre pas."
        ),
    ),
}
_NAMES = {
    reputation.NAMED: ("domain_ok", gettext_lazy("son nom mène à elle et inversement, et le SPF la nomme")),
    reputation.NO_PTR: (
        "domain_bad",
        gettext_lazy("elle n’a pas de nom inverse (PTR) : demandez-le à votre hébergeur"),
    ),
    reputation.OTHER_PTR: (
        "domain_bad",
        gettext_lazy("son nom inverse (PTR) n’est pas celui-ci : faites-le changer par votre hébergeur"),
    ),
    reputation.NO_ADDRESS: (
        "domain_bad",
        gettext_lazy("ce nom ne mène pas à elle : ajoutez-la dans la zone de ce nom (A ou AAAA)"),
    ),
    reputation.NO_SPF: (
        "domain_bad",
        gettext_lazy(
            "le SPF des communes ne la nomme pas : ajoutez-la à l’enregistrement que mail_spf inclut"
        ),
    ),
    reputation.UNANSWERED: ("domain_unknown", gettext_lazy("le DNS ne répond pas")),
}
_REASONS = {
    "contained": gettext_lazy("compte suspendu il y a moins de sept jours"),
    "limit": gettext_lazy("au-delà d’une limite d’envoi"),
    "complaints": gettext_lazy("plaintes de destinataires"),
    "new": gettext_lazy("boîte récente qui écrit beaucoup"),
    "refused": gettext_lazy("beaucoup d’adresses refusées par d’autres serveurs"),
}


def context(actor: Actor) -> dict[str, Any]:
    """What the page shows of them. Errors: NotFound (not the Département)."""
    ways = pool_queries.ways(actor, settings.BEFFROI)
    return {
        "exits": [_way(one) for one in ways],
        "one_exit": len(ways) == 1,
        "doubts": any(one.exit.pool is Pool.DOUBTFUL for one in ways),
        "doubted": [_doubted(actor, one) for one in pool_queries.doubted(actor)],
        "spared_days": pool_actions.SPARED_DAYS,
    }


@require_http_methods(["POST"])
@for_administrators
def warm(request: HttpRequest, actor: Actor, exit_name: str) -> HttpResponse:
    """Pause a warm-up, or go on with it. Errors: NotFound, Invalid."""
    row = pool_queries.access_warming(actor, exit_name)
    act = pressed(request, {"pause": pool_actions.pause, "resume": pool_actions.resume})
    act(actor=actor, row=row)
    return HttpResponseRedirect(f"{reverse('outgoing')}#h-exits")


@require_http_methods(["POST"])
@for_administrators
def doubted(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    """Let a mailbox leave by the usual addresses, or count again. Errors: NotFound, Invalid, Conflict."""
    row = pool_queries.access_doubted(actor, mailbox_id)
    act = pressed(request, {"spare": pool_actions.spare, "spare_no_more": pool_actions.spare_no_more})
    act(actor=actor, row=row)
    return HttpResponseRedirect(f"{reverse('outgoing')}#h-doubted")


def _way(one: Way) -> dict[str, Any]:
    label, said = _POOLS[one.exit.pool]
    row = one.warming
    return {
        "way": one,
        "helo": one.exit.helo or settings.BEFFROI.mail_name,
        "label": label,
        "said": said or _warming(one),
        "paused": row is not None and row.paused_at is not None,
        "refused": row is not None and row.paused_at is not None and not row.paused_by,
        "goes": row is not None and row.paused_at is None and one.share != UNLIMITED,
        "plan": [
            (number + 1, share, row is not None and number == row.step)
            for number, share in enumerate(warming.TABLE)
        ],
        "answered": [
            (name or _("autres serveurs"), answered.sent, answered.refused)
            for name, answered in sorted(one.answered.items(), key=lambda each: each[0] or "~")
        ],
        "names": [_name(each) for each in one.names],
    }


def _warming(one: Way) -> str:
    row = one.warming
    if row is None:
        return _("La montée commence dans les cinq minutes.")
    if row.paused_at is not None and not row.paused_by:
        who = row.provider or _("plusieurs serveurs")
        return _(
            "En pause : %(who)s refuse trop de courriels qui en partent. Rien n’en part plus, tout part des adresses"
            " habituelles. Regardez son nom et les listes plus bas, et les raisons dans le journal de postfix ; puis"
            " reprenez : la montée repart de la moitié."
        ) % {"who": who}
    if row.paused_at is not None:
        return _("En pause, à la demande d’une personne : rien n’en part.")
    if one.share == UNLIMITED:
        return _("La montée est terminée : cette adresse prend sa part du courrier ordinaire.")
    return _(
        "Jour %(day)s sur %(days)s : au plus %(share)s destinataires aujourd’hui chez chaque grand fournisseur, et"
        " autant chez tous les autres ensemble. Le reste part des adresses habituelles. Un jour sans envoi ne compte"
        " pas."
    ) % {"day": row.step + 1, "days": len(warming.TABLE), "share": one.share}


def _name(one: AddressName) -> dict[str, Any]:
    tag, said = _NAMES[one.state]
    return {"row": one, "tag": tag, "said": said}


def _doubted(actor: Actor, one: Doubted) -> dict[str, Any]:
    mailbox = mail.visible_mailboxes(actor).filter(pk=one.mailbox_id).first()
    return {
        "row": one,
        "address": mailbox.address if mailbox else "",
        "commune": communes.access_collectivite(actor, one.collectivite_id).name,
        "said": ", ".join(str(_REASONS[reason]) for reason in one.reasons.split()),
        "spared": one.ended_at is not None
        and one.spared_until is not None
        and one.spared_until > clock.now(),
    }
