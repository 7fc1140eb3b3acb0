"""Plain words for drop boxes: what a link takes, why a file was not taken and what to do next."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.portal import words

TYPES = {
    "": ("", gettext_lazy("Tous les fichiers, sauf les programmes")),
    "pdf": ("pdf", gettext_lazy("PDF seulement")),
    "photos": ("pdf jpg jpeg png", gettext_lazy("PDF et photos (JPEG, PNG)")),
    "documents": (
        "pdf doc docx odt xls xlsx ods ppt pptx odp rtf txt csv jpg jpeg png",
        gettext_lazy("PDF, documents et photos"),
    ),
}
"""What a maker chooses: key → (endings of names, words)."""
SIZES_MB = (5, 20, 60, 500, 2000)
TOTALS_MB = (100, 500, 2000)
COUNTS = (10, 50, 100, 500)
_MB = 1_000_000

_CLOSED = gettext_lazy("Ce lien n’est plus ouvert : demandez-en un autre à la collectivité.")
_TOO_LONG = gettext_lazy("Ce fichier est trop grand pour ce lien : envoyez-en un plus petit.")
_DANGEROUS = gettext_lazy("Ce fichier a été reconnu comme dangereux : il n’est pas pris.")
_NO_ROOM = gettext_lazy(
    "La collectivité n’a plus de place pour le recevoir. Prévenez-la, puis réessayez plus tard."
)
_AGAIN = gettext_lazy("L’envoi a été interrompu : recommencez.")
_LATER = gettext_lazy("Le service ne répond pas pour le moment : réessayez dans quelques minutes.")
REFUSALS = {
    "drive.link_closed": _CLOSED,
    "drive.drop_full": gettext_lazy(
        "Ce lien a reçu tout ce qu’il pouvait recevoir : demandez-en un autre à la collectivité."
    ),
    "drive.drop_too_long": _TOO_LONG,
    "input.too_large": _TOO_LONG,
    "drive.drop_type": gettext_lazy(
        "Ce type de fichier n’est pas accepté ici, ou le fichier n’est pas ce que dit son nom : envoyez par exemple un "
        "PDF."
    ),
    "drive.drop_empty": gettext_lazy(
        "Ce fichier est vide, ou c’est un dossier : ouvrez-le sur votre ordinateur pour vérifier, puis envoyez-le."
    ),
    "drive.drop_refused": gettext_lazy("Ce fichier ne peut pas être déposé ici."),
    "drive.name_refused": gettext_lazy(
        "Le nom de ce fichier ne convient pas : renommez-le, puis recommencez."
    ),
    "drive.name_taken": gettext_lazy("Trop de fichiers portent ce nom : renommez-le, puis recommencez."),
    "drive.found": _DANGEROUS,
    "drive.drop_held": gettext_lazy(
        "Ce fichier a un mot de passe, contient des macros ou ne se lit pas : il doit d’abord être vérifié. Appelez la "
        "collectivité."
    ),
    "drive.frozen": _DANGEROUS,
    "drive.quota_full": _NO_ROOM,
    "drive.too_many_entries": _NO_ROOM,
    "drive.store_full": gettext_lazy(
        "Le service n’a plus de place. Prévenez la collectivité, puis réessayez plus tard."
    ),
    "drive.form_broken": gettext_lazy("Aucun fichier n’est arrivé : choisissez-en un, puis envoyez-le."),
    "drive.client_gone": _AGAIN,
    "drive.chunk_vanished": _AGAIN,
    "drive.body_differs": gettext_lazy("Ce fichier a changé pendant l’envoi : choisissez-le de nouveau."),
    "drive.too_slow": gettext_lazy("L’envoi est trop lent : essayez depuis une autre connexion."),
    "drive.foreign_origin": gettext_lazy("Rechargez cette page, puis recommencez."),
    "live.grant_refused": gettext_lazy(
        "Cette page est ouverte depuis longtemps : rechargez-la, puis recommencez."
    ),
    "input.invalid": gettext_lazy("Écrivez votre nom, choisissez un fichier, puis recommencez."),
    "drive.store_unavailable": _LATER,
    "drive.locked": _LATER,
    "drive.keys_erased": _CLOSED,
    "service.unavailable": gettext_lazy("Trop de monde à la fois : réessayez dans quelques minutes."),
}


def refusal(code: str) -> str:
    return str(REFUSALS.get(code, REFUSALS["drive.drop_refused"]))


def of_types(types: str) -> str:
    """What a link takes, as its page says it."""
    words = dict(TYPES.values())
    return str(words.get(types, _("Fichiers : %(types)s") % {"types": types.replace(" ", ", ")}))


def size(megabytes: int) -> str:
    return words.size(megabytes * _MB)


def bytes_of(megabytes: int) -> int:
    return megabytes * _MB
