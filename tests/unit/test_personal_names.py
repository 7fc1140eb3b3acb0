"""Names of files and folders that say that they are somebody's own, and those of a town hall that only sound so."""

from __future__ import annotations

import pytest
from beffroi.lib.personal import is_personal_name


@pytest.mark.parametrize(
    "name",
    [
        "Personnel",
        "PRIVÉ",
        "Privé\u200b",
        "prive\u0301",
        "perso.zip",
        "photos_privées.zip",
        "Lettre personnelle.odt",
        "2026 - perso",
        "Strictement personnel",
        "private stuff",
        "Mes documents personnels (2)",
    ],
)
def test_it_is_somebodys_own(name: str) -> None:
    assert is_personal_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "Personnel communal",
        "Dossiers du personnel.ods",
        "Domaine privé.pdf",
        "École privée",
        "Données personnelles - registre.xlsx",
        "Délibérations",
        "personne.txt",
        "",
    ],
)
def test_it_is_the_town_hall_s(name: str) -> None:
    assert not is_personal_name(name)
