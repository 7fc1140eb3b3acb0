"""WOPI at a sealed folder: a session that was open before writes nothing, and a new one reads."""

from __future__ import annotations

from beffroi.drive.store import look, seals

from tests.drive_seal_rows import a_seal
from tests.integration.test_drive_wopi import ALICE, LOCK, Centre, centre

__all__ = ["centre"]


def test_an_editor_changes_nothing_of_what_was_sealed_meanwhile(centre: Centre) -> None:
    assert centre.server.ask("MKCOL", "/dav/Commune/Dossier")[0] == 201
    assert centre.server.ask("PUT", "/dav/Commune/Dossier/Delib.odt", b"before")[0] == 201
    with centre.looking(ALICE) as (reading, view):
        folder = view.place(reading, ("Commune", "Dossier")).node
        file = view.place(reading, ("Commune", "Dossier", "Delib.odt")).node
    session = centre.open(ALICE, file.id)
    assert session.info()["UserCanWrite"]
    with centre.changing(ALICE) as database:
        database.write(lambda w: seals.begin(w, a_seal(folder)))
    for asked in (
        session.put(b"after"),
        session.do("RENAME_FILE", X_WOPI_Lock=LOCK, X_WOPI_RequestedName="Autre"),
        session.do("PUT_RELATIVE", X_WOPI_SuggestedTarget="Copie.odt"),
        session.do("PUT_RELATIVE", X_WOPI_RelativeTarget="Delib.odt", X_WOPI_OverwriteRelativeTarget="true"),
    ):
        assert 400 <= asked.status <= 501, asked
    assert session.get().body == b"before"
    with centre.looking(ALICE) as (reading, _):
        assert [(one.name, one.etag) for one in look.children(reading, folder.id)] == [(file.name, file.etag)]
        assert reading.one("SELECT 1 FROM version WHERE node = ?", (file.id,)) is None
    for one in (session, centre.open(ALICE, file.id)):
        info = one.info()
        assert (info["UserCanWrite"], info["UserCanRename"], info["ReadOnly"]) == (False, False, True)
        assert info["UserCanNotWriteRelative"]
        assert one.do("LOCK", X_WOPI_Lock=LOCK).status == session.put(b"after").status != 200
