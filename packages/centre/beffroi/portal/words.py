"""Evidence and decisions as sentences. Pure but for translation: typed values in, words out.

Rule: claim only what is measured, name the strongest evidence first, no jargon.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from django.utils import formats, timezone
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _

from beffroi.lib import clock
from beffroi.portal.counts import Count
from beffroi.portal.dates import date_format, is_french

if TYPE_CHECKING:
    from beffroi.boxes.models import BoxNotice
    from beffroi.mail.reader import Attachment

NBSP = "\u00a0"

KINDS = {
    "url": gettext_lazy("Adresse web"),
    "domain": gettext_lazy("Site"),
    "ip": gettext_lazy("Adresse réseau"),
    "cidr": gettext_lazy("Plage réseau"),
    "sender": gettext_lazy("Expéditeur"),
    "sha256": gettext_lazy("Fichier (empreinte)"),
    "sketch": gettext_lazy("Texte (empreinte)"),
}
THREATS = {
    "command_server": gettext_lazy("Serveurs de commande de pirates (jamais débloqués localement)"),
    "malware": gettext_lazy("Logiciels malveillants"),
    "phishing": gettext_lazy("Hameçonnage"),
    "scanner": gettext_lazy("Balayages et essais de mots de passe"),
}
DETECTORS = {
    "spf_fail": gettext_lazy("le serveur d’envoi n’est pas autorisé par le domaine affiché"),
    "dkim_fail": gettext_lazy("la signature du courriel ne correspond pas"),
    "dmarc_fail": gettext_lazy("le domaine affiché ne reconnaît pas ce courriel"),
    "link_mismatch": gettext_lazy("un lien affiche une adresse et mène à une autre"),
    "qr_code": gettext_lazy("un lien se trouve dans un code QR (ne compte pas dans la décision)"),
    "executable_attachment": gettext_lazy("un programme est joint"),
    "archive_attachment": gettext_lazy("une archive est jointe"),
    "new_sender_burst": gettext_lazy(
        "un expéditeur inconnu a écrit à trois collectivités en moins d’une heure"
    ),
    "new_link_burst": gettext_lazy(
        "un lien vers un nom inconnu est arrivé dans trois collectivités en moins d’une heure"
    ),
    "decided_before": gettext_lazy("il contient ce qui a déjà été bloqué pour tous"),
    "styled_letters": gettext_lazy(
        "l’objet ou l’expéditeur est écrit en caractères déguisés, que les filtres ne lisent pas"
    ),
    "listed_url": gettext_lazy("l’adresse figure sur une liste d’hameçonnage"),
    "listed_name": gettext_lazy("le nom figure sur une liste de sites malveillants"),
    "known_malware": gettext_lazy("le fichier est un logiciel malveillant connu"),
    "drive_alarm": gettext_lazy(
        "un appareil venu de cette adresse modifiait des fichiers comme un rançongiciel"
    ),
    "login_attack": gettext_lazy("de nombreux comptes ont été essayés depuis cette adresse"),
    "box_beacon": gettext_lazy("un poste l’appelle à intervalles réguliers"),
    "box_dns_tunnel": gettext_lazy("des données passent par ses noms (tunnel DNS)"),
}
RULES = {
    "departement": gettext_lazy("confirmé par le Département"),
    "one_proof": gettext_lazy("preuve établie par une machine"),
    "strong_detector": gettext_lazy("preuve établie par une machine"),
    "two_communes": gettext_lazy("signalé dans deux collectivités, indices concordants"),
    "two_boxes": gettext_lazy("attaques vues par les boîtiers de deux collectivités"),
    "lone_source": gettext_lazy("inscrit sur une liste extérieure"),
    "known_name": gettext_lazy("signalé par deux collectivités, mais connu de longue date : observé d’abord"),
    "automatic_name": gettext_lazy("nom inconnu arrivé dans trois collectivités en moins d’une heure"),
    "one_commune": gettext_lazy("signalé dans une collectivité, indices concordants"),
    "landing_address": gettext_lazy("c’est là que mène un lien bloqué"),
}
STATES = {
    "open": (gettext_lazy("À décider"), "warn", "circle-dot"),
    "decided": (gettext_lazy("Bloquée partout"), "good", "shield-check"),
    "revoked": (gettext_lazy("Annulée"), "quiet", "undo-2"),
    "dismissed": (gettext_lazy("Écartée"), "quiet", "x"),
    "active": (gettext_lazy("En vigueur"), "good", "shield-check"),
    "expired": (gettext_lazy("Expirée"), "quiet", "clock"),
    "observed": (gettext_lazy("En observation"), "quiet", "eye"),
    "canary": (gettext_lazy("Essayée dans quelques collectivités"), "warn", "circle-dot"),
    "review": (gettext_lazy("Attend une personne"), "warn", "circle-dot"),
    "pending": (gettext_lazy("À confirmer"), "warn", "circle-dot"),
    "twice": (gettext_lazy("Deux appareils"), "bad", "triangle-alert"),
    "silent": (gettext_lazy("Silencieux"), "warn", "triangle-alert"),
    "box_active": (gettext_lazy("En service"), "good", "circle-check"),
    "box_revoked": (gettext_lazy("Révoqué"), "quiet", "ban"),
    "release_stored": (gettext_lazy("À commencer"), "quiet", "clock"),
    "release_running": (gettext_lazy("En cours"), "warn", "clock"),
    "release_stopped": (gettext_lazy("Arrêtée"), "bad", "ban"),
    "release_done": (gettext_lazy("Installée partout"), "good", "circle-check"),
    "rolled_back": (gettext_lazy("Réglages refusés"), "warn", "undo-2"),
    "behind": (gettext_lazy("Liste en retard"), "warn", "clock"),
    "outdated": (gettext_lazy("Logiciel ancien"), "quiet", "clock"),
    "observing": (gettext_lazy("En observation"), "quiet", "eye"),
    "running": (gettext_lazy("En cours"), "warn", "clock"),
    "waiting": (gettext_lazy("Attend une seconde personne"), "warn", "clock"),
    "done": (gettext_lazy("Terminé"), "good", "check"),
    "refused": (gettext_lazy("Refusé"), "quiet", "x"),
    "domain_ok": (gettext_lazy("En ordre"), "good", "circle-check"),
    "domain_warn": (gettext_lazy("À améliorer"), "warn", "circle-dot"),
    "domain_bad": (gettext_lazy("À corriger"), "bad", "triangle-alert"),
    "domain_open": (gettext_lazy("Non choisi"), "quiet", "info"),
    "domain_unknown": (gettext_lazy("Pas vérifié"), "quiet", "info"),
    "criterion_met": (gettext_lazy("Rempli"), "good", "circle-check"),
    "criterion_missed": (gettext_lazy("Manqué"), "warn", "circle-dot"),
    "criterion_unknown": (gettext_lazy("Non mesuré ici"), "quiet", "info"),
    "sender_well": (gettext_lazy("Reconnu"), "good", "circle-check"),
    "sender_ask": (gettext_lazy("À préciser"), "warn", "circle-dot"),
    "sender_false": (gettext_lazy("Usurpation"), "quiet", "ban"),
    "sender_passed_on": (gettext_lazy("Réexpédié"), "quiet", "info"),
    "source_held": (gettext_lazy("À examiner"), "warn", "circle-dot"),
    "source_asks": (gettext_lazy("Essai à trancher"), "warn", "circle-dot"),
    "source_tried": (gettext_lazy("À l’essai"), "quiet", "eye"),
    "trial_observing": (gettext_lazy("À l’essai"), "quiet", "eye"),
    "trial_review": (gettext_lazy("À trancher"), "warn", "circle-dot"),
    "trial_refused": (gettext_lazy("Refusé"), "quiet", "x"),
    "trial_passed": (gettext_lazy("En cours d’application"), "good", "check"),
    "source_late": (gettext_lazy("Muette depuis longtemps"), "bad", "triangle-alert"),
    "source_failing": (gettext_lazy("En échec"), "warn", "triangle-alert"),
    "source_waiting": (gettext_lazy("Première lecture à venir"), "quiet", "clock"),
    "source_fresh": (gettext_lazy("À jour"), "good", "circle-check"),
    "source_given": (gettext_lazy("Par fichier"), "good", "circle-check"),
    "source_off": (gettext_lazy("Arrêtée"), "quiet", "ban"),
    "update_applied": (gettext_lazy("En vigueur"), "good", "check"),
    "update_accepted": (gettext_lazy("Acceptée"), "good", "check"),
    "update_held": (gettext_lazy("À examiner"), "warn", "circle-dot"),
    "update_refused": (gettext_lazy("Refusée"), "quiet", "x"),
    "update_superseded": (gettext_lazy("Remplacée"), "quiet", "x"),
}
REFUSALS = {
    "protected": gettext_lazy("protégé : jamais bloqué, quoi qu’on signale"),
    "range_never_automatic": gettext_lazy("une plage entière n’est jamais bloquée automatiquement"),
    "address_shared": gettext_lazy(
        "adresse qui sert aussi une collectivité ou un nom protégé : bloqué par son nom seul"
    ),
    "address_crowded": gettext_lazy(
        "d’autres en dépendent (site, courrier, agents) : laissée ouverte, une personne peut la bloquer"
    ),
    "names_one": gettext_lazy("lien fait pour une seule personne, qu’il nomme : bloqué par le nom du site"),
    "known_before": gettext_lazy(
        "connu de longue date dans les courriels : bloqué seulement par une preuve, ou par la page Bloquer"
    ),
    "settled": gettext_lazy(
        "jugé sans danger par le Département, ou débloqué : bloqué seulement par la page Bloquer"
    ),
    "sender_forged": gettext_lazy("l’expéditeur affiché est peut-être lui-même victime d’une usurpation"),
}


@dataclass(frozen=True)
class Phrase:
    """A sentence with its tone (good, warn, bad, quiet) and the icon that goes with it."""

    text: str
    tone: str
    icon: str


def hour(moment: datetime, *, to_the_second: bool = False) -> str:
    """``10 h 42`` in French, ``10:42`` elsewhere."""
    local = timezone.localtime(moment)
    if is_french():
        seconds = f"{NBSP}min{NBSP}{local.second:02d}{NBSP}s" if to_the_second else ""
        return f"{local.hour}{NBSP}h{NBSP}{local.minute:02d}{seconds}"
    return f"{local.hour:02d}:{local.minute:02d}" + (f":{local.second:02d}" if to_the_second else "")


def when(moment: datetime | None) -> str:
    """Today the hour; yesterday in words; then the day."""
    if moment is None:
        return ""
    local, today = timezone.localtime(moment), timezone.localtime(clock.now()).date()
    if local.date() == today:
        return hour(moment)
    if local.date() == today - timedelta(days=1):
        return _("hier, %(hour)s") % {"hour": hour(moment)}
    return f"{_day(moment)}, {hour(moment)}"


def listed(moment: datetime | None) -> str:
    """As ``when``, for a column of a list: of another year the day alone, which stands in one line."""
    if moment is None:
        return ""
    day, today = timezone.localtime(moment).date(), timezone.localtime(clock.now()).date()
    is_near = day.year == today.year or today - day <= timedelta(days=1)
    return when(moment) if is_near else _day(moment)


def exact(moment: datetime, *, to_the_second: bool = False) -> str:
    """Day, year and hour, as on a sheet that is kept: ``27 novembre 2026, 17 h 09``."""
    local = timezone.localtime(moment)
    return f"{date_format(local, 'j F Y')}, {hour(moment, to_the_second=to_the_second)}"


def since(moment: datetime | None, *, to_the_second: bool = False) -> str:
    """Day and hour, to stand behind "depuis": an hour alone would read like a length of time."""
    if moment is None:
        return ""
    return _("le %(day)s à %(hour)s") % {
        "day": _day(moment),
        "hour": hour(moment, to_the_second=to_the_second),
    }


def _day(moment: datetime) -> str:
    local = timezone.localtime(moment)
    this_year = local.year == timezone.localtime(clock.now()).year
    return date_format(local, "j F" if this_year else "j F Y")


def decision_title(kind: str, value: str, action: str) -> str:
    """What one decision does, as a sentence without a full stop."""
    shown = shorten(value)
    if kind in ("sha256", "sketch"):
        return (
            _("Un fichier est bloqué")
            if kind == "sha256"
            else _("Les courriels qui ressemblent à un leurre signalé sont mis de côté")
        )
    sentences = {
        "url": _("La page %(value)s est bloquée"),
        "domain": _("Le site %(value)s est bloqué"),
        "ip": _("L’adresse réseau %(value)s est bloquée"),
        "cidr": _("La plage réseau %(value)s est bloquée"),
        "sender": _("Les courriels de %(value)s sont mis de côté")
        if action == "quarantine"
        else _("Les courriels de %(value)s sont refusés"),
    }
    return sentences.get(kind, "%(value)s") % {"value": shown}


def shorten(value: str, limit: int = 64) -> str:
    """An indicator in about ``limit`` signs. Whose it is stays whole: the end of a name, the host of a page's address,
    which a lure makes long so that its end is not seen."""
    if len(value) <= limit:
        return value
    before, is_page, rest = value.partition("://")
    if not is_page:
        return f"…{value[1 - limit :]}"
    host_ends = len(before) + 3 + len(rest.partition("/")[0])
    return value if host_ends >= len(value) - 1 else f"{value[: max(limit - 1, host_ends + 1)]}…"


def evidence(facts: Mapping[str, object]) -> str:
    """Counts of a decision or campaign: ``signalé dans 2 communes par 2 personnes``. Never who."""
    communes, persons = number(facts, "communes"), number(facts, "persons")
    if not communes:
        return ""
    where = ngettext("dans %(n)s collectivité", "dans %(n)s collectivités", communes) % {"n": Count(communes)}
    if not persons:
        return _("vu %(where)s") % {"where": where}
    who = ngettext("par %(n)s personne", "par %(n)s personnes", persons) % {"n": Count(persons)}
    return _("signalé %(where)s, %(who)s") % {"where": where, "who": who}


def grounds(rule_name: str, facts: Mapping[str, object]) -> str:
    """Why a decision was made, told once: the counts say already that several communes saw it."""
    counted = evidence(facts)
    if rule_name == "two_communes" and counted:
        return _("%(counted)s ; indices concordants") % {"counted": counted}
    return "\N{NO-BREAK SPACE}; ".join(part for part in (rule(rule_name), counted) if part)


def detectors(names: Iterable[object]) -> list[str]:
    return [str(DETECTORS[name]) for name in names if isinstance(name, str) and name in DETECTORS]


def rule(name: str) -> str:
    return str(RULES.get(name, name))


def milliseconds(value_ms: float | None) -> str:
    """``340 ms``, ``1,2 s``."""
    if value_ms is None:
        return ""
    if value_ms < 1000:
        return f"{round(value_ms)}{NBSP}ms"
    number = formats.number_format(value_ms / 1000, 1)
    return f"{number}{NBSP}s"


def size(size_bytes: int) -> str:
    """``12 ko``, ``1,4 Mo``, ``20 Go``: by powers of 1,000, as browsers and file explorers of phones count; the same in
    scripts (``sizes.js``)."""
    value, sign = Decimal(size_bytes), ""
    for bigger in ("k", "M", "G", "T"):
        if value < (Decimal("999.5") if sign else 1000):
            break
        value, sign = value / 1000, bigger
    is_coarse = sign in ("", "k") or value >= Decimal("99.95")
    value = value.quantize(Decimal(1) if is_coarse else Decimal("0.1"), ROUND_HALF_UP)
    digits = 0 if value == value.to_integral_value() else 1
    return f"{formats.number_format(value, digits)}{NBSP}{sign}{'o' if is_french() else 'B'}"


def de(name: str) -> str:
    """``name`` as it follows a noun, in French: de Beaune, d’Arnay, du Val, des Maillys; in another language alone."""
    return de_fr(name) if get_language() == "fr" else name


def de_fr(name: str) -> str:
    """The same in every language: for names of things, which are French for all."""
    for article, with_it in (("Le ", "du "), ("Les ", "des ")):
        if name.startswith(article):
            return with_it + name.removeprefix(article)
    letter = unicodedata.normalize("NFKD", name[:1].replace("Œ", "O").replace("œ", "o"))[:1]
    return f"d’{name}" if letter and letter.upper() in "AEIOUY" else f"de {name}"


def authentication(domain: str, *, spf: str, dkim: str, dmarc: str) -> Phrase:
    """The verdict of the entry on the sender, for someone who never heard of SPF."""
    names = {"domain": domain or _("ce domaine")}
    source = {"domain": de(names["domain"])}
    if dmarc == "pass":
        # Not green: a fraud has a domain of its own too, and passes for it.
        return Phrase(_("Ce courriel vient bien %(domain)s.") % source, "quiet", "info")
    if dmarc == "fail":
        text = _("%(domain)s ne reconnaît pas ce courriel : l’expéditeur est peut-être usurpé.") % names
        return Phrase(text, "bad", "shield-alert")
    if spf == "fail" or dkim == "fail":
        text = _("Le serveur d’envoi n’est pas autorisé par %(domain)s : restez prudent.") % names
        return Phrase(text, "bad", "shield-alert")
    if "pass" in (spf, dkim):
        text = (
            _("L’origine est en partie vérifiée. %(domain)s ne dit pas quoi faire des faux courriels.")
            % names
        )
        return Phrase(text, "quiet", "info")
    return Phrase(
        _("Rien ne permet de vérifier que ce courriel vient %(domain)s.") % source, "warn", "triangle-alert"
    )


def own_mail() -> Phrase:
    """Of a mail that carries the centre's seal."""
    text = _(
        "Ce courriel vient de Beffroi, le service de votre Département. Il ne demande jamais de mot de passe."
    )
    return Phrase(text, "good", "shield-check")


def returned_mail() -> Phrase:
    """Of what our own Postfix says of a message that did not arrive."""
    text = _(
        "C’est le serveur de courrier de votre Département qui vous écrit, au sujet d’un message parti de cette boîte."
        " La réponse de l’autre serveur est recopiée telle quelle."
    )
    return Phrase(text, "good", "shield-check")


def update_trouble(reason: str) -> str:
    """Why a boîtier, or a whole release, did not go on; an unknown reason is shown as it is."""
    found = re.fullmatch(r"(\d+) of (\d+): .*", reason)
    if found:
        return _("%(failed)s boîtiers sur %(asked)s se portent mal") % {"failed": found[1], "asked": found[2]}
    return {
        "expired": _("version périmée"),
        "digest": _("le paquet reçu n’est pas celui qui a été signé"),
        "not healthy": _("le nouveau logiciel n’a pas donné signe de bonne santé"),
        "silent": _("muet depuis la demande"),
        "unanswered": _("n’a jamais dit ce qu’il en a fait"),
        "it was tried here before": _("déjà essayée ici, sans suite connue"),
        "it cannot be written here: ENOSPC": _("plus de place sur le disque"),
    }.get(reason, reason)


def notice(one: BoxNotice) -> str:
    """What a boîtier would not do, as a sentence."""
    if one.kind == "policy_rolled_back":
        return _("Réglages n° %(version)s essayés, puis abandonnés : le boîtier a gardé les précédents.") % {
            "version": one.policy_version
        }
    if one.reason == "more addresses than the box holds":
        return _(
            "Trop d’adresses bloquées à la fois : celles des décisions les plus anciennes ne le sont plus."
        )
    return _("Blocage de %(value)s refusé : protégé.") % {"value": shorten(one.indicator_value)}


def number(facts: Mapping[str, object], key: str) -> int:
    """A count of evidence; 0 where it says none."""
    value = facts.get(key)
    return value if isinstance(value, int) else 0


def file_title(file: Attachment) -> str:
    """What an attachment is called on a page: what comes with a bounce, a receipt or an invitation has no name."""
    titles = {
        "message/rfc822": _("Courriel joint"),
        "message/delivery-status": _("Rapport de remise"),
        "message/disposition-notification": _("Accusé de lecture"),
        "text/rfc822-headers": _("En-têtes du courriel"),
        "text/calendar": _("Invitation"),
    }
    return file.name or titles.get(file.content_type) or _("(sans nom)")
