"""What an address may look like before its @, and what is proposed instead: as tables."""

from __future__ import annotations

import pytest
from beffroi.mail.naming import AddressUnusable, check_local, proposed


@pytest.mark.parametrize(
    "local", ["mairie", "a", "etat-civil", "jean.dupont", "bulletin_2026", "2026", "a" * 64]
)
def test_plain_addresses_are_given(local: str) -> None:
    check_local(local)
    assert proposed(local) == local


@pytest.mark.parametrize(
    ("local", "proposal"),
    [
        ("élodie", "elodie"),
        ("Élodie d’Aubigné", "elodie.daubigne"),
        ("état civil", "etat.civil"),
        ("cœur-de-bœuf", "coeur-de-boeuf"),
        ("e\u0301tat", "etat"),
        ("a..b", "a.b"),
        (".mairie.", "mairie"),
        ("agent+sncf", "agentsncf"),
        ("o'brien", "obrien"),
        ("a@b", "ab"),
        ("Ærø", "aero"),
        ("x" * 80, "x" * 64),
        ("日本", ""),
        ("", ""),
        ("-", ""),
        ("мэрия", ""),
    ],
)
def test_others_are_refused_with_a_plain_proposal(local: str, proposal: str) -> None:
    with pytest.raises(AddressUnusable) as refused:
        check_local(local)
    assert refused.value.proposal == proposal
    assert (f"Proposed: {proposal}@" in str(refused.value)) == bool(proposal)
