"""Mailboxes that are lent for a period, in words."""

from __future__ import annotations

from datetime import date, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from beffroi.lib.clock import PLACE
from beffroi.mail.filters.errors import SettingRefused
from beffroi.mail.people.delegations import Day
from beffroi.mail.people.models import Delegation
from beffroi.portal.counts import Count
from beffroi.portal.dates import date_format

RIGHTS = {
    Delegation.Right.READ: gettext_lazy("lire"),
    Delegation.Right.ANSWER: gettext_lazy("lire et répondre au nom de la boîte"),
}
_TROUBLES = {
    ("mailbox", "unknown"): gettext_lazy("Choisissez la boîte."),
    ("person", "unknown"): gettext_lazy("Choisissez une personne de votre collectivité."),
    ("right", "unknown"): gettext_lazy("Choisissez ce que la personne pourra faire."),
    ("first", "day"): gettext_lazy("Indiquez le premier jour."),
    ("first", "far"): gettext_lazy("Le premier jour est trop loin : six mois à l’avance au plus."),
    ("last", "day"): gettext_lazy("Indiquez le dernier jour."),
    ("last", "past"): gettext_lazy("Le dernier jour doit venir après le premier, et ne pas être passé."),
    ("last", "long"): gettext_lazy(
        "C’est trop long. Choisissez une fin plus proche ; vous pourrez recommencer."
    ),
    ("last", "taken"): gettext_lazy(
        "Cette personne a déjà cette boîte à ce moment-là. Arrêtez d’abord ce qui est en place."
    ),
    ("reason", "empty"): gettext_lazy("Dites pourquoi : la personne absente le lira à son retour."),
    ("reason", "long"): gettext_lazy("C’est trop long : 200 signes au plus, sur une ligne."),
}


def trouble(error: SettingRefused) -> str:
    return str(_TROUBLES.get((error.field_name, error.why), _("Vérifiez ce que vous avez saisi.")))


def day(value: date) -> str:
    return date_format(value, "j F Y")


def first_day(row: Delegation) -> date:
    return row.begins_at.astimezone(PLACE).date()


def last_day(row: Delegation) -> date:
    return (row.ends_at.astimezone(PLACE) - timedelta(seconds=1)).date()


def done(one: Day, name: str) -> str:
    """« Le 3 décembre 2026, Sophie a lu 12 courriels et en a envoyé 2. »"""
    told = {"day": day(one.day), "name": name, "read": Count(one.read), "sent": Count(one.sent)}
    read = ngettext("%(read)s courriel lu", "%(read)s courriels lus", one.read)
    sent = ngettext("%(sent)s envoyé", "%(sent)s envoyés", one.sent)
    parts = ([read] if one.read else []) + ([sent] if one.sent else [])
    return _("Le %(day)s, %(name)s :") % told + " " + ", ".join(one % told for one in parts) + "."


def from_name(owner: str, delegate: str) -> str:
    """What whoever gets a mail reads as its sender."""
    return _("%(owner)s (par %(delegate)s, en remplacement)") % {
        "owner": owner[:80],
        "delegate": delegate[:80],
    }


def signature(owner: str, delegate: str) -> str:
    return _("%(delegate)s, pour %(owner)s") % {"owner": owner, "delegate": delegate}
