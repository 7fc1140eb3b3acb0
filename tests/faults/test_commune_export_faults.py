"""An export of a collectivité that is killed at any moment, or whose disk is full, and goes on."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity.actor import Actor
from beffroi.portal.commune_export.folder import DiskFull

from tests.conftest import Commune
from tests.drive_browser import server
from tests.drive_server import Served
from tests.faults.test_mail_backup_faults import small_disk
from tests.fixtures_commune_export import Hall, check, files_of, run
from tests.fixtures_drive import noise
from tests.fixtures_portal import no_door
from tests.waiting import until

__all__ = ["no_door", "run", "server", "small_disk"]
pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
KILLS = 6
CHILD = """
import sys, time
from pathlib import Path
from django.conf import settings
import django
settings.DATABASES["default"].update(__import__("json").loads(sys.argv[1]))
django.setup()
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.portal.commune_export import folder, mails, work

mails._write = lambda work, mailbox: None  # no Dovecot here
real = folder.Out.write
def write(self, data):
    time.sleep(0.003)  # the moments to die
    return real(self, data)
folder.Out.write = write
folder.CHECK_FILES = 5
work.run(
    actor=Actor("administrator", sys.argv[2], None, "administrator"),
    collectivite=Collectivite.objects.get(pk=sys.argv[3]),
    path=Path(sys.argv[4]), reason="Courrier du maire", account="root",
)
"""


def begun(state: Path, who: Actor, commune: Commune, path: Path) -> subprocess.Popen[bytes]:
    from django.db import connection

    known = {"NAME": str(connection.settings_dict["NAME"])}
    named = os.environ | {"BEFFROI_STATE": str(state), "DJANGO_SETTINGS_MODULE": "beffroi.settings.web"}
    words = [sys.executable, "-c", CHILD, json.dumps(known), who.id, commune.id, str(path)]
    return subprocess.Popen(words, env=named)


@pytest.mark.usefixtures("no_door")
def test_one_that_is_killed_at_any_moment_is_never_called_whole_and_goes_on(
    state: Path, server: Served, beaune: Commune, administrator: Actor, tmp_path: Path
) -> None:
    hall = Hall(beaune, server, "Clos-Vougeot")
    hall.fill()
    for number in range(40):
        hall.send(f"Plan {number}.dwg", hall.drive.common)
    path = tmp_path / "disque"
    path.mkdir()
    moments = random.Random(126)
    for _ in range(KILLS):
        child = begun(state, administrator, beaune, path)
        until(
            lambda child=child: (path / ".etat.sqlite").exists() or child.poll() is not None,
            "it has not begun",
        )
        time.sleep(moments.uniform(0, 1.5))
        child.kill()
        if child.wait() == 0:
            break  # it had ended by then
        assert not (path / "manifest-sha256.txt").exists() or (path / "INCOMPLET.txt").exists()
    if (path / "INCOMPLET.txt").exists():
        assert begun(state, administrator, beaune, path).wait() == 0
    check(path)
    plans = {one: body for one, body in files_of(path).items() if "/Plan " in one}
    assert plans == {
        f"coffre/Dossier commun/Plan {number}.dwg": f"Clos-Vougeot Plan {number}.dwg".encode()
        for number in range(40)
    }
    row = CommuneExport.objects.order_by("begun_at").last()
    assert row is not None and row.state == "done"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_disk_that_is_full_is_said_and_with_room_the_same_call_goes_on(
    server: Served, no_door: None, beaune: Commune, run: Any, small_disk: Path
) -> None:
    hall = Hall(beaune, server, "Clos-Vougeot")
    hall.fill()
    bodies = {f"Photo {number}.tif": noise(700_000, bytes([number])) for number in range(12)}
    for name, body in bodies.items():
        hall.send(name, hall.drive.common, body)
    path = small_disk / "export"
    for _ in range(2):
        with pytest.raises(DiskFull):
            run(beaune, path)
        assert not (path / "manifest-sha256.txt").exists() and (path / "INCOMPLET.txt").exists()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    run(beaune, path)
    check(path)
    found = files_of(path)
    assert {name: found[f"coffre/Dossier commun/{name}"] for name in bodies} == bodies
    assert CommuneExport.objects.get().state == "done"
