"""The national register that is shipped with the centre."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from beffroi.core.communes import build_register, register


def test_register_has_every_commune_of_france() -> None:
    communes = list(register._load().communes.values())
    assert len(communes) == 34_969
    assert len({one.insee for one in communes}) == 34_969
    departements = Counter(one.departement for one in communes)
    assert departements["21"] == 698
    assert departements["75"] == 1
    assert {"2A", "2B", "971", "972", "973", "974", "976"} <= set(departements)
    assert 66_000_000 < sum(one.population for one in communes) < 71_000_000


def test_every_commune_has_a_code_a_name_and_plausible_numbers() -> None:
    for one in register._load().communes.values():
        assert re.fullmatch(r"(\d{2}|2[AB])\d{3}", one.insee, re.ASCII), one
        assert re.fullmatch(r"(\d{9})?", one.siren, re.ASCII), one
        assert one.name == one.name.strip() != "", one
        assert one.insee.startswith(one.departement), one
        assert bool(one.epci_siren) == bool(one.epci_name), one
        assert one.epci_siren == "" or re.fullmatch(r"\d{9}", one.epci_siren, re.ASCII), one


def test_commune_is_found_by_its_code_with_its_epci() -> None:
    beaune = register.find("21054")
    assert beaune is not None
    assert (beaune.name, beaune.siren, beaune.departement) == ("Beaune", "212100549", "21")
    assert "Beaune" in beaune.epci_name
    assert register.find("99999") is None


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("dijon", "Dijon"),
        ("nuits saint georges", "Nuits-Saint-Georges"),
        ("NUITS-ST", None),
        ("l'hay", "L'Haÿ-les-Roses"),
        ("selongey", "Selongey"),
        ("21054", "Beaune"),
        ("oeuilly", "Œuilly"),
        ("", None),
    ],
)
def test_search_ignores_case_accents_and_hyphens(text: str, first: str | None) -> None:
    found = register.search(text)
    assert (found[0].name if found else None) == first


def test_search_keeps_to_a_departement_and_to_its_limit() -> None:
    found = register.search("saint", departement="21", limit=5)
    assert len(found) == 5
    assert {one.departement for one in found} == {"21"}


def test_builder_leaves_out_communes_that_merged() -> None:
    communes: list[dict[str, Any]] = [
        {
            "code": "21002",
            "type": "commune-actuelle",
            "nom": "B",
            "departement": "21",
            "population": 9,
            "siren": "2",
        },
        {"code": "21001", "type": "commune-deleguee", "nom": "A", "departement": "21"},
        {"code": "98411", "type": "commune-actuelle", "nom": "Îles", "departement": "984"},
    ]
    epcis: list[dict[str, Any]] = [{"code": "1", "type": "CC", "nom": "E", "membres": [{"code": "21002"}]}]
    assert build_register.lines(communes, epcis) == [
        "E\t1\tCC\tE",
        "C\t21002\t2\t21\t9\t1\tB",
        "C\t98411\t\t984\t\t\tÎles",
    ]
