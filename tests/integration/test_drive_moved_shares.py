"""Nobody passes on what is somebody else's by sharing something of their own first and moving it there then."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME

from tests.drive_asking import HOME
from tests.drive_server import Served
from tests.drive_sharing import share

pytest_plugins = ["tests.fixtures_drive_dav"]
AMIR, ELISE = "/remote.php/dav/files/amir", "/remote.php/dav/files/elise"
COMMON = f"{AMIR}/Commune"
WRITE = Wish("person", "per_amir", rights="write")
FOR_ELISE = Wish("person", "per_elise")


@pytest.fixture
def inside(drive: Served, folder: str) -> str:
    """Amir's way into a folder that alice lets him write in."""
    share(drive, folder.removeprefix(f"{HOME}/"), WRITE)
    return f"{AMIR}/{quote(SHARED_NAME)}/{folder.rpartition('/')[2]}"


def elise_reads(drive: Served, path: str) -> int:
    return drive.ask("GET", f"{ELISE}/{quote(SHARED_NAME)}/{path}", login="elise")[0]


@pytest.mark.parametrize("below", ["", "/dedans"])
def test_what_was_shared_before_it_came_into_somebody_s_folder_is_shared_no_more(
    drive: Served, folder: str, inside: str, below: str
) -> None:
    name = f"piege{below and '2'}"
    for path in dict.fromkeys((name, name + below)):
        assert drive.ask("MKCOL", f"{AMIR}/{path}", login="amir")[0] == 201
    drive.ask("PUT", f"{AMIR}/{name}{below}/a-moi.txt", b"amir", "amir")
    share(drive, name + below, FOR_ELISE, "amir")
    seen = (name + below).rpartition("/")[2]
    assert elise_reads(drive, f"{seen}/a-moi.txt") == 200
    moved = drive.ask("MOVE", f"{AMIR}/{name}", login="amir", Destination=f"{inside}/{name}")
    assert moved[0] == 201
    assert drive.ask("PUT", f"{folder}/{name}{below}/secret.txt", b"alice")[0] == 201
    assert drive.ask("GET", f"{folder}/{name}{below}/a-moi.txt")[2] == b"amir"
    assert elise_reads(drive, f"{seen}/secret.txt") == 404
    assert drive.ask("PROPFIND", f"{AMIR}/{name}", login="amir", Depth="0")[0] == 404


def test_what_nobody_else_sees_moves_as_it_is(drive: Served, inside: str) -> None:
    number = drive.ask("PUT", f"{AMIR}/seul.txt", b"amir", "amir")[1]["oc-fileid"]
    moved = drive.ask("MOVE", f"{AMIR}/seul.txt", login="amir", Destination=f"{inside}/seul.txt")
    assert (moved[0], moved[1]["oc-fileid"]) == (201, number)


def test_what_one_shares_oneself_stays_shared_in_the_common_folder_and_not_in_another_s(
    drive: Served,
) -> None:
    assert drive.ask("MKCOL", f"{AMIR}/projet", login="amir")[0] == 201
    share(drive, "projet", FOR_ELISE, "amir")
    moved = drive.ask("MOVE", f"{AMIR}/projet", login="amir", Destination=f"{COMMON}/projet")
    assert moved[0] == 201
    drive.ask("PUT", f"{COMMON}/projet/x", b"x", "amir")
    assert drive.ask("GET", f"{ELISE}/Commune/projet/x", login="elise")[0] == 200
    # alice takes it: what is hers, she alone shares
    assert drive.ask("MOVE", f"{HOME}/Commune/projet", Destination=f"{HOME}/projet-a-moi")[0] == 201
    drive.ask("PUT", f"{HOME}/projet-a-moi/prive", b"x")
    assert elise_reads(drive, "projet/prive") == elise_reads(drive, "projet-a-moi/prive") == 404
