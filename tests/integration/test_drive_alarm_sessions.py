"""Who stole somebody's session changes files in the portal as ransomware does: it is stopped, ended, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from beffroi.core.events.outbox import publish
from beffroi.core.events.running import run_pending
from beffroi.drive import alarms, browsers, recovery
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.web import granted
from beffroi.lib import clock
from django.test import Client

from tests import drive_alarming, drive_attacks
from tests.conftest import Commune
from tests.drive_alarming import (
    COLLEAGUE,
    COMMON,
    act,
    content_of,
    hash_of,
    judged,
    metadata,
    raised,
    town_hall,
)
from tests.drive_pages import Drive, client, do, drive
from tests.drive_server import A, Served
from tests.fixtures_portal import confirmed, no_door, portal_client
from tests.integration.test_drive_abuse import _cookie as cookie
from tests.waiting import until

__all__ = ["client", "do", "drive", "no_door"]
served = drive_alarming.drive


def today(person_id: str) -> str:
    return browsers.device_of("page", person_id, clock.epoch_s())


def folders(served: Served) -> dict[str, int]:
    with metadata(served) as database, database.reading() as reading:
        rows = reading.all("SELECT name, id FROM node WHERE is_folder = 1")
    return dict(rows)


def send(
    served: Served, folder: int, name: str, data: bytes, person_id: str = "per_alice"
) -> tuple[int, str]:
    """Over what has this name; (status, code)."""
    sent = {"folder": folder, "name": name, "size_bytes": len(data), "taken": "replace"}
    headers = {
        "Cookie": cookie(served, granted.IN_PATH, person_id),
        "X-Beffroi-File": quote(json.dumps(sent)),
    }
    status, _, answer = served.exchange("POST", "/coffre/envoi/fichier", data, headers)
    return status, json.loads(answer).get("code", "")


def test_what_is_encrypted_by_the_pages_is_stopped_and_taken_back(served: Served) -> None:
    files = town_hall(served)
    judged(served)
    at, lost = folders(served), 0
    for number, path in enumerate(sorted(files, key=hash_of)):
        folder, _, name = path.partition("/")
        status, code = send(served, at[folder], name, drive_attacks.full(files[path], number))
        if status != 201:
            assert (status, code) == (403, "drive.device_stopped")
            break
        judged(served)
        lost += 1
    assert lost <= 4, "docs/internals/ransomware.md: in place, whole: 3, and one that came meanwhile"
    (alarm,) = raised(served)
    assert (alarm.device_id, alarm.person_id) == (today("per_alice"), "per_alice")
    assert served.ask("PROPFIND", COMMON, Depth="0")[0] == 207, "devices of theirs go on"
    assert send(served, at["f0"], "suite.txt", b"suite", "per_amir")[0] == 201
    with metadata(served) as database:
        over = recovery.carry_out(database, act(), alarm.device_id)
    assert (over.state, over.done, over.missed) == ("restored", lost, 0)
    assert content_of(served, files) == files
    assert served.ask("GET", f"{COLLEAGUE}/f0/suite.txt", login="amir")[2] == b"suite"


def test_a_session_that_was_stopped_in_one_commune_is_not_so_in_another(served: Served) -> None:
    town_hall(served)
    alarm = Alarm(today("per_alice"), float(clock.epoch_s()), 3, {Sign.LOST: 3})
    with metadata(served) as database:
        database.write(lambda w: alarms.raise_(w, alarm, now_s=clock.epoch_s()))
    at = folders(served)["f0"]
    until(lambda: send(served, at, "a.txt", b"a") == (403, "drive.device_stopped"), "stopped")
    assert served.ask("PUT", "/remote.php/dav/files/bruno/a.txt", b"a", "bruno")[0] == 201
    assert raised(served, A)[0].state == "open"


@pytest.mark.django_db
def test_who_was_stopped_changes_nothing_by_the_pages_and_a_colleague_does(
    drive: Drive, do: Callable[..., str], beaune: Commune, client: Client
) -> None:
    one = drive.file("Budget.ods", drive.common)
    alarm = Alarm(today(beaune.agent.id), float(clock.epoch_s()), 3, {Sign.LOST: 3})
    drive.database.write(lambda w: alarms.raise_(w, alarm, now_s=clock.epoch_s()))
    assert "comme le fait un rançongiciel" in do("delete", drive.common, n=[one.id])
    assert "Budget.ods" in drive.names(drive.common)
    referent = portal_client(beaune.referent_membership)
    assert "Le portail, dans un navigateur" in referent.get("/coffre/alertes/").content.decode()
    referent = confirmed(beaune.referent_membership)
    said = referent.post("/coffre/alertes/", {"what": "settle", "device": alarm.device}, follow=True)
    assert "La personne peut de nouveau écrire" in said.content.decode()
    do("delete", drive.common, n=[one.id])
    assert "Budget.ods" not in drive.names(drive.common)
    with drive.database.reading() as reading:
        row = reading.one("SELECT device_id FROM change WHERE node = ? AND kind = 'deleted'", (one.id,))
    assert row == (alarm.device,)


@pytest.mark.django_db
def test_what_follows_is_said_of_a_browser_and_of_no_password(
    drive: Drive, do: Callable[..., str], beaune: Commune, no_door: Any
) -> None:
    do("delete", drive.common, n=[drive.file("Budget.ods", drive.common).id])
    alarm = Alarm(today(beaune.agent.id), float(clock.epoch_s()), 3, {Sign.LOST: 3})
    drive.database.write(lambda w: alarms.raise_(w, alarm, now_s=clock.epoch_s()))
    referent = portal_client(beaune.referent_membership)
    open_one = referent.get("/coffre/alertes/").content.decode()
    assert "elle change son mot de passe du portail" in open_one and "Débranchez cet appareil" not in open_one
    own = portal_client(beaune.agent_membership).get("/coffre/alertes/").content.decode()
    assert "changez votre mot de passe du portail" in own and "Demandez à la personne" not in own
    page = referent.post("/coffre/alertes/", {"what": "restore", "device": alarm.device}, follow=True)
    said = page.content.decode()
    assert "change son mot de passe, puis se reconnecte" in said and "mot de passe d’application" not in said


@pytest.mark.django_db
def test_its_sessions_end_also_where_it_wrote_at_a_neighbour_s(
    beaune: Commune, nuits: Commune, no_door: Any
) -> None:
    stolen, colleague = portal_client(beaune.agent_membership), portal_client(beaune.colleague_membership)
    told = {
        "app_password_id": today(beaune.agent.id),
        "person_id": beaune.agent.id,
        "files": 3,
        "reasons": {},
    }
    publish("drive:alarm", told, collectivite_id=None)
    run_pending("main")
    assert stolen.get("/").status_code == 200
    publish("drive:alarm", told, collectivite_id=nuits.id)
    run_pending("main")
    assert stolen.get("/").status_code == 302
    again = portal_client(beaune.agent_membership)
    publish("drive:alarm", told, collectivite_id=beaune.id)
    run_pending("main")
    assert again.get("/").status_code == 302
    assert colleague.get("/").status_code == 200
