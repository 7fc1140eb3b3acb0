"""Attached files and bank details in plain words: why a mail is held, what to do, what a warning says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.core.identity.queries import person_name
from beffroi.mail.gate import attachments
from beffroi.mail.safety.queries import BankWarning
from beffroi.mail.safety.rules import Concern
from beffroi.portal import words
from beffroi.scan import kinds


class Finding(NamedTuple):
    """``why``: what was found. ``advice``: what to do."""

    why: Any
    advice: Any


_BY_ANOTHER_WAY = gettext_lazy(
    "Demandez à l’expéditeur de l’envoyer en PDF. Si ce fichier est indispensable, appelez le Département, qui peut"
    " vous le remettre."
)
_IF_EXPECTED = gettext_lazy(
    "Vous l’attendiez ? Vérifiez par téléphone auprès de l’expéditeur, puis libérez-le. Sinon, laissez-le ici."
)
_TELL_THE_SENDER = gettext_lazy("Prévenez l’expéditeur par téléphone : son poste est peut-être infecté.")
_FINDINGS: dict[str, Finding] = {
    attachments.VIRUS: Finding(
        gettext_lazy("L’antivirus reconnaît un virus dans une pièce jointe."),
        _TELL_THE_SENDER,
    ),
    kinds.MALWARE: Finding(
        gettext_lazy("Une pièce jointe porte la marque d’un logiciel malveillant connu."), _TELL_THE_SENDER
    ),
    kinds.DISGUISED: Finding(
        gettext_lazy("Une pièce jointe se fait passer pour autre chose que ce qu’elle est."), _BY_ANOTHER_WAY
    ),
    kinds.PROGRAM: Finding(
        gettext_lazy("Un programme est joint : l’ouvrir suffirait à infecter le poste."), _BY_ANOTHER_WAY
    ),
    kinds.SHORTCUT: Finding(
        gettext_lazy("Un raccourci est joint : l’ouvrir peut lancer un programme."), _BY_ANOTHER_WAY
    ),
    kinds.DISK_IMAGE: Finding(
        gettext_lazy("Une image de disque est jointe : elle peut cacher un programme au contrôle."),
        _IF_EXPECTED,
    ),
    kinds.MACRO: Finding(
        gettext_lazy("Un document joint contient des macros, c’est-à-dire de petits programmes."),
        gettext_lazy(
            "Vous attendiez ce document ? Libérez-le, et n’activez pas les macros sans avoir appelé l’expéditeur."
        ),
    ),
    kinds.ENCRYPTED: Finding(
        gettext_lazy("Une pièce jointe est protégée par un mot de passe : le contrôle ne peut pas l’ouvrir."),
        _IF_EXPECTED,
    ),
    kinds.NESTED: Finding(
        gettext_lazy(
            "Une archive est cachée dans une autre : on s’en sert souvent pour tromper le contrôle."
        ),
        _IF_EXPECTED,
    ),
    kinds.ACTIVE_PAGE: Finding(
        gettext_lazy(
            "Une page web jointe contient un programme ou un formulaire : elle imite souvent une connexion."
        ),
        gettext_lazy("Libérez-la si vous l’attendiez. N’y saisissez jamais votre mot de passe."),
    ),
    kinds.ACTIVE_PDF: Finding(
        gettext_lazy(
            "Un PDF joint agit de lui-même à l’ouverture : il lance un programme ou sort du document."
        ),
        _IF_EXPECTED,
    ),
    kinds.UNREADABLE: Finding(
        gettext_lazy(
            "Une pièce jointe est abîmée, trop volumineuse une fois dépliée, ou dans un format que le contrôle "
            "n’ouvre pas (winmail.dat) : il n’a pas pu la lire en entier."
        ),
        _IF_EXPECTED,
    ),
    attachments.UNPARSEABLE: Finding(
        gettext_lazy(
            "Il est construit de telle façon que deux logiciels n’y voient pas le même expéditeur ou les mêmes pièces"
            " jointes : le contrôle ne peut pas s’y fier."
        ),
        gettext_lazy(
            "Vous attendiez ce courriel ? Appelez l’expéditeur et demandez-lui d’en écrire un nouveau. S’il est"
            " indispensable, appelez le Département, qui peut vous le remettre."
        ),
    ),
    attachments.FORGED_BANK: Finding(
        gettext_lazy(
            "Il annonce de nouvelles coordonnées bancaires, et le nom affiché après l’arobase ne le reconnaît pas."
        ),
        gettext_lazy(
            "Ne payez rien. Appelez votre correspondant au numéro déjà dans vos dossiers, jamais à celui du courriel."
        ),
    ),
}
_POLICY_NAMES = {
    kinds.MACRO: (
        gettext_lazy("Documents avec macros"),
        gettext_lazy("Word ou Excel avec des macros, comme .docm et .xlsm"),
    ),
    kinds.ENCRYPTED: (
        gettext_lazy("Pièces protégées par un mot de passe"),
        gettext_lazy("Archives et documents que le contrôle ne peut pas ouvrir"),
    ),
    kinds.NESTED: (
        gettext_lazy("Archives dans une archive"),
        gettext_lazy("Un .zip qui en contient un autre"),
    ),
    kinds.ACTIVE_PAGE: (
        gettext_lazy("Pages web jointes avec programme ou formulaire"),
        gettext_lazy("Fichiers .html ou .svg qui agissent quand on les ouvre"),
    ),
    kinds.ACTIVE_PDF: (
        gettext_lazy("PDF qui agissent d’eux-mêmes"),
        gettext_lazy("PDF qui lancent un programme ou envoient des données à l’ouverture"),
    ),
    kinds.DISK_IMAGE: (
        gettext_lazy("Images de disque"),
        gettext_lazy("Fichiers .iso, .img ou .vhd"),
    ),
}


def finding(codes: Sequence[str]) -> Finding | None:
    """Of the strongest code that has words."""
    return next((_FINDINGS[one] for one in codes if one in _FINDINGS), None)


def policy_rows(allowed: frozenset[str]) -> list[dict[str, Any]]:
    """What a référent may let pass: code, name, example, whether it passes."""
    return [
        {
            "code": code,
            "name": _POLICY_NAMES[code][0],
            "example": _POLICY_NAMES[code][1],
            "passes": code in allowed,
        }
        for code in attachments.LOOSENED
    ]


def bank(warning: BankWarning | None) -> dict[str, str] | None:
    """The banner of a mail; None where there is nothing to say. ``state``: warn, bad or checked."""
    if warning is None:
        return None
    if not warning.concern:
        who, when = person_name(warning.confirmed_by), words.when(warning.confirmed_at)
        text = _("Coordonnées bancaires vérifiées par téléphone : %(who)s, %(when)s.")
        return {"state": "checked", "title": text % {"who": who, "when": when}, "text": ""}
    if warning.concern is Concern.FIRST:
        return {
            "state": "warn",
            "title": _("Premières coordonnées bancaires de cet expéditeur"),
            "text": _("C’est le premier IBAN que votre collectivité reçoit de cette adresse."),
        }
    if warning.concern is Concern.CHANGED:
        return {
            "state": "bad",
            "title": _("Cet expéditeur donne un autre IBAN que d’habitude"),
            "text": _("Les faux RIB arrivent souvent ainsi, dans un courriel qui imite un vrai fournisseur."),
        }
    return {
        "state": "bad",
        "title": _("Ce courriel annonce de nouvelles coordonnées bancaires"),
        "text": _("Les faux RIB arrivent souvent ainsi, dans un courriel qui imite un vrai fournisseur."),
    }


def bank_tone(warnings: Sequence[BankWarning]) -> str:
    """Of the tag in a list: "" where nothing is left to check."""
    concerns = {one.concern for one in warnings} - {Concern.NONE}
    return "" if not concerns else "warn" if concerns == {Concern.FIRST} else "bad"
