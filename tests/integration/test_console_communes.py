"""The communes of a whole département at the console: pages of them, what narrows them, and how one is found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from beffroi.core.communes.models import Collectivite
from beffroi.lib import clock
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import on_listener
from tests.markup import text_of

LINKED = 'Personnes<span class="sr"> Beaune</span>'
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def many(beaune: Commune) -> Iterator[None]:
    """Beaune, which has a référent, and 120 that nobody answers for."""
    Collectivite.objects.bulk_create(
        Collectivite(kind="commune", name=f"Évelle {n:03}", enrolled_at=clock.now()) for n in range(119)
    )
    Collectivite.objects.create(
        kind="syndicat", name="Syndicat des eaux de l’Armançon", enrolled_at=clock.now()
    )
    with on_listener("console"):
        yield


def row(name: str) -> str:
    return f'<th scope="row">{name}</th>'


def test_a_whole_departement_stands_on_pages_and_each_commune_on_one_of_them(console: Client) -> None:
    pages = [text_of(console.get("/communes/", {"page": number})) for number in ("", "2", "3")]
    assert "page 1 sur 3" in pages[0] and "121 collectivités inscrites" in pages[0]
    assert "Page suivante" in pages[1] and "Page précédente" in pages[1]
    assert "Page suivante" not in pages[2]
    for n in range(119):
        assert sum(row(f"Évelle {n:03}") in one for one in pages) == 1
    assert row("Évelle 000") in pages[0] and row("Syndicat des eaux de l’Armançon") in pages[2], "É is an E"
    assert "page 1 sur 3" in text_of(console.get("/communes/", {"page": "9²"}))
    assert "page 3 sur 3" in text_of(console.get("/communes/", {"page": "99"}))


def test_those_that_ask_for_something_are_listed_alone_and_stay_so_on_the_next_page(console: Client) -> None:
    shown = console.get("/communes/", {"etat": "no_referent"})
    assert 'Sans référent <span class="count">120</span>' in text_of(shown) and row("Beaune") not in text_of(
        shown
    )
    assert 'href="/communes/?etat=no_referent&amp;page=2#h-in"' in shown.content.decode()
    assert "Aucune collectivité n’est dans ce cas" in text_of(
        console.get("/communes/", {"etat": "to_review"})
    )
    assert "121 collectivités · page 1 sur 3" in text_of(console.get("/communes/", {"etat": "x"}))


def test_a_collectivite_that_no_register_of_communes_has_is_found_by_name_and_domain(
    console: Client, beaune: Commune
) -> None:
    found = text_of(
        console.get("/communes/", {"q": "armancon", "part": "hits"}, headers={"HX-Request": "true"})
    )
    assert "Syndicat des eaux de l’Armançon" in found and "Inscrite" in found
    found = text_of(
        console.get("/communes/", {"q": beaune.domain, "part": "hits"}, headers={"HX-Request": "true"})
    )
    assert LINKED in found
    twice = text_of(
        console.get("/communes/", {"q": "Beaune", "part": "hits"}, headers={"HX-Request": "true"})
    )
    assert twice.count(LINKED) == 1
