"""A référent’s answer to another commune’s share, changed: pressed by mistake, it is put right while that stands."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive
from tests.drive_share_pages import make, only_share, recorded, text, there
from tests.fixtures_portal import no_door, portal_client

__all__ = ["client", "drive", "no_door", "there"]
pytestmark = pytest.mark.django_db
PAGE = "/coffre/partages-avec-moi/"


def press(there: Client, share_id: str, what: str) -> str:
    return there.post(PAGE, {"partage": share_id, "what": what}, follow=True).content.decode()


def test_an_answer_is_changed_both_ways_and_said_each_time(
    drive: Drive, nuits: Commune, client: Client, there: Client
) -> None:
    folder = drive.folder("Piste cyclable")
    make(client, folder.id, f"collectivite:{nuits.id}")
    share, agent = only_share(drive), portal_client(nuits.agent_membership)
    page = press(there, share.id, "refuse")
    assert "C’est refusé" in page and "changer d’avis plus bas" in page and 'value="accept"' in page
    assert "Piste cyclable" not in text(agent, PAGE)
    page = press(there, share.id, "accept")
    assert "C’est accepté" in page and "changer d’avis plus bas" in page and 'value="refuse"' in page
    assert "Piste cyclable" in text(agent, PAGE) and agent.get(f"/coffre/chez/{share.id}/").status_code == 200
    press(there, share.id, "refuse")
    assert agent.get(f"/coffre/chez/{share.id}/").status_code == 404
    assert [one for one in recorded(nuits.id) if one != "crossed"] == [
        *("made", "refused", "accepted", "refused")
    ]


def test_what_its_owner_ended_is_accepted_by_nobody_any_more(
    drive: Drive, nuits: Commune, client: Client, there: Client
) -> None:
    folder = drive.folder("Piste cyclable")
    make(client, folder.id, f"collectivite:{nuits.id}")
    share = only_share(drive)
    press(there, share.id, "refuse")
    client.post(f"/coffre/partages/{share.id}/arreter/")
    assert "Piste cyclable" not in text(there, PAGE)
    press(there, share.id, "accept")
    assert there.get(f"/coffre/chez/{share.id}/").status_code == 404
    assert "Piste cyclable" not in text(portal_client(nuits.agent_membership), PAGE)
