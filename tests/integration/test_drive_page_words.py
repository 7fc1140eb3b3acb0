"""Coffre: what its pages say of what arrived and of what ends, and where what can be done with a folder stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from beffroi.drive.store import tree
from beffroi.drive.store.model import EMPTY
from django.conf import settings
from django.test import Client

from tests.drive_pages import Drive, client, drive
from tests.fixtures_portal import no_door
from tests.markup import text_of

__all__ = ["client", "drive", "no_door"]
pytestmark = pytest.mark.django_db


def test_a_page_says_how_many_files_came(client: Client) -> None:
    assert "1 fichier est arrivé." in text_of(client.get("/coffre/?recu=1"))
    assert "300 fichiers sont arrivés." in text_of(client.get("/coffre/?recu=300"))
    for none in ("", "?recu=0", "?recu=x", "?recu=-1"):
        page = text_of(client.get(f"/coffre/{none}"))
        assert "est arrivé." not in page and "sont arrivés." not in page


def test_a_new_folder_stands_before_a_list_of_any_length_and_the_rest_is_one_press_away(
    drive: Drive, client: Client
) -> None:
    folder = drive.folder("Beaucoup")

    def fill(count: int) -> None:
        def put(writing: Any) -> None:
            for number in range(count):
                tree.put(writing, drive.act, folder.id, f"{number:04d}.txt", EMPTY)

        drive.database.write(put)

    fill(1)
    short = text_of(client.get(f"/coffre/{folder.id}/"))
    assert short.index("Nouveau dossier") < short.index("0000.txt") < short.index("Partager ce dossier")
    assert "#dossier" not in short
    fill(201)
    long = text_of(client.get(f"/coffre/{folder.id}/"))
    assert long.index('href="?rang=200#dossier"') < long.index("0000.txt")
    # Where nothing follows that would push it away.
    end = text_of(client.get(f"/coffre/{folder.id}/?rang=200"))
    assert end.index("0200.txt") < end.index('id="dossier"') < end.index("Recevoir des fichiers par un lien")
    assert "La suite</a>" not in end and "Revenir au début du dossier" in end


def test_the_bin_says_when_it_empties_itself(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BEFFROI", replace(settings.BEFFROI, drive_trash_days=12))
    assert "Après 12 jours ici, un fichier est effacé pour de bon." in text_of(
        client.get("/coffre/corbeille/")
    )
