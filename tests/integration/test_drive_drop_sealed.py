"""A drop box whose folder was sealed meanwhile: its link is closed, before a byte comes and a word is on record."""

from __future__ import annotations

import pytest
from beffroi.drive.store import look, seals
from beffroi.drive.store.model import Node

from tests.drive_browser import server
from tests.drive_dropping import Sender, folder, sender
from tests.drive_pages import Drive, client, drive
from tests.drive_seal_rows import a_seal
from tests.drive_server import Served
from tests.fixtures_portal import no_door

__all__ = ["client", "drive", "folder", "no_door", "sender", "server"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("above", [False, True])
def test_nothing_is_handed_in_to_a_sealed_folder(
    drive: Drive, folder: Node, server: Served, sender: Sender, above: bool
) -> None:
    assert sender.hand("avant.pdf")[0] == 201
    told = server.directory / "told-handed"
    before = told.read_text()
    made = a_seal(drive.folder("Dossier scellé", folder) if above else folder)
    drive.database.write(lambda w: seals.begin(w, made))
    status, said = sender.hand("après.pdf")
    assert ("n’est plus ouvert" in sender.page()) is not above, "nobody writes a message first"
    # What lies above a sealed folder still takes files.
    assert (status, said.get("code")) == ((201, None) if above else (404, "drive.link_closed"))
    with drive.database.reading() as reading:
        names = {one.name for one in look.children(reading, folder.id) if not one.is_folder}
    assert names == ({"avant.pdf", "après.pdf"} if above else {"avant.pdf"})
    assert (told.read_text() == before) is not above
