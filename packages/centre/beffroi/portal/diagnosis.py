"""The answer of a boîtier to a diagnosis, in plain French: what is wrong with what to do first, then what it said.

Input:   the word of a box on hostile ground: every value is read with care, and one that makes no sense is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.lib import digits
from beffroi.portal import words
from beffroi.portal.counts import Count

LITTLE = 0.1
CLOCK_OFF_S = 300
FACTS_MANY = 1000
LABELS = (
    ("agent", gettext_lazy("Logiciel du boîtier")),
    ("system", gettext_lazy("Système")),
    ("kernel", gettext_lazy("Noyau")),
    ("mode", gettext_lazy("Place dans le réseau")),
    ("uptime", gettext_lazy("En marche depuis")),
    ("wan", gettext_lazy("Côté internet")),
    ("lan", gettext_lazy("Côté mairie")),
    ("policy_version", gettext_lazy("Réglages appliqués")),
    ("lists", gettext_lazy("Liste appliquée")),
    ("inspection", gettext_lazy("Lecture du début des connexions")),
    ("blocked", gettext_lazy("Adresses, réseaux et noms bloqués")),
    ("disk", gettext_lazy("Place libre sur le disque")),
    ("memory", gettext_lazy("Mémoire libre")),
    ("load", gettext_lazy("Charge du processeur")),
    ("facts_waiting", gettext_lazy("Faits en attente d’envoi")),
    ("last_line_refused", gettext_lazy("Dernière ligne refusée (code)")),
)


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and what to do."""

    said: str
    advice: str


def findings(report: Mapping[str, str]) -> list[Finding]:
    """Most urgent first; empty when the box finds nothing wrong with itself."""
    left_out = _number(report, "addresses_left_out")
    known: tuple[tuple[object, str, str], ...] = (
        (
            report.get("rules") == "missing",
            _("Les règles de blocage ne sont pas en place."),
            _("Faites redémarrer le boîtier : débranchez-le dix secondes. Si cela revient, remplacez-le."),
        ),
        (
            report.get("lan_link", "up").startswith(("down", "absent")),
            _("Rien n’est branché du côté de la mairie."),
            _("Faites vérifier le câble entre le boîtier et le commutateur de la mairie."),
        ),
        (
            report.get("settings_trouble"),
            _("Son fichier de réglages est abîmé."),
            _(
                "Il protège avec les derniers réglages qu’il connaît. Faites corriger box.toml sur place ; si cela "
                "revient, son disque s’use : remplacez-le."
            ),
        ),
        (
            report.get("network_trouble"),
            _("Le fichier qui dit ses prises réseau était abîmé."),
            _(
                "Il a démarré avec le dernier réseau qu’il connaît et récrit ce fichier de lui-même, en une "
                "minute. Si cela revient, son disque s’use : remplacez-le."
            ),
        ),
        (
            report.get("resolver", "ok") not in ("ok", "off"),
            _("Le résolveur de noms ne répond pas."),
            _("Les noms ne sont plus filtrés. Faites redémarrer le boîtier ; si cela revient, remplacez-le."),
        ),
        (
            _inspection(report) == "trouble",
            _("Le moteur qui lit le début des connexions ne marche pas."),
            _(
                "Tout passe sans être lu ; les adresses et les noms des listes restent bloqués. Si cela dure "
                "un jour, prévenez les développeurs avec cette page."
            ),
        ),
        (
            report.get("list_stale") == "yes",
            _("Sa liste est trop ancienne."),
            _("Sa liaison avec le centre est mauvaise : faites vérifier la connexion internet de la mairie."),
        ),
        (
            report.get("disk_trouble") or _share(report, "disk_free_bytes", "disk_total_bytes") < LITTLE,
            _("Le disque est plein ou abîmé."),
            _(
                "Il protège encore, de mémoire, mais un redémarrage lui ferait perdre sa dernière liste. "
                "Remplacez-le."
            ),
        ),
        (
            _share(report, "memory_available_kib", "memory_total_kib") < LITTLE,
            _("La mémoire est presque pleine."),
            _("Prévenez la personne qui développe le boîtier, avec cette page."),
        ),
        (
            abs(_number(report, "clock_offset_s")) > CLOCK_OFF_S,
            _("Son horloge est fausse."),
            _("Sans conséquence sur les blocages : il prend l’heure du centre. Sa pile est peut-être usée."),
        ),
        (
            left_out,
            _("Il n’a pas de place pour toutes les adresses décidées : %(n)s ne sont pas bloquées.")
            % {"n": Count(left_out)},
            _(
                "Les décisions les plus récentes le sont. Mettez une longue suite d’adresses dans une liste "
                "(./beffroi lists), ou mettez fin aux décisions qui ne servent plus."
            ),
        ),
        (
            report.get("bulk_lists_trouble"),
            _("Une longue liste n’a pas pu être mise en place."),
            _("L’ancienne reste en vigueur et il réessaie. Si cela dure un jour, prévenez les développeurs."),
        ),
        (
            _number(report, "facts_waiting") > FACTS_MANY or _number(report, "facts_dropped"),
            _("Il n’a pas pu envoyer tout ce qu’il a vu."),
            _("Rien à faire si sa liaison vient de revenir."),
        ),
    )
    return [Finding(said, advice) for is_so, said, advice in known if is_so]


def facts(report: Mapping[str, str]) -> list[tuple[str, str]]:
    """(label, value) of what the box said, in a fixed order; what is missing is left out."""
    shown = {name: report.get(name, "") for name, _label in LABELS}
    shown["mode"] = {"router": _("Routeur"), "bridge": _("Pont transparent")}.get(report.get("mode", ""), "")
    if uptime := _number(report, "uptime_s"):
        days, hours = divmod(uptime // 3600, 24)
        shown["uptime"] = _("%(days)s j %(hours)s h") % {"days": days, "hours": hours}
    for side in ("wan", "lan"):
        shown[side] = " · ".join(
            p for p in (_link(report.get(f"{side}_link", "")), report.get(f"{side}_addresses", "")) if p
        )
    shown["inspection"] = {
        "on": _("En marche"),
        "off": _("Non demandée par les réglages"),
        "trouble": report.get("inspection", ""),
    }.get(_inspection(report), "")
    counts = [report.get(f"{name}_blocked", "") for name in ("addresses", "networks", "names")]
    shown["blocked"] = " · ".join(counts) if all(counts) else ""
    shown["disk"] = words.size(_number(report, "disk_free_bytes")) if "disk_free_bytes" in report else ""
    if "memory_available_kib" in report:
        shown["memory"] = words.size(_number(report, "memory_available_kib") * 1024)
    return [(str(label), shown[name]) for name, label in LABELS if shown.get(name)]


def _inspection(report: Mapping[str, str]) -> str:
    """``on``, ``off`` (nobody asked for it), ``trouble``, or "" where an older box tells nothing."""
    said = report.get("inspection", "")
    if said in ("", "on", "starting"):
        return "on" if said else ""
    return "off" if said == "off: the policy does not ask for it" else "trouble"


def _link(text: str) -> str:
    state, _space, speed = text.partition(" ")
    if state == "up":
        return _("branché, %(speed)s Mbit/s") % {"speed": speed} if speed.isdigit() else _("branché")
    return {"down": _("débranché"), "absent": _("absent")}.get(state, "")


def _share(report: Mapping[str, str], part: str, whole: str) -> float:
    """1.0 where it cannot be told."""
    total = _number(report, whole)
    return _number(report, part) / total if total > 0 and part in report else 1.0


def _number(report: Mapping[str, str], name: str) -> int:
    text = report.get(name, "")
    return 0 if digits.number(text.removeprefix("-")) is None else int(text)
