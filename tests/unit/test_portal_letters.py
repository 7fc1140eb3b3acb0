"""Words of strangers in mails of the centre."""

from __future__ import annotations

import pytest
from beffroi.portal.letters import unlinked


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
