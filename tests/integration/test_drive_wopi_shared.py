"""WOPI in what is shared: by a colleague, by another commune; with the owner's word each time, and told to them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from beffroi.drive.office.tokens import File
from beffroi.drive.store.shares import Share, Wish

from tests import office_editor
from tests.drive_server import PEOPLE, A, B
from tests.drive_sharing import answer, crossed, end, share
from tests.integration.test_drive_wopi import ALICE, AMIR, BRUNO, LOCK, Centre, centre, file

__all__ = ["centre", "file"]


def test_a_file_that_is_shared_alone_is_written_by_a_colleague_until_the_share_ends(centre: Centre) -> None:
    assert centre.server.ask("PUT", "/dav/Seul.odt", b"before")[0] in (201, 204)
    with centre.looking(ALICE) as (reading, view):
        node = view.place(reading, ["Seul.odt"]).node.id
    made = share(centre.server, "Seul.odt", Wish("person", AMIR.person_id, rights="write"))
    session = centre.open(AMIR, node)
    info = session.info()
    assert info["UserCanWrite"] and info["UserCanNotWriteRelative"] and not info["UserCanRename"]
    assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    assert session.put(b"by amir").status == 200
    assert session.do("RENAME_FILE", X_WOPI_RequestedName="x", X_WOPI_Lock=LOCK).status == 404
    assert session.do("PUT_RELATIVE", X_WOPI_SuggestedTarget=".odt", body=b"x").status == 501
    end(centre.server, made)
    assert session.put(b"late").status == session.ask("GET").status == 404
    assert centre.open(ALICE, node).get().body == b"by amir"


@pytest.fixture
def shared(centre: Centre) -> Iterator[tuple[int, Share]]:
    """A document of alice's folder that bruno's commune may write; the share that says so."""
    name = f"Ensemble-{secrets.token_hex(4)}"
    assert centre.server.ask("MKCOL", f"/dav/{name}")[0] == 201
    assert centre.server.ask("PROPFIND", "/dav/", login="bruno", Depth="0")[0] == 207
    assert centre.server.ask("PUT", f"/dav/{name}/Projet.odt", b"before")[0] in (201, 204)
    with centre.looking(ALICE) as (reading, view):
        node = view.place(reading, [name, "Projet.odt"]).node.id
    made = share(centre.server, name, Wish("collectivite", B, rights="write"))
    answer(centre.server, made)
    yield node, made
    end(centre.server, made)


def test_another_commune_s_document_is_written_together_and_each_access_is_told(
    centre: Centre, shared: tuple[int, Share]
) -> None:
    node, made = shared
    theirs, mine = centre.open(BRUNO, node, share=made), centre.open(ALICE, node)
    assert theirs.file.path == mine.file.path  # for the editor one document
    before = len(crossed(centre.server))
    info = theirs.info()
    assert (info["UserCanWrite"], info["OwnerId"]) == (True, A)
    assert info["HostEditUrl"].endswith(f"/coffre/chez/{made.id}/{node}/editer/")
    assert theirs.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    assert theirs.get().body == b"before"
    assert theirs.put(b"by bruno").status == 200
    assert mine.get().body == b"by bruno"
    copy = theirs.do("PUT_RELATIVE", X_WOPI_SuggestedTarget=".odt", body=b"a copy")
    path, token = copy.json["Url"].removeprefix(office_editor.BASE_URL).split("?access_token=")
    assert centre.office.ask(centre.server.port, "GET", path + "/contents", token).body == b"a copy"
    assert theirs.do("RENAME_FILE", X_WOPI_RequestedName="Plan", X_WOPI_Lock=LOCK).json == {"Name": "Plan"}
    assert theirs.do("UNLOCK", X_WOPI_Lock=LOCK).status == 200
    lines = crossed(centre.server)[before:]
    assert [one["what"] for one in lines] == [
        "list",
        "change",
        "read",
        "change",
        "change",
        "read",
        "change",
        "change",
    ]
    assert {(one["owner"], one["receiver"], one["person_id"]) for one in lines} == {(A, B, BRUNO.person_id)}
    with centre.looking(ALICE) as (reading, _):
        row = reading.one("SELECT device_id FROM change WHERE kind = 'changed' ORDER BY number DESC LIMIT 1")
        assert row is not None and BRUNO.person_id in row[0]


def test_a_token_by_a_share_opens_nothing_else_and_ends_with_it(
    centre: Centre, shared: tuple[int, Share], file: int
) -> None:
    node, made = shared
    assert centre.open(BRUNO, file, share=made).ask("GET").status == 404  # of the same commune, not shared
    assert centre.open(BRUNO, node).ask("GET").status == 404  # without the share it is a number of his own
    elu = centre.open(PEOPLE["bertille"], node, share=made)
    assert elu.get().body == b"before" and elu.put(b"x").status == 404
    session = centre.open(BRUNO, node, share=made)
    other = File(B, node)
    assert centre.office.ask(centre.server.port, "GET", other.path, session.token).status == 401
    assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    answer(centre.server, made, accepted=False)
    assert session.ask("GET").status == 404
    answer(centre.server, made)
    assert session.ask("GET").status == 200
    end(centre.server, made)
    for late in (
        session.ask("GET"),
        session.get(),
        session.put(b"late"),
        session.do("UNLOCK", X_WOPI_Lock=LOCK),
    ):
        assert late.status == 404
    hers = centre.open(ALICE, node)
    assert hers.get().body == b"before"
    assert hers.do("GET_LOCK").lock == "", "his editor let go of it"


def test_a_share_that_only_reads_is_not_written(centre: Centre, shared: tuple[int, Share]) -> None:
    node, made = shared
    end(centre.server, made)
    reads = share(centre.server, made.label, Wish("collectivite", B))
    answer(centre.server, reads)
    session = centre.open(BRUNO, node, share=reads)
    assert session.info()["ReadOnly"] and session.get().body == b"before"
    assert session.put(b"x").status == session.do("LOCK", X_WOPI_Lock=LOCK).status == 404
    end(centre.server, reads)
