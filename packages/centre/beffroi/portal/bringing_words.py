"""Files of contacts and of entries in words: what is wrong with one, what became of it. Pure but for translation."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from beffroi.drive.calendars.wire_bringing import MAX_BROUGHT, MAX_FILE_BYTES, Done, File, Kind, Refusal
from beffroi.drive.store.model import QuotaFull, StoreFull
from beffroi.lib.errors import BeffroiError, TooLarge
from beffroi.portal.counts import Count
from beffroi.portal.words import size

_REFUSED = {
    "encoding": gettext_lazy("Ce fichier n’est pas du texte lisible. Refaites-le depuis l’ancien logiciel."),
    "slow": gettext_lazy("Ce fichier est trop long à lire en une fois. Partagez-le en plusieurs."),
}
_FOREIGN = {
    "contacts": gettext_lazy(
        "Ce n’est pas un fichier de contacts. Dans l’ancien logiciel, exportez-les au format vCard (.vcf) ou CSV."
    ),
    "agenda": gettext_lazy(
        "Ce n’est pas un fichier d’agenda. Dans l’ancien logiciel, exportez-le au format iCalendar (.ics)."
    ),
}
_EMPTY = {
    "contacts": gettext_lazy("Ce fichier ne contient aucun contact."),
    "agenda": gettext_lazy("Ce fichier ne contient aucun rendez-vous."),
}
_WHY = {
    "syntax": gettext_lazy("abîmé ou incomplet"),
    "size": gettext_lazy("trop lourd, avec une image trop grande sans doute"),
    "name": gettext_lazy("ni nom, ni organisme, ni adresse"),
    "time": gettext_lazy("sans jour"),
    "rule": gettext_lazy("se répète d’une façon qu’aucun agenda ne suit ici"),
    "task": gettext_lazy("une tâche ou une note, qui n’est pas un rendez-vous"),
    "old": gettext_lazy("écrit d’une façon ancienne qui ne se lit plus"),
}


def refused(kind: Kind, why: Refusal) -> str:
    if why == "many":
        return _("Ce fichier en contient plus de %(most)s. Partagez-le en plusieurs.") % {
            "most": Count(MAX_BROUGHT)
        }
    if why == "size":
        return _("Ce fichier est trop gros : %(most)s au plus. Partagez-le en plusieurs.") % {
            "most": size(MAX_FILE_BYTES)
        }
    if why in ("foreign", "empty"):
        return str((_FOREIGN if why == "foreign" else _EMPTY)[kind])
    return str(_REFUSED[why])


def unreadable(file: File) -> list[tuple[int, str]]:
    """(line, why)."""
    return [(one.line, str(_WHY[one.why])) for one in file.unreadable]


def taken(kind: Kind, done: Done) -> str:
    if kind == "contacts":
        return ngettext("%(n)s contact est ajouté.", "%(n)s contacts sont ajoutés.", done.count) % {
            "n": Count(done.count)
        }
    return ngettext("%(n)s rendez-vous est ajouté.", "%(n)s rendez-vous sont ajoutés.", done.count) % {
        "n": Count(done.count)
    }


def taken_out(kind: Kind, done: Done) -> str:
    if kind == "contacts":
        said = ngettext("%(n)s contact est retiré.", "%(n)s contacts sont retirés.", done.count)
    else:
        said = ngettext("%(n)s rendez-vous est retiré.", "%(n)s rendez-vous sont retirés.", done.count)
    kept = ngettext("%(n)s, changé depuis, est gardé.", "%(n)s, changés depuis, sont gardés.", done.kept) % {
        "n": Count(done.kept)
    }
    return f"{said % {'n': Count(done.count)}} {kept if done.kept else ''}".strip()


def full(error: BeffroiError) -> str:
    """``error``: one of FULL."""
    if isinstance(error, StoreFull):
        return _("Le disque du Département est plein. Rien n’a changé : prévenez le Département.")
    if isinstance(error, TooLarge):
        return _("Il y en aurait trop au même endroit : 10 000 au plus. Rien n’a changé.")
    return _(
        "Il n’y a plus de place pour tout cela : les contacts, l’agenda et les fichiers du Coffre se partagent la "
        "même. Rien n’a changé. Supprimez ce qui ne sert plus, ou demandez de la place à la personne référente."
    )


FULL = (QuotaFull, StoreFull, TooLarge)
