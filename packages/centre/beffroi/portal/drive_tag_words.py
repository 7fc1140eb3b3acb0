"""Plain words for labels, and what the page of a file or a folder says of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext_lazy

from beffroi.drive import tagging
from beffroi.drive.store import tags
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place, View
from beffroi.lib.errors import BeffroiError
from beffroi.portal import drive_words

MOST_OFFERED = 200
"""Names that the field offers while one types."""
MOST_IN_ROW = 3
"""Labels that the row of a list names; of others it says how many."""
REFUSALS = {
    "drive.tag_absent": gettext_lazy("Cette étiquette n’est plus là : quelqu’un l’a retirée ou supprimée."),
    "drive.tag_taken": gettext_lazy(
        "Une étiquette porte déjà ce nom, peut-être avec d’autres majuscules : choisissez-en un autre."
    ),
    "drive.tag_refused": gettext_lazy(
        "Seuls la personne qui a créé cette étiquette et les référents peuvent faire cela."
    ),
    "drive.tag_name_refused": gettext_lazy("Donnez à l’étiquette un nom de 64 signes au plus."),
    "drive.too_many_tags": gettext_lazy(
        "C’est trop d’étiquettes : retirez-en une d’abord, ou choisissez-en une qui existe."
    ),
    "drive.read_only": gettext_lazy(
        "Vous pouvez lire ici, pas y poser d’étiquette. Une étiquette nouvelle se crée avec le rôle d’agent ou de "
        "référent."
    ),
    "drive.sealed": gettext_lazy(
        "C’est scellé : on peut le lire et le copier, ses étiquettes ne changent pas."
    ),
}


def refusal(error: BeffroiError) -> str:
    """Errors: ``error`` itself, where it is none of these."""
    return str(REFUSALS[error.code]) if error.code in REFUSALS else drive_words.refusal(error)


def add_to(lines: Iterable[dict[str, Any]], reading: Reading, view: View) -> None:
    """``labels`` and ``more_labels`` of each row that has some. Another collectivité's labels are its own."""
    if view.share_id:
        return
    rows = {line["entry"].id: line for line in lines}
    for node_id, found in tags.by_node(reading, view.who, list(rows)).items():
        rows[node_id] |= {"labels": found[:MOST_IN_ROW], "more_labels": len(found[MOST_IN_ROW:])}


def of_place(reading: Reading, view: View, place: Place) -> dict[str, Any]:
    """Nothing for a root: it is nobody's file."""
    if not place.node.parent:
        return {}
    on_it = tags.by_node(reading, view.who, [place.node.id]).get(place.node.id, [])
    may_tag = tagging.may_tag(reading, place)
    offered = (
        [one for one in tags.seen(reading, view.who) if tags.may_assign(view.who, one)] if may_tag else []
    )
    return {
        "tags": [{"tag": one, "may_take": may_tag and tags.may_assign(view.who, one)} for one in on_it],
        "tagged_node": place.node,
        "may_tag": may_tag,
        "shows_tags": may_tag or bool(on_it),
        "may_make_tag": tagging.may_make(view),
        "offered_tags": [one for one in offered if one not in on_it][:MOST_OFFERED],
    }
