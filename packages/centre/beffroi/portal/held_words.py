"""Why a mail is held, in one sentence with the strongest evidence. Pure but for translation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.mail.held.models import HeldMail
from beffroi.mail.held.queries import Shown
from beffroi.portal import safety_words, words

_PROGRAMS = frozenset(
    (
        "exe",
        "scr",
        "com",
        "bat",
        "cmd",
        "js",
        "jse",
        "vbs",
        "vbe",
        "wsf",
        "hta",
        "msi",
        "jar",
        "lnk",
        "ps1",
        "iso",
    )
)
_EVIDENCE: tuple[tuple[Callable[[Mapping[str, Any]], bool], Any], ...] = (
    (
        lambda found: _auth(found, "dmarc") == "fail",
        gettext_lazy(
            "Le nom affiché après l’arobase ne reconnaît pas ce courriel : l’expéditeur est peut-être usurpé."
        ),
    ),
    (
        lambda found: bool(found.get("link_mismatch")),
        gettext_lazy("Un lien affiche une adresse et mène à une autre."),
    ),
    (
        lambda found: bool(found.get("qr_codes")),
        gettext_lazy("Un de ses liens se trouve dans un code QR, que l’on lit avec un téléphone."),
    ),
    (
        lambda found: bool(_PROGRAMS & set(found.get("attachment_types") or ())),
        gettext_lazy("Un programme est joint, ou un fichier qui peut en cacher un."),
    ),
    (
        lambda found: _auth(found, "spf") == "fail",
        gettext_lazy("Il vient d’un serveur qui n’a pas le droit d’écrire en ce nom."),
    ),
    (
        lambda found: _auth(found, "dkim") == "fail",
        gettext_lazy("Sa signature ne correspond pas : il a été modifié en route, ou imité."),
    ),
    (
        lambda found: _has(found, "BAYES_SPAM"),
        gettext_lazy("Son texte ressemble à celui de courriels indésirables."),
    ),
    (
        lambda found: _has(found, "SUSPICIOUS_URL", "URL_", "PHISH", "REDIRECT"),
        gettext_lazy("Un de ses liens est suspect."),
    ),
    (
        lambda found: _has(found, "MISSING_", "INVALID_", "FORGED_", "BROKEN_"),
        gettext_lazy("Il est écrit comme aucun logiciel de courriel ordinaire n’écrit."),
    ),
)


def why(one: Shown) -> str:
    """One sentence; without evidence on record, no more than that the filter held it."""
    if one.row.reason == HeldMail.Reason.DECISION and one.decision is not None:
        title = words.decision_title(one.decision.kind, one.decision.value, one.decision.action)
        grounds = words.grounds(one.decision.rule, one.decision.evidence)
        return _("%(what)s partout : %(grounds)s.") % {"what": title, "grounds": grounds}
    if one.row.reason == HeldMail.Reason.SENDER_BLOCKED:
        return _("Vous avez bloqué cet expéditeur.")
    if one.row.reason == HeldMail.Reason.CONTENT:
        found = safety_words.finding(one.row.findings.split())
        if found is not None:
            return f"{found.why} {found.advice}"
    for applies, sentence in _EVIDENCE:
        if applies(one.verdict):
            return str(sentence)
    return _("Le filtre y voit plusieurs signes d’un courriel indésirable.")


def sender(one: Shown) -> str:
    return one.heading.from_name or one.heading.from_address or _("Expéditeur inconnu")


def subject(one: Shown) -> str:
    return one.heading.subject or _("(sans objet)")


def clock_words(at_minute: int) -> str:
    """``8 h 00`` from minutes after midnight."""
    return f"{at_minute // 60}{words.NBSP}h{words.NBSP}{at_minute % 60:02d}"


def _auth(found: Mapping[str, Any], name: str) -> str:
    auth = found.get("auth")
    return str(auth.get(name, "")) if isinstance(auth, dict) else ""


def _has(found: Mapping[str, Any], *starts: str) -> bool:
    symbols = found.get("symbols")
    return isinstance(symbols, list) and any(str(one).startswith(starts) for one in symbols)


def meanwhile(row: HeldMail) -> str:
    """What became of a mail before somebody pressed."""
    if row.state == HeldMail.State.HELD:
        return _("Rien n’a changé : ce courriel est toujours retenu.")
    if row.state == HeldMail.State.RELEASED:
        return _("Rien n’a changé : entre-temps, ce courriel a été libéré.")
    if row.state == HeldMail.State.BLOCKED:
        return _("Rien n’a changé : entre-temps, l’expéditeur de ce courriel a été bloqué.")
    return _("Rien n’a changé : ce courriel n’est plus retenu.")
