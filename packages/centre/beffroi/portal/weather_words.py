"""The weather in words: levels, reasons, the published conditions, what is counted. Pure but for translation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from beffroi.portal import tags
from beffroi.portal.counts import Count
from beffroi.watch.weather import rules
from beffroi.watch.weather.rules import Level, Reason, Weather

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

LEVELS = {
    Level.CALM: (gettext_lazy("Temps calme"), "good", "sun"),
    Level.WATCH: (gettext_lazy("Vigilance"), "warn", "cloud"),
    Level.STORM: (gettext_lazy("Tempête"), "bad", "cloud-lightning"),
}
FIGURES = {
    "flows_in": gettext_lazy("connexions venues d’internet arrêtées par le boîtier"),
    "flows_out": gettext_lazy("connexions parties de la mairie arrêtées par le boîtier"),
    "names": gettext_lazy("noms de sites refusés par le boîtier"),
    "mails_refused": gettext_lazy("courriels refusés à l’arrivée"),
    "mails_set_aside": gettext_lazy("courriels mis de côté à l’arrivée"),
    "mails_withdrawn": gettext_lazy("courriels retirés après coup des boîtes"),
}
"""What is shown to people, each for itself. Packets stand apart: they are no attempts."""
OF_ALL_BOXES = {
    "flows_in": gettext_lazy("connexions venues d’internet arrêtées par les boîtiers"),
    "flows_out": gettext_lazy("connexions parties des mairies arrêtées par les boîtiers"),
    "names": gettext_lazy("noms de sites refusés par les boîtiers"),
}
"""The same where they are sums of a whole département."""
REASONS: dict[str, _StrPromise] = {
    Reason.SEVERE_INCIDENT: ngettext_lazy(
        "%(n)s dossier grave est ouvert : ouvrez-le et suivez ses étapes.",
        "%(n)s dossiers graves sont ouverts : ouvrez-les et suivez leurs étapes.",
        "n",
    ),
    Reason.MANY_INCIDENTS: ngettext_lazy(
        "%(n)s dossier est ouvert à la fois.", "%(n)s dossiers sont ouverts à la fois.", "n"
    ),
    Reason.INCIDENT: ngettext_lazy(
        "%(n)s dossier à surveiller est ouvert : ses étapes disent quoi faire.",
        "%(n)s dossiers à surveiller sont ouverts : leurs étapes disent quoi faire.",
        "n",
    ),
    Reason.BOX_SILENT: ngettext_lazy(
        "%(n)s boîtier ne répond plus depuis une heure : vérifiez qu’il est branché.",
        "%(n)s boîtiers ne répondent plus depuis une heure : vérifiez qu’ils sont branchés.",
        "n",
    ),
    Reason.UNREPORTED: ngettext_lazy(
        "%(n)s attaque est arrivée dans vos boîtes sans que personne la signale ; elle a été retirée.",
        "%(n)s attaques sont arrivées dans vos boîtes sans que personne les signale ; elles ont été retirées.",
        "n",
    ),
    Reason.SURGE: ngettext_lazy(
        "%(n)s connexion arrêtée aujourd’hui, bien plus qu’un jour ordinaire.",
        "%(n)s connexions arrêtées aujourd’hui, bien plus qu’un jour ordinaire.",
        "n",
    ),
    Reason.COMMUNES_IN_STORM: ngettext_lazy(
        "%(n)s collectivité est dans la tempête, une sur dix ou plus.",
        "%(n)s collectivités sont dans la tempête, une sur dix ou plus.",
        "n",
    ),
    Reason.SOME_IN_STORM: ngettext_lazy(
        "%(n)s collectivité est dans la tempête.", "%(n)s collectivités sont dans la tempête.", "n"
    ),
    Reason.SOURCES_HELD: ngettext_lazy(
        "%(n)s mise à jour ou essai d’une liste attend un avis.",
        "%(n)s mises à jour ou essais de listes attendent un avis.",
        "n",
    ),
    Reason.REVIEWS: ngettext_lazy(
        "%(n)s décision attend un avis.", "%(n)s décisions attendent un avis.", "n"
    ),
}
"""Each with its number, by which it is chosen: ``% {"n": count}``."""
PAST: dict[str, _StrPromise] = {
    Reason.SEVERE_INCIDENT: gettext_lazy("dossier grave ouvert"),
    Reason.MANY_INCIDENTS: gettext_lazy("plusieurs dossiers ouverts à la fois"),
    Reason.INCIDENT: gettext_lazy("dossier à surveiller ouvert"),
    Reason.BOX_SILENT: gettext_lazy("boîtier sans signe"),
    Reason.UNREPORTED: gettext_lazy("attaque reçue que personne n’avait signalée"),
    Reason.SURGE: gettext_lazy("bien plus de connexions arrêtées qu’un jour ordinaire"),
}
"""Reasons of a day that is over: there is nothing left to do about them."""


def past(code: str) -> str:
    return str(PAST.get(code, code))


def level(name: str) -> dict[str, str]:
    """Label, tone and drawing of a level."""
    return tags.tag(LEVELS, rules.worse(name, Level.CALM))


def sentence(weather: Weather) -> str:
    """The one sentence for the mayor; empty where only the reasons can say what waits."""
    if not weather.actions:
        # What is open in communes waits for someone, and stands on pages of its own.
        elsewhere = {code for code, _count in weather.reasons} & {
            Reason.COMMUNES_IN_STORM,
            Reason.SOME_IN_STORM,
        }
        return "" if elsewhere else _("Rien à faire.")
    return ngettext("%(n)s action à mener.", "%(n)s actions à mener.", weather.actions) % {
        "n": Count(weather.actions)
    }


def reason(code: str, count: int) -> str:
    """Why the weather is what it is, with its number."""
    return REASONS[code] % {"n": Count(count)} if code in REASONS else code


def reasons(weather: Weather) -> list[str]:
    return [reason(code, count) for code, count in weather.reasons]


def conditions() -> list[tuple[dict[str, str], str]]:
    """The formula of a commune's weather as it is published, with the numbers of the code."""
    numbers = {
        "many": rules.STORM_INCIDENTS,
        "days": rules.UNREPORTED_DAYS,
        "times": rules.SURGE_TIMES,
        "least": rules.SURGE_LEAST,
        "window": rules.BASELINE_DAYS,
        "known": rules.BASELINE_LEAST_DAYS,
        "minutes": rules.SILENT_AFTER_S // 60,
    }
    rows = (
        (Level.STORM, _("un dossier grave est ouvert")),
        (Level.STORM, _("%(many)s dossiers ou plus sont ouverts à la fois")),
        (Level.WATCH, _("un dossier est ouvert")),
        (Level.WATCH, _("un boîtier en service n’a pas donné signe depuis %(minutes)s minutes")),
        (
            Level.WATCH,
            _(
                "une attaque a été retirée de vos boîtes depuis %(days)s jours et personne chez vous ne l’a signalée"
            ),
        ),
        (
            Level.WATCH,
            _(
                "le boîtier a arrêté aujourd’hui au moins %(least)s connexions et %(times)s fois le nombre médian"
                " des %(window)s jours précédents (dès que %(known)s jours sont connus)"
            ),
        ),
        (Level.CALM, _("rien de tout cela")),
    )
    return [(level(name), text % numbers) for name, text in rows]


def territory_conditions() -> list[tuple[dict[str, str], str]]:
    """The same for the département."""
    numbers = {"share": rules.STORM_SHARE_PERCENT}
    rows = (
        (Level.STORM, _("%(share)s collectivités sur cent ou plus sont dans la tempête")),
        (Level.WATCH, _("une collectivité au moins est dans la tempête")),
        (Level.WATCH, _("la mise à jour ou l’essai d’une liste attend un avis, ou une décision")),
        (Level.CALM, _("rien de tout cela")),
    )
    return [(level(name), text % numbers) for name, text in rows]


def figures(
    counted: Mapping[str, int], *, box: bool = True, territory: bool = False
) -> list[tuple[str, int]]:
    """(words, number), never a sum. ``box`` False: without what only a boîtier counts."""
    said = FIGURES | OF_ALL_BOXES if territory else FIGURES
    return [
        (str(text), counted.get(name, 0)) for name, text in said.items() if box or name not in OF_ALL_BOXES
    ]
