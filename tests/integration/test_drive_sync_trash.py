"""What sync clients see of what was deleted and of what was there before."""

from __future__ import annotations

import re

from tests.drive_asking import BODIES
from tests.drive_server import Served
from tests.drive_sync import FILES, TRASH, VERSIONS, found, hrefs

pytest_plugins = ["tests.fixtures_drive_sync"]


def test_only_who_may_write_sees_what_was_deleted_of_the_commune(drive: Served, name: str) -> None:
    drive.ask("PUT", f"{FILES}/Commune/{name}", b"x")
    drive.ask("DELETE", f"{FILES}/Commune/{name}")
    places = {
        login: found(
            drive.ask("PROPFIND", f"/remote.php/dav/trashbin/{login}/trash", login=login)[2],
            ".//nc:trashbin-original-location",
        )
        for login in ("alice", "amir", "elise", "bruno")
    }
    assert f"Commune/{name}" in places["alice"] and f"Commune/{name}" in places["amir"]
    assert not any(name in one for login in ("elise", "bruno") for one in places[login])


def test_a_device_that_deletes_everything_leaves_what_brings_it_back(drive: Served, name: str) -> None:
    for path in (name, f"Commune/{name}"):
        drive.ask("PUT", f"{FILES}/{path}", b"x")
        drive.ask("DELETE", f"{FILES}/{path}")
    listed = drive.ask("PROPFIND", f"{TRASH}/trash")[2]
    for path in (f"{TRASH}/trash", *(one for one in hrefs(listed) if f"/{name}.d" in one)):
        status, _, answer = drive.ask("DELETE", path)
        assert status == 403 and "La corbeille se vide sur le portail" in answer.decode()
    assert drive.ask("PROPFIND", f"{TRASH}/trash")[2] == listed
    assert set(found(listed, ".//oc:permissions")) == {"G"}


def test_a_deleted_folder_is_opened_in_the_trash_and_comes_back_whole(drive: Served, name: str) -> None:
    """An app that opens it would show it empty."""
    for path in (name, f"{name}/d%C3%A9lib"):
        drive.ask("MKCOL", f"{FILES}/{path}")
    drive.ask("PUT", f"{FILES}/{name}/plan%231.txt", b"plan")
    drive.ask("PUT", f"{FILES}/{name}/d%C3%A9lib/acte.pdf", b"acte")
    drive.ask("DELETE", f"{FILES}/{name}")
    listed = drive.ask("PROPFIND", f"{TRASH}/trash", Depth="1")[2]
    item = next(one for one in hrefs(listed) if f"/{name}.d" in one)
    inside = drive.ask("PROPFIND", item, Depth="1")[2]
    assert hrefs(inside)[0] == item
    assert set(hrefs(inside)[1:]) == {f"{item}/d%C3%A9lib", f"{item}/plan%231.txt"}
    assert set(found(inside, ".//nc:trashbin-filename")) == {name, "délib", "plan#1.txt"}
    assert f"{name}/plan#1.txt" in found(inside, ".//nc:trashbin-original-location")
    deeper = drive.ask("PROPFIND", f"{item}/d%C3%A9lib", Depth="1")[2]
    assert hrefs(deeper) == [f"{item}/d%C3%A9lib", f"{item}/d%C3%A9lib/acte.pdf"]
    assert found(deeper, ".//oc:size")[1] == "4"
    to = f"{TRASH}/restore/acte.pdf"
    status, _, answer = drive.ask("MOVE", f"{item}/d%C3%A9lib/acte.pdf", Destination=to)
    assert status == 403 and "remettez le dossier entier" in answer.decode()
    assert drive.ask("DELETE", f"{item}/plan%231.txt")[0] == 403
    for absent in (f"{item}/rien", f"{item}/plan%231.txt/x", f"{item}/../x", f"{item}//plan%231.txt"):
        for method in ("PROPFIND", "DELETE", "MOVE"):
            assert drive.ask(method, absent, Destination=to)[0] in (400, 404), absent
    for login in ("amir", "bruno"):
        assert drive.ask("PROPFIND", item.replace("/alice/", f"/{login}/"), login=login)[0] == 404
    assert drive.ask("MOVE", item, Destination=to)[0] == 201
    assert drive.ask("GET", f"{FILES}/{name}/d%C3%A9lib/acte.pdf")[2] == b"acte"


def test_what_is_wrong_with_the_trash_has_an_answer(drive: Served, name: str) -> None:
    drive.ask("PUT", f"{FILES}/{name}", b"x")
    drive.ask("DELETE", f"{FILES}/{name}")
    listed = drive.ask("PROPFIND", f"{TRASH}/trash", Depth="1")[2]
    item = next(one for one in hrefs(listed) if f"/{name}.d" in one)
    assert hrefs(drive.ask("PROPFIND", item, Depth="0")[2]) == [item]
    for path in (
        f"{TRASH}/trash/{name}",
        f"{TRASH}/trash/x.d1",
        f"{TRASH}/trash/{name}.d²",
        f"{TRASH}/other",
    ):
        assert drive.ask("DELETE", path.replace("²", "%C2%B2"))[0] == 404
    assert drive.ask("MOVE", item, Destination=f"{FILES}/{name}")[0] == 404
    assert drive.ask("MOVE", item)[0] == 400
    assert drive.ask("PUT", item, b"x")[0] == 405
    drive.ask("PUT", f"{FILES}/{name}", b"another")
    assert drive.ask("MOVE", item, Destination=f"{TRASH}/restore/{name}")[0] == 201
    assert drive.ask("GET", f"{FILES}/{name}")[2] == b"another"
    assert drive.ask("GET", f"{FILES}/{name}%20(2)")[2] == b"x"


def test_versions_are_read_and_what_is_wrong_has_an_answer(drive: Served, name: str) -> None:
    for text in (b"un", b"deux", b"trois"):
        headers = drive.ask("PUT", f"{FILES}/{name}", text)[1]
    whole, number = headers["oc-fileid"], re.match(r"\d+", headers["oc-fileid"])
    assert number is not None
    listed = hrefs(drive.ask("PROPFIND", f"{VERSIONS}/versions/{int(number[0])}", Depth="1")[2])
    assert len(listed) == 3 and len(hrefs(drive.ask("PROPFIND", f"{VERSIONS}/versions/{whole}")[2])) == 3
    assert [drive.ask("GET", one)[2] for one in listed[1:]] == [b"deux", b"un"]
    assert drive.ask("GET", listed[1], Range="bytes=1-2")[2] == b"eu"
    for path, status in (("x", 404), ("999999", 404), ("1/2/3", 404), (f"{int(number[0])}/1", 404)):
        assert drive.ask("GET" if "/" in path else "PROPFIND", f"{VERSIONS}/versions/{path}")[0] == status
    status, _, answer = drive.ask("DELETE", listed[1])
    assert status == 403 and "Une version se supprime sur le portail" in answer.decode()
    assert drive.ask("DELETE", listed[1].rpartition("/")[0] + "/1")[0] == 404
    assert drive.ask("DELETE", listed[0])[0] == 405
    assert drive.ask("GET", listed[1])[2] == b"deux"
    assert drive.ask("MOVE", listed[1], Destination=f"{FILES}/{name}")[0] == 404
    folder = drive.ask("MKCOL", f"{FILES}/{name}-d")[1]["oc-fileid"]
    assert drive.ask("PROPFIND", f"{VERSIONS}/versions/{folder}")[0] == 404


def test_who_only_reads_brings_no_version_back(drive: Served, name: str) -> None:
    for text in (b"un", b"deux"):
        headers = drive.ask("PUT", f"{FILES}/Commune/{name}", text)[1]
    base = "/remote.php/dav/versions/elise"
    listed = hrefs(drive.ask("PROPFIND", f"{base}/versions/{headers['oc-fileid']}", login="elise")[2])
    assert drive.ask("GET", listed[1], login="elise")[2] == b"un"
    assert drive.ask("MOVE", listed[1], login="elise", Destination=f"{base}/restore/x")[0] == 403
    assert drive.ask("GET", f"{FILES}/Commune/{name}")[2] == b"deux"


def test_nothing_comes_back_into_a_folder_that_somebody_locked(drive: Served, name: str) -> None:
    """As nothing else is put there meanwhile."""
    assert drive.ask("MKCOL", f"{FILES}/Commune/{name}")[0] == 201
    assert drive.ask("PUT", f"{FILES}/Commune/{name}/{name}.txt", b"un plan")[0] == 201
    assert drive.ask("DELETE", f"{FILES}/Commune/{name}/{name}.txt")[0] == 204
    theirs = f"/remote.php/dav/files/amir/Commune/{name}"
    status, headers, _ = drive.ask("LOCK", theirs, BODIES["LOCK"], "amir")
    assert status == 200
    item = next(one for one in hrefs(drive.ask("PROPFIND", f"{TRASH}/trash")[2]) if f"/{name}.txt.d" in one)
    to = f"{TRASH}/restore/{name}"
    assert drive.ask("MOVE", item, Destination=to)[0] == 423
    assert drive.ask("UNLOCK", theirs, login="amir", Lock_Token=headers["lock-token"])[0] == 204
    assert drive.ask("MOVE", item, Destination=to)[0] == 201
    assert drive.ask("GET", f"{FILES}/Commune/{name}/{name}.txt")[2] == b"un plan"
