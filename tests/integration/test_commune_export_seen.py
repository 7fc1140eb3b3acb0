"""The export of a whole collectivité: who may ask for it, who sees it, and who stops it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.communes import exports
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.portal.commune_export import folder as folders
from beffroi.portal.commune_export import out

from tests.conftest import Commune
from tests.drive_browser import server
from tests.fixtures_commune_export import WISH, Hall, Run, cut_after, files_of, hall, run
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client
from tests.markup import text_of

__all__ = ["hall", "no_door", "run", "server"]
pytestmark = pytest.mark.django_db


def test_its_referent_sees_it_and_stops_it(
    hall: Hall, nuits: Commune, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disque"
    path.mkdir()
    with cut_after(monkeypatch, 5):
        run(hall.commune, path)
    row = CommuneExport.objects.get()
    assert list(exports.visible_exports(hall.commune.referent)) == [row]
    for stranger in (hall.commune.agent, nuits.referent):
        assert not exports.visible_exports(stranger).exists()
        with pytest.raises(NotFound):
            exports.access_export(stranger, row.id)
        with pytest.raises(NotAllowed):
            exports.stop(actor=stranger, export=row)
    exports.stop(actor=hall.commune.referent, export=row)
    with pytest.raises(exports.ExportStopped):
        run(hall.commune, path)
    assert not (path / "manifest-sha256.txt").exists()
    with pytest.raises(Conflict):
        exports.stop(actor=hall.commune.referent, export=row)


def test_the_home_of_a_referent_says_it_and_one_button_stops_it(hall: Hall, run: Run, tmp_path: Path) -> None:
    with_rights = portal_client(hall.commune.referent_membership)
    assert "exporte" not in text_of(with_rights.get("/"))
    run(hall.commune, tmp_path / "a")
    row = CommuneExport.objects.get()
    assert "L’export de toute la collectivité est terminé" in text_of(with_rights.get("/"))
    page = text_of(with_rights.get(f"/export/{row.id}/"))
    assert WISH in page and row.manifest_sha256 in page and "Arrêter l’export" not in page
    assert "L’export" not in text_of(portal_client(hall.commune.agent_membership).get("/"))

    row.state = "running"
    row.save()
    assert "Le Département exporte tout" in text_of(with_rights.get("/"))
    assert "Arrêter l’export" in text_of(with_rights.get(f"/export/{row.id}/"))
    assert "rien de plus n’est lu" in text_of(
        with_rights.post(f"/export/{row.id}/", {"word": "stop"}, follow=True)
    )
    row.refresh_from_db()
    assert (row.state, row.stopped_by) == ("stopped", hall.commune.referent.id)
    again = text_of(with_rights.post(f"/export/{row.id}/", {"word": "stop"}, follow=True))
    assert "rien n’a changé" in again
    with pytest.raises(exports.ExportStopped):
        exports.progress(row.id, files=1, size_bytes=1)


def test_only_an_administrator_exports_and_says_why(hall: Hall, run: Run, tmp_path: Path) -> None:
    for actor in (hall.commune.referent, hall.commune.agent, Actor.system("x")):
        with pytest.raises(NotAllowed):
            exports.begin(actor=actor, collectivite=hall.commune.collectivite, reason=WISH, account="root")
    with pytest.raises(Invalid):
        run(hall.commune, tmp_path / "a", reason=" ")
    assert not CommuneExport.objects.exists()


def test_a_stop_is_heard_in_the_middle_of_a_long_file(
    hall: Hall, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "CHECK_S", 0.0)
    hall.send("Film.mp4", hall.drive.common, os.urandom(5_000_000))
    real, written = out.Out.write, [0]

    def write(self: Any, data: Any) -> int:
        if len(data) > 500_000:
            written[0] += 1
            exports_of = CommuneExport.objects.filter(state="running")
            for one in exports_of:
                exports.stop(actor=hall.commune.referent, export=one)
        return real(self, data)

    monkeypatch.setattr(out.Out, "write", write)
    with pytest.raises(exports.ExportStopped):
        run(hall.commune, tmp_path / "a")
    assert written == [1] and not any("Film" in one for one in files_of(tmp_path / "a"))


def test_the_console_shows_exports_and_the_command(
    hall: Hall, run: Run, tmp_path: Path, administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        with on_listener("console"):
            return text_of(console_client(administrator.id).get("/communes/"))

    empty = shown()
    assert "Aucun export depuis un an" in empty and "./beffroi commune export" in empty
    path = tmp_path / "a"
    path.mkdir()
    with cut_after(monkeypatch, 5):
        run(hall.commune, path)
    assert "En cours" in shown()
    CommuneExport.objects.update(changed_at=clock.now() - timedelta(hours=1))
    assert "Interrompu" in shown()
    run(hall.commune, path)
    page = shown()
    assert "Terminé" in page and WISH in page and "Interrompu" not in page
