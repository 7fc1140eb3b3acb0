"""Plain words for a folder's past: what going back would do, and why it is not shown or not done."""

from __future__ import annotations

from django.utils.translation import gettext_lazy, ngettext_lazy

from beffroi.drive.store.ways import Plan
from beffroi.lib.errors import BeffroiError
from beffroi.portal import drive_words
from beffroi.portal.counts import in_words

_REFUSALS = {
    "drive.moment_ahead": gettext_lazy("Ce moment n’est pas encore passé : choisissez-en un plus tôt."),
    "drive.moment_absent": gettext_lazy(
        "Ce dossier n’existait pas à ce moment-là : choisissez-en un plus récent."
    ),
    "drive.moment_forgotten": gettext_lazy(
        "C’est trop loin : le Coffre ne sait plus comment c’était. Choisissez un moment plus récent."
    ),
    "drive.moment_private": gettext_lazy(
        "À ce moment-là, ce dossier était rangé dans d’autres fichiers. Son passé se voit depuis qu’il est ici : "
        "choisissez un moment plus récent."
    ),
    "drive.way_too_long": gettext_lazy(
        "Trop de fichiers sont concernés pour tout remettre d’un coup : faites-le dossier par dossier."
    ),
    "drive.way_under_way": gettext_lazy(
        "Une remise de ce dossier est déjà en cours : attendez qu’elle se termine."
    ),
    "input.invalid": gettext_lazy("Ce moment ne se comprend pas : choisissez un jour et une heure."),
}
_REASONS = {
    "drive.quota_full": gettext_lazy("il n’y a plus assez de place"),
    "drive.too_many_entries": gettext_lazy("la collectivité a trop de fichiers"),
    "drive.locked": gettext_lazy("quelqu’un avait un fichier ouvert"),
    "drive.found": gettext_lazy("un fichier est retenu, car dangereux"),
    "drive.sealed": gettext_lazy("une partie est scellée"),
    "drive.moment_private": gettext_lazy("le dossier a été déplacé entre-temps"),
    "drive.read_only": gettext_lazy(
        "la personne qui l’a demandée n’a plus le droit d’écrire dans ce dossier"
    ),
    "drive.version_absent": gettext_lazy("une version d’alors a été supprimée"),
    "drive.absent": gettext_lazy("quelqu’un a changé le dossier entre-temps"),
}
_SENTENCES = {
    "returned": ngettext_lazy(
        "%(n)s élément revient de la corbeille.",
        "%(n)s éléments reviennent de la corbeille.",
        "n",
    ),
    "rewritten": ngettext_lazy(
        "%(n)s fichier est remis à sa version d’alors.",
        "%(n)s fichiers sont remis à leur version d’alors.",
        "n",
    ),
    "moved": ngettext_lazy(
        "%(n)s élément reprend son nom ou sa place dans ce dossier.",
        "%(n)s éléments reprennent leur nom ou leur place dans ce dossier.",
        "n",
    ),
    "copied": ngettext_lazy(
        "%(n)s élément qui n’est plus ici est copié ; l’original reste où il est.",
        "%(n)s éléments qui ne sont plus ici sont copiés ; les originaux restent où ils sont.",
        "n",
    ),
    "removed": ngettext_lazy(
        "%(n)s élément arrivé depuis part dans la corbeille.",
        "%(n)s éléments arrivés depuis partent dans la corbeille.",
        "n",
    ),
    "stayed": ngettext_lazy(
        "%(n)s fichier garde son contenu présent : sa version d’alors a été supprimée, ou était trop ancienne.",
        "%(n)s fichiers gardent leur contenu présent : leur version d’alors a été supprimée, ou était trop "
        "ancienne.",
        "n",
    ),
    "lost": ngettext_lazy(
        "%(n)s fichier n’existe plus et ne peut pas revenir.",
        "%(n)s fichiers n’existent plus et ne peuvent pas revenir.",
        "n",
    ),
}


def refusal(error: BeffroiError) -> str:
    """Errors: ``error`` itself, where it is of no such kind."""
    if error.code in _REFUSALS:
        return str(_REFUSALS[error.code])
    return drive_words.refusal(error)


def reason(code: str) -> str:
    """Of what could not be done, to stand inside a sentence."""
    return str(_REASONS.get(code, _REASONS["drive.absent"]))


def sentences(plan: Plan) -> list[str]:
    """What going back would do, each kind in one sentence; those of which there is nothing are left out."""
    return [in_words(words, count) for name, words in _SENTENCES.items() if (count := getattr(plan, name))]
