"""Plain words for shares of the Coffre: with whom, with which rights, until when."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from beffroi.portal.counts import Count

DAY_S = 86400
ROLES = {
    "agent": gettext_lazy("Tous les agents"),
    "elu": gettext_lazy("Tous les élus"),
    "referent": gettext_lazy("Les référents"),
    "dpo": gettext_lazy("Le délégué à la protection des données"),
}
RIGHTS = {"read": gettext_lazy("Lire"), "write": gettext_lazy("Lire et modifier")}
STATES = {
    "offered": gettext_lazy("Pas encore de réponse"),
    "accepted": gettext_lazy("Accepté"),
    "refused": gettext_lazy("Refusé"),
    "erased": gettext_lazy("Son Coffre a été effacé : personne ne le voit"),
    "silent": gettext_lazy("Sa réponse ne peut pas être lue pour le moment"),
}


def ends() -> list[tuple[str, str]]:
    """(days, words): how long a share lasts; "" for no end."""
    return [
        ("", _("Jusqu’à ce que je l’arrête")),
        ("7", _("7 jours")),
        ("30", _("30 jours")),
        ("90", _("90 jours")),
        ("365", _("Un an")),
    ]


def target(kind: str, target_id: str, names: Mapping[str, Mapping[str, str]]) -> str:
    """With whom, in words; who is gone has no name any more. ``names``: of each kind but roles, by identifier."""
    if kind == "role":
        return str(ROLES[target_id])
    return names[kind].get(target_id) or _("Une personne partie")


def group(count: int) -> str:
    """What a group is, beside its name among people. ``count``: its people."""
    if not count:
        return _("Groupe, encore personne")
    return ngettext("Groupe, %(n)s personne", "Groupe, %(n)s personnes", count) % {"n": Count(count)}


def people(count: int) -> str:
    """How many are in a group."""
    return (
        ngettext("%(n)s personne", "%(n)s personnes", count) % {"n": Count(count)}
        if count
        else _("Encore personne")
    )


def reach(*, is_common: bool, is_shared: bool, count: int, is_folder: bool) -> str:
    """Who sees a place, in one sentence. ``count``: shares that open it."""
    if is_shared:
        return _("Une autre personne le partage avec vous.")
    if is_common:
        return (
            _("Toute la collectivité voit ce dossier.")
            if is_folder
            else _("Toute la collectivité voit ce fichier.")
        )
    if count:
        return ngettext("Vous le partagez : %(n)s partage.", "Vous le partagez : %(n)s partages.", count) % {
            "n": Count(count)
        }
    return _("Vous seul voyez ce dossier.") if is_folder else _("Vous seul voyez ce fichier.")
