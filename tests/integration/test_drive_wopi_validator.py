"""What Microsoft's own check of WOPI hosts asks (wopi-validator-core), beside what test_drive_wopi.py asks already.

In our own words, by its groups: those of what CheckFileInfo announces (locks, their length, editing, versions, files
beside it, names, proof keys). Not announced, so not asked: containers, ecosystem, co-editing by parts, deletion.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from beffroi.drive.office.tokens import File

from tests.integration.test_drive_wopi import ALICE, LOCK, Centre, Session, centre, file
from tests.office_editor import BASE_URL

__all__ = ["centre", "file"]
AS_JSON = json.dumps({"S": "0136ad16-9725-43c3-9ea0-5e01d2dbc162", "E": 2, "M": "DE997C5AC4E6"})


@pytest.fixture
def session(centre: Centre, file: int) -> Session:
    return centre.open(ALICE, file)


def _version(session: Session) -> str:
    return str(session.info()["Version"])


def test_what_it_says_of_a_file_has_the_kinds_that_are_expected(session: Session) -> None:
    info = session.info()
    assert all(type(info[name]) is str for name in ("BaseFileName", "OwnerId", "UserId", "Version", "SHA256"))
    assert type(info["Size"]) is int and not info["BaseFileName"].startswith(".")
    assert all(
        type(value) is bool for name, value in info.items() if name.startswith(("Supports", "UserCan"))
    )
    assert all(info[name].startswith(f"{BASE_URL}/") for name in ("CloseUrl", "HostViewUrl", "HostEditUrl"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", info["LastModifiedTime"])


@pytest.mark.parametrize("lock", ["1" * 256, "2" * 1024, AS_JSON])
def test_a_lock_is_any_text_of_its_length(session: Session, lock: str) -> None:
    assert session.do("LOCK", X_WOPI_Lock=lock).status == 200
    assert session.do("GET_LOCK").lock == lock
    refused = session.do("UNLOCK", X_WOPI_Lock=LOCK)
    assert (refused.status, refused.lock) == (409, lock)
    assert session.do("UNLOCK", X_WOPI_Lock=lock).status == 200
    assert session.do("GET_LOCK").lock == ""


def test_each_answer_says_the_version_that_it_speaks_of(session: Session) -> None:
    before = _version(session)
    assert session.get().headers["x-wopi-itemversion"] == before
    for what in ("LOCK", "REFRESH_LOCK", "UNLOCK"):
        assert session.do(what, X_WOPI_Lock=LOCK).headers["x-wopi-itemversion"] == before
    session.do("LOCK", X_WOPI_Lock=LOCK)
    first, second = (session.put(body).headers["x-wopi-itemversion"] for body in (b"first", b"second"))
    assert len({before, first, second}) == 3
    assert session.do("UNLOCK", X_WOPI_Lock=LOCK).headers["x-wopi-itemversion"] == second == _version(session)


def test_a_file_that_was_emptied_is_written_without_a_lock_and_then_no_more(session: Session) -> None:
    session.do("LOCK", X_WOPI_Lock=LOCK)
    assert session.put(b"").status == session.do("UNLOCK", X_WOPI_Lock=LOCK).status == 200
    assert session.put(b"filled", lock="").status == 200
    assert session.put(b"again", lock="").status == 409
    assert session.get().body == b"filled"


def test_a_wrong_token_does_nothing(session: Session) -> None:
    wrong = Session(session.office, session.port, session.file, session.token[:-4] + "AAAA")
    assert wrong.ask("GET").status == wrong.do("LOCK", X_WOPI_Lock=LOCK).status == 401
    assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    assert wrong.do("UNLOCK", X_WOPI_Lock=LOCK).status == wrong.get().status == wrong.put(b"x").status == 401
    assert (session.do("GET_LOCK").lock, session.get().body) == (LOCK, b"before")


def test_a_file_beside_it_is_found_renamed_and_gone(centre: Centre, session: Session) -> None:
    named = "X_WOPI_RelativeTarget"
    wanted = "made_up.odt".encode("utf-7").decode().replace("_", "+AF8-")
    made = session.do("PUT_RELATIVE", body=b"x", X_WOPI_OverwriteRelativeTarget="true", **{named: wanted})
    assert (made.status, made.json["Name"]) == (200, "made_up.odt")
    assert all(made.json[name].startswith(BASE_URL) for name in ("Url", "HostViewUrl", "HostEditUrl"))
    path, token = made.json["Url"].removeprefix(BASE_URL).split("?access_token=")
    theirs = Session(session.office, session.port, File(session.file[0], int(path.rpartition("-")[2])), token)
    for overwrite in ({}, {"X_WOPI_OverwriteRelativeTarget": "false"}):
        assert session.do("PUT_RELATIVE", body=b"y", **{named: "made_up.odt"}, **overwrite).status == 409
    theirs.do("LOCK", X_WOPI_Lock=LOCK)
    held = session.do(
        "PUT_RELATIVE", body=b"y", X_WOPI_OverwriteRelativeTarget="true", **{named: "made_up.odt"}
    )
    assert (held.status, held.lock) == (409, LOCK)
    assert session.do("PUT_RELATIVE", body=b"y", **{named: f"{'long' * 130}.odt"}).status == 400
    assert theirs.do("RENAME_FILE", X_WOPI_RequestedName="renamed", X_WOPI_Lock="wrong").status == 409
    renamed = theirs.do("RENAME_FILE", X_WOPI_RequestedName="renamed", X_WOPI_Lock=LOCK)
    assert (renamed.json, theirs.info()["BaseFileName"]) == ({"Name": "renamed"}, "renamed.odt")
    assert theirs.do("UNLOCK", X_WOPI_Lock=LOCK).status == 200
    assert centre.server.ask("DELETE", "/dav/Commune/renamed.odt")[0] == 204
    for gone in (theirs.do("RENAME_FILE", X_WOPI_RequestedName="x"), theirs.get(), theirs.ask("GET")):
        assert gone.status == 404


def test_who_may_add_no_file_is_told_that_it_is_not_offered(centre: Centre, file: int) -> None:
    """Else an editor takes it for a file that is gone."""
    session = centre.open(ALICE, file, may_write=False)
    assert session.info()["UserCanNotWriteRelative"]
    for name in ("X_WOPI_SuggestedTarget", "X_WOPI_RelativeTarget"):
        assert session.do("PUT_RELATIVE", body=b"x", **{name: "made.odt"}).status == 501
    for what in ("GET_SHARE_URL", "ADD_ACTIVITIES", "PUT_USER_INFO", "DELETE"):
        assert session.do(what).status == 501


def test_a_request_is_heard_by_the_proofs_that_hold(session: Session) -> None:
    office = session.office
    target = f"{session.file.path}?access_token={session.token}"
    signed = office.headers(target, session.token)
    broken = base64.b64encode(b"x" * 256).decode()
    for changed, status in (
        ({"X-WOPI-ProofOld": broken}, 200),
        ({"X-WOPI-Proof": broken}, 500),
        ({"X-WOPI-Proof": broken, "X-WOPI-ProofOld": broken}, 500),
        ({"X-WOPI-Proof": broken, "X-WOPI-ProofOld": signed["X-WOPI-Proof"]}, 200),
        ({"X-WOPI-Proof": signed["X-WOPI-ProofOld"], "X-WOPI-ProofOld": broken}, 200),
    ):
        named: dict[str, Any] = {name.replace("-", "_"): value for name, value in (signed | changed).items()}
        assert session.ask("GET", signed=False, **named).status == status, changed
