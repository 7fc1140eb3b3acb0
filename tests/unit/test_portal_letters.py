"""Words of strangers in mails of the centre."""

from __future__ import annotations

import pytest
from beffroi.core.communes.models import CommuneExport
from beffroi.portal.letters import letter, unlinked


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Payez sur https://pay.exemple.fr/f?x=1", "Payez sur https[:]//pay[.]exemple[.]fr/f?x=1"),
        ("www.péage.fr, http://192.0.2.1/a", "www[.]péage[.]fr, http[:]//192.0.2.1/a"),
        ("Devis n° 1.5 du 2.11. Merci", "Devis n° 1.5 du 2.11. Merci"),
        ("Les courriels de a.b@exemple.fr sont refusés", "Les courriels de a.b@exemple.fr sont refusés"),
        ("-" * 5000 + "." * 5000, "-" * 5000 + "." * 5000),
    ],
)
def test_no_program_makes_a_link_of_it(said: str, shown: str) -> None:
    assert unlinked(said) == shown


@pytest.mark.parametrize(
    ("missing", "said"), [(1, "1 chose n’a pas pu être lue."), (2, "2 choses n’ont pas pu être lues.")]
)
def test_an_export_that_lacks_something_says_how_much(missing: int, said: str) -> None:
    export = CommuneExport(state="done", missing=missing)
    found = letter("Terminé", "commune_export", {"commune": "Beaune", "export": export, "page": "https://x/"})
    assert said in found.text and said in found.html
