"""The emergency sheet: what is on it of the commune and of the Département, and what is left to fill in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from beffroi.core.identity.models import Person
from beffroi.portal.web.emergency import others

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.markup import flat

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db


def test_it_names_who_can_be_called(settings: Any, beaune: Commune, nuits: Commune) -> None:
    for commune in (beaune, nuits):
        Person.objects.filter(id=commune.referent.id).update(name=f"Référente de {commune.collectivite.name}")
    client = portal_client(beaune.agent_membership)
    bare = flat(client.get("/dossiers/fiche-reflexe/").content.decode())
    assert "CSIRT régional (secours)</dt><dd></dd>" in bare  # nobody gave a number: a line to write it on
    assert "Référente de Beaune (référent)</dt><dd></dd>" in bare
    assert nuits.collectivite.name not in bare
    settings.BEFFROI = replace(
        settings.BEFFROI,
        incident_contact="01 99 00 00 01",
        crisis_contacts="CSIRT de la région : 01 99 00 00 02; Sous-préfecture; ",
    )
    given = flat(client.get("/dossiers/fiche-reflexe/").content.decode())
    assert "Le Département</dt><dd>01 99 00 00 01</dd>" in given
    assert "CSIRT de la région</dt><dd>01 99 00 00 02</dd>" in given
    assert "Sous-préfecture</dt><dd></dd>" in given and "CSIRT régional" not in given


def test_a_number_may_hold_colons() -> None:
    assert others("Garde : tél. : 01 99 00 00 03;;") == [("Garde", "tél. : 01 99 00 00 03")]
