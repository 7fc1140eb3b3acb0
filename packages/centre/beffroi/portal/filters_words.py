"""Absence, filters and forwards in words."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.lib.clock import PLACE
from beffroi.mail.filters.errors import SettingRefused
from beffroi.mail.filters.models import Absence, FilterRule
from beffroi.portal.dates import date_format
from beffroi.portal.web import folders

FIELDS = {
    "from": gettext_lazy("L’expéditeur"),
    "to": gettext_lazy("Le destinataire"),
    "subject": gettext_lazy("L’objet"),
}
ACTS = {
    "move": gettext_lazy("le ranger dans un dossier"),
    "copy": gettext_lazy("en garder une copie dans un dossier"),
    "star": gettext_lazy("le marquer d’une étoile"),
    "read": gettext_lazy("le marquer comme lu"),
}
EVERY = {
    1: gettext_lazy("une fois par jour"),
    3: gettext_lazy("une fois tous les 3 jours"),
    7: gettext_lazy("une fois par semaine"),
    14: gettext_lazy("une fois toutes les 2 semaines"),
}
_TROUBLES = {
    ("first", "day"): gettext_lazy("Indiquez le premier jour d’absence."),
    ("last", "day"): gettext_lazy("Indiquez le dernier jour d’absence."),
    ("last", "past"): gettext_lazy("Le dernier jour doit venir après le premier, et ne pas être passé."),
    ("last", "long"): gettext_lazy("Une absence dure un an au plus."),
    ("text", "empty"): gettext_lazy("Écrivez la réponse que recevront vos correspondants."),
    ("text", "long"): gettext_lazy("Cette réponse est trop longue : 4 000 caractères au plus."),
    ("words", "empty"): gettext_lazy("Indiquez ce que le courriel doit contenir."),
    ("words", "long"): gettext_lazy("C’est trop long : 200 caractères au plus."),
    ("words", "lines"): gettext_lazy("Sur une seule ligne, s’il vous plaît."),
    ("folder", "unknown"): gettext_lazy("Choisissez un dossier."),
    ("new_folder", "name"): gettext_lazy("Donnez un nom au nouveau dossier : lettres, chiffres et espaces."),
    ("new_folder", "away"): gettext_lazy(
        "Le serveur de courriel ne répond pas : le dossier n’est pas créé. Réessayez dans une minute."
    ),
    ("target", "address"): gettext_lazy("Cette adresse n’est pas complète. Exemple : prenom.nom@exemple.fr"),
    ("target", "one"): gettext_lazy("Indiquez une adresse, et une seule."),
    ("target", "itself"): gettext_lazy("C’est l’adresse de cette boîte : le courriel tournerait en rond."),
    ("target", "outside"): gettext_lazy(
        "Votre Département n’autorise le renvoi que vers les adresses de la collectivité."
    ),
    ("target", "closed"): gettext_lazy(
        "Ce centre n’envoie pas vers l’extérieur : choisissez une adresse qu’il héberge."
    ),
    ("target", "gone"): gettext_lazy("Cette boîte est fermée : choisissez une autre adresse."),
    ("signature", "long"): gettext_lazy("Cette signature est trop longue : 1 000 caractères au plus."),
    ("line", "long"): gettext_lazy("Cette ligne est trop longue : 300 caractères au plus."),
}


def trouble(error: SettingRefused) -> str:
    return str(_TROUBLES.get((error.field_name, error.why), _("Vérifiez ce que vous avez saisi.")))


def rule(row: FilterRule) -> str:
    """A filter as one sentence."""
    told = {"what": FIELDS[row.field], "words": row.words, "folder": folders.title(row.folder)}
    return {
        "move": _("%(what)s contient « %(words)s » : ranger dans « %(folder)s »"),
        "copy": _("%(what)s contient « %(words)s » : garder une copie dans « %(folder)s »"),
        "star": _("%(what)s contient « %(words)s » : marquer d’une étoile"),
        "read": _("%(what)s contient « %(words)s » : marquer comme lu"),
    }[row.act] % told


def last_day(row: Absence) -> date:
    return (row.ends_at.astimezone(PLACE) - timedelta(seconds=1)).date()


def day(moment: datetime | date) -> str:
    value = timezone.localtime(moment).date() if isinstance(moment, datetime) else moment
    return date_format(value, "l j F Y")
