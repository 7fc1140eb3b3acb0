"""The criteria of RPNT and of internet.nl's mail test, one by one, in plain words, with what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy

from beffroi.mail.domains import scores
from beffroi.portal import domain_words

RPNT = {
    "1.1": gettext_lazy("Le site est déclaré à Service-Public."),
    "1.2": gettext_lazy("Son nom se termine en .fr, ou comme RPNT l’admet."),
    "1.3": gettext_lazy("Il répond en HTTPS."),
    "1.4": gettext_lazy("En HTTP, il renvoie vers HTTPS."),
    "1.5": gettext_lazy("Son certificat est valable."),
    "1.6": gettext_lazy("Il ne renvoie pas vers un autre nom de domaine."),
    "1.7": gettext_lazy("Il répond avec et sans « www »."),
    "1.8": gettext_lazy("Il est déclaré avec « https:// »."),
    "2.1": gettext_lazy("L’adresse de courriel est déclarée à Service-Public."),
    "2.2": gettext_lazy("Elle n’est pas une adresse générique (orange.fr, gmail.com…)."),
    "2.3": gettext_lazy("Son nom de domaine est celui du site."),
    "2.4": gettext_lazy("Le domaine dit où remettre le courrier (MX)."),
    "2.5": gettext_lazy("Le domaine dit qui peut envoyer (SPF)."),
    "2.6": gettext_lazy("Le domaine dit quoi faire des faux (DMARC)."),
    "2.7": gettext_lazy("Les faux sont refusés ou mis à l’écart (DMARC)."),
    "2.8": gettext_lazy("Le serveur de courrier est dans l’Union européenne."),
}
_TAGS = {True: "criterion_met", False: "criterion_missed", None: "criterion_unknown"}


@dataclass(frozen=True)
class Criterion:
    """``name``: RPNT's number, or ""; ``tag``: a key of ``words.STATES``."""

    name: str
    said: Any
    tag: str
    declared: bool = False


def rpnt(score: scores.Score) -> Iterator[Criterion]:
    for number, met in score.points.items():
        known = number in scores.RPNT_DECLARED and met is not None
        yield Criterion(number, RPNT[number], _TAGS[met], known)


def internet_nl(score: scores.Score) -> Iterator[Criterion]:
    for item, met in score.points.items():
        yield Criterion("", domain_words.label(item), _TAGS[met])
