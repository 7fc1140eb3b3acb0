"""The commune's home: what should I do, and what was stopped for us. Every number comes from a query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from beffroi.boxes import fleet
from beffroi.boxes import queries as boxes
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.incidents import queries as incidents
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.mail import access, reader
from beffroi.mail import queries as mail
from beffroi.portal import chart, elsewhere, explaining, incident_view, weather_words, words
from beffroi.portal.counts import Count
from beffroi.portal.pages import asks_part, for_agents, memberships_of, page
from beffroi.portal.places import own_boxes
from beffroi.portal.web import (
    access_review,
    commune_export,
    commune_leaving,
    delegations,
    drive_erasure,
    drive_seals_told,
    drive_shares,
    held,
    mail_sending,
    persons,
    weather,
)
from beffroi.portal.web.banners import banners, told

RECENT = 6
OPEN_SHOWN = 5
CHART_DAYS = 14
FIGURE_DAYS = 30


@require_GET
@for_agents
def home(request: HttpRequest, actor: Actor) -> HttpResponse:
    if asks_part(request, "weather"):
        now = {"place": "home", **_now(actor, [*drive_erasure.told(actor), *todo_of(request, actor)])}
        return page(request, "portal/parts/home_weather.html", now)
    if asks_part(request, "incidents"):
        return page(request, "portal/parts/home_incidents.html", {"incidents": open_incidents(actor)})
    context = {"place": "home", "protection": protection(actor), "boxes": own_boxes(actor)}
    if asks_part(request, "protection"):
        return page(request, "portal/parts/protection.html", context)
    erasure, todo, boxes = drive_erasure.told(actor), todo_of(request, actor), list(mail.own_mailboxes(actor))
    lent, letters, here = delegations.lent(actor), latest_letters(actor), actor.collectivite_id
    unread = elsewhere.unread(boxes[1:]) if letters is not None else {}
    unread = {mailbox_id: n for mailbox_id, n in unread.items() if n}
    others = [one for one in memberships_of(request, actor) if one.collectivite_id != here]
    return page(
        request,
        "portal/home.html",
        {
            **context,
            "first_name": _first_name(request),
            "erasure": erasure,
            "incidents": open_incidents(actor),
            "todo": todo,
            **_now(actor, [*erasure, *todo]),
            "letters": letters,
            "other_boxes": [
                (one, unread.get(one.id), lent.get(one.id))
                for one in (access.openable(actor) if unread or lent else ())
                if one.id in unread or one.id in lent
            ],
            "elsewhere": elsewhere.waiting(others, counts_mail=letters is not None),
            "writes_from": boxes[0] if boxes else None,
            "banners": banners(boxes),
            "devices": identity.new_app_passwords(actor),
        },
    )


def todo_of(request: HttpRequest, actor: Actor) -> list[dict[str, str]]:
    """What waits for this person, beside the incidents."""
    return [
        *mail_sending.told(actor),
        *commune_leaving.told(request, actor),
        *commune_export.told(actor),
        *(*held.todo(actor), *persons.told(actor), *delegations.told(actor), *told(actor)),
        *(*drive_seals_told.told(request, actor), *drive_shares.told(request, actor)),
        *(*closing(actor), *actions_of(request), *access_review.told(actor)),
    ]


def _now(actor: Actor, todo: Sequence[object]) -> dict[str, Any]:
    """How many things wait, those of the weather among them, and the weather; where something waits, it does not say
    that there is nothing to do, nor a number of its own."""
    now = weather.now(actor)
    waiting = len(todo) + now["weather"].actions
    if waiting:
        now["sentence"] = "" if now["weather"].reasons else _("Aucune alerte en cours.")
    return {"now": now, "lead": lead(waiting, decisions.active_decisions(actor).count())}


def open_incidents(actor: Actor) -> list[incident_view.Summary]:
    return incident_view.summaries(actor, incidents.open_incidents(actor)[:OPEN_SHOWN])


def protection(actor: Actor) -> dict[str, Any]:
    """What the feed holds for this commune now, and what it did here."""
    visible = decisions.visible_decisions(actor)
    recent = [
        {
            "decision": one,
            "title": explaining.title_of(one),
            "why": words.grounds(one.rule, one.evidence),
        }
        for one in visible[:RECENT]
    ]
    days = chart.per_day(
        visible.exclude(activated_at=None).values_list("activated_at", flat=True)[:5000], days=CHART_DAYS
    )
    return {
        "active": decisions.active_decisions(actor).count(),
        "figures": stopped(actor),
        "figure_days": FIGURE_DAYS,
        "recent": recent,
        "days": days,
        "chart": chart.bars(days),
    }


def stopped(actor: Actor) -> list[tuple[str, int]]:
    """(words, number) of what was stopped in the last days, each for itself; what boîtiers count only where one is."""
    since = clock.now().date() - timedelta(days=FIGURE_DAYS - 1)
    total = Counter[str]()
    for refused in boxes.refused_by_day(actor, since=since).values():
        total.update(flows_in=refused.flows_in, flows_out=refused.flows_out, names=refused.names)
    for mails in mail.stopped_by_day(actor, since=since).values():
        total.update(
            mails_refused=mails.refused, mails_set_aside=mails.set_aside, mails_withdrawn=mails.withdrawn
        )
    return weather_words.figures(total, box=boxes.visible_boxes(actor).exists())


def closing(actor: Actor) -> list[dict[str, str]]:
    """The référent hears three days before that what nobody answered will be refused."""
    until = fleet.ending_with_proposals(actor).get(actor.collectivite_id or "")
    if actor.role != "referent" or until is None or until <= clock.now():
        return []
    return [
        {
            "title": _("Bientôt, votre boîtier refusera ce qui n’est pas ouvert"),
            "why": _("Des connexions venues d’internet attendent une réponse. Sans elle, elles seront refusées : "
                     "%(when)s. Si un prestataire se connecte chez vous, appelez le Département.")
                   % {"when": words.when(until)},
            "url": "own_boxes",
            "button": _("Voir le boîtier"),
        }
    ]  # fmt: skip


def actions_of(request: HttpRequest) -> list[dict[str, str]]:
    """What this person should do, most urgent first."""
    todo = []
    if getattr(request.user, "password_given_at", None):
        todo.append(
            {
                "title": _("Choisissez votre propre mot de passe"),
                "why": _("Le Département vous en a donné un : il ne doit pas durer."),
                "url": "password",
                "button": _("Changer mon mot de passe"),
            }
        )
    if not is_mfa_enabled(request.user):
        todo.append(
            {
                "title": _("Ajoutez une clé d’accès"),
                "why": _(
                    "Votre ordinateur, votre téléphone ou une clé USB : un mot de passe volé ne suffit alors plus à"
                    " ouvrir votre compte. Sans rien de cela, « Mon accès » propose aussi un code à six chiffres."
                ),
                "url": "mfa_add_webauthn",
                "button": _("Ajouter"),
            }
        )
    return todo


def lead(waiting: int, blocks: int) -> str:
    """What waits, and what is blocked now."""
    said = [_("Aucune action ne vous est demandée.")]
    if waiting:
        counted = ngettext("%(n)s action vous attend.", "%(n)s actions vous attendent.", waiting)
        said = [counted % {"n": Count(waiting)}]
    if blocks:
        counted = ngettext(
            "%(n)s blocage vous protège en ce moment.", "%(n)s blocages vous protègent en ce moment.", blocks
        )
        said.append(counted % {"n": Count(blocks)})
    return " ".join(said)


def latest_letters(actor: Actor) -> list[dict[str, Any]] | None:
    """The newest mails of the first own mailbox; None when the mail server does not answer."""
    mailbox = mail.own_mailboxes(actor).first()
    if mailbox is None:
        return []
    try:
        with reader.open_mailbox(settings.BEFFROI, mailbox.address) as opened:
            return [{"mailbox": mailbox, "message": one} for one in opened.list(limit=4)]
    except Unavailable:
        return None


def _first_name(request: HttpRequest) -> str:
    return str(getattr(request.user, "name", "")).partition(" ")[0]
