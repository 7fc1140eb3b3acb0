"""What the scan says of a file, in plain words: why it is held, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.core.identity.actor import Actor
from beffroi.drive.release import may_release
from beffroi.drive.store import findings, frozen
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place

REASONS = {
    "virus": gettext_lazy("L’antivirus connaît ce fichier comme un virus."),
    "malware": gettext_lazy("L’analyse a reconnu dans ce fichier un programme malveillant."),
    "disguised": gettext_lazy(
        "Ce fichier se fait passer pour un autre : son nom ne dit pas ce qu’il contient."
    ),
    "program": gettext_lazy("Ce fichier contient un programme."),
    "shortcut": gettext_lazy("Ce fichier est un raccourci, qui peut lancer un programme."),
    "disk_image": gettext_lazy("Ce fichier est une image de disque, qui peut cacher un programme."),
    "macro": gettext_lazy("Ce document contient des macros, qui s’exécutent à l’ouverture."),
    "encrypted": gettext_lazy(
        "Ce fichier est fermé par un mot de passe : l’analyse ne voit pas ce qu’il contient."
    ),
    "nested": gettext_lazy("Ce fichier contient une archive dans une archive."),
    "active_page": gettext_lazy("Cette page web contient un formulaire ou un programme."),
    "active_pdf": gettext_lazy("Ce PDF contient un programme qui se lance tout seul."),
    "unreadable": gettext_lazy("L’analyse n’a pas pu lire ce fichier jusqu’au bout."),
}


@dataclass(frozen=True)
class ScanLine:
    """``tone``: "bad" held, "warn" waits, "" neither. ``names``: of rules, for who asks the Département."""

    sentence: str
    tone: str = ""
    names: str = ""
    is_held: bool = False
    may_ask: bool = False
    may_release: bool = False


def reason(code: str) -> str:
    return str(REASONS.get(code, REASONS["malware"]))


def line(reading: Reading, actor: Actor, place: Place) -> ScanLine:
    """What a file's page says."""
    sha256 = place.node.sha256
    if frozen.decision_of(reading, sha256):
        sentence = _(
            "Le Département retient ce fichier partout : il a été reconnu comme dangereux, ou contient un "
            "fichier qui l’a été. Personne ne peut l’ouvrir ; vous pouvez mettre le fichier à la corbeille. "
            "C’est une erreur ? Dites-le au Département."
        )
        return ScanLine(sentence, "bad", is_held=True)
    found = findings.finding(reading, sha256)
    if found is not None and not found.released_s:
        return ScanLine(
            reason(found.code),
            "bad",
            found.names,
            is_held=True,
            may_ask=not found.asked_s,
            may_release=may_release(actor, place, found),
        )
    try:
        findings.require_scanned(reading, sha256)
    except findings.NotScanned:
        sentence = _("Ce fichier vient d’un lien de dépôt. Il s’ouvrira dès qu’il aura été analysé.")
        return ScanLine(sentence, "warn", is_held=True)
    scanned = findings.of(reading, sha256)
    if found is not None:
        at = datetime.fromtimestamp(found.released_s, UTC)
        return ScanLine(
            _("Retenu par l’analyse, puis libéré dans votre collectivité le %(at)s.")
            % {"at": f"{at:%d/%m/%Y}"}
        )
    if scanned is None:
        return ScanLine(_("Pas encore analysé."))
    if not scanned.is_whole:
        sentence = _(
            "Analysé en partie : le reste n’a pas pu être lu (fichier très long, archive très pleine, ou abîmé). "
            "Rien de dangereux n’a été trouvé dans ce qui a été lu."
        )
        return ScanLine(sentence)
    return ScanLine(_("Analysé : rien de dangereux n’a été trouvé."))
