"""The Coffre of a commune is erased while sealed folders stand in it whose term is not over."""

from __future__ import annotations

import json
from functools import partial

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.drive import erasures
from beffroi.drive.store import seals, tree
from beffroi.lib import clock
from beffroi.portal.console import drive as console_drive

from tests.conftest import Commune
from tests.drive_place import Place
from tests.drive_seal_rows import a_seal
from tests.fixtures_erasure import other, place, state
from tests.fixtures_portal import console_client, no_door, on_listener

__all__ = ["no_door", "other", "place", "state"]
pytestmark = pytest.mark.django_db
DAY_S = 86400


def test_seals_whose_term_runs_are_named_by_each_of_the_two_and_on_record(
    place: Place, beaune: Commune, administrator: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused to nobody who says so: a commune that leaves is erased. Nobody does it without knowing."""
    now_s = clock.epoch_s()
    for name, until_s in (("Toujours", 0), ("2036", now_s + 10 * DAY_S), ("Passé", now_s - DAY_S)):
        root = place.root()
        folder = place.database.write(partial(tree.make_folder, act=place.act(), parent=root.id, name=name))
        place.database.write(partial(seals.begin, seal=a_seal(folder, until_s=until_s)))
    monkeypatch.setattr(console_drive, "step_up", lambda request, actor: "")
    url, name = f"/communes/{beaune.id}/coffre/", beaune.collectivite.name
    asked = {"word": "ask", "name": name, "reason": "Départ"}
    with on_listener("console"):
        first, second = console_client(administrator.id), console_client(other.id)
        page = first.get(url).content.decode()
        assert "2 dossiers scellés, dont le terme n’est pas passé, seront détruits" in page
        answer = first.post(url, asked)
        assert answer.status_code == 400 and "avant leur terme" in answer.content.decode()
        with pytest.raises(erasures.SealsRunning):
            erasures.request(actor=administrator, collectivite=beaune.collectivite, reason="x")
        assert first.post(url, asked | {"seals": "1"}).status_code == 302
        assert "2 dossiers scellés" in second.get(url).content.decode()
        assert second.post(url, {"word": "grant"}).status_code == 400
        approval = erasures.waiting(beaune.id).get()
        with pytest.raises(erasures.SealsRunning):
            erasures.grant(actor=other, approval=approval)
        assert second.post(url, {"word": "grant", "seals": "1"}).status_code == 302
    entries = AuditEntry.objects.filter(object_id=beaune.id, verb__startswith="drive:erasure").order_by("id")
    assert [(one.verb, json.loads(one.details)["seals"]) for one in entries] == [
        ("drive:erasure:asked", "2"),
        ("drive:erasure:granted", "2"),
    ]
