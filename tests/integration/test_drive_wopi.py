"""WOPI: the real process drive, asked as Collabora Online asks; what is another's, late or unsigned is refused."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.planes import sessions
from beffroi.core.planes.tokens import make_grant
from beffroi.drive import alarms, browsers, recovery
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.office import tokens
from beffroi.drive.office.tokens import File
from beffroi.drive.store import tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import NO_LIMIT, Act
from beffroi.drive.store.shares import Share
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.drive.who import Who
from beffroi.lib import clock
from beffroi.lib.config import Config

from tests import office_editor
from tests.drive_server import PEOPLE, A, Served, served
from tests.fixtures_drive import new_config
from tests.office_editor import Answered, Office

ALICE, AMIR, ELISE, BRUNO = (PEOPLE[name] for name in ("alice", "amir", "elise", "bruno"))
LOCK = "cool-lock1a2b"


@dataclass
class Session:
    """One file that one person has open in the editor."""

    office: Office
    port: int
    file: File
    token: str

    def ask(self, method: str, rest: str = "", body: bytes = b"", **more: Any) -> Answered:
        return self.office.ask(self.port, method, self.file.path + rest, self.token, body, **more)

    def do(self, what: str, **more: Any) -> Answered:
        return self.ask("POST", X_WOPI_Override=what, **more)

    def put(self, body: bytes, lock: str = LOCK, **more: Any) -> Answered:
        locked = {"X_WOPI_Lock": lock} if lock else {}
        return self.ask("POST", "/contents", body, X_WOPI_Override="PUT", **locked, **more)

    def get(self) -> Answered:
        return self.ask("GET", "/contents")

    def info(self) -> Any:
        answer = self.ask("GET")
        assert answer.status == 200, answer
        return answer.json


@dataclass
class Centre:
    office: Office
    server: Served
    config: Config

    def upload(self, name: str, body: bytes) -> int:
        """A file of the commune's folder, by WebDAV; its number."""
        assert self.server.ask("PUT", f"/dav/Commune/{name}", body)[0] in (201, 204)
        with self.looking(ALICE) as (reading, view):
            return view.place(reading, ("Commune", name)).node.id

    @contextmanager
    def changing(self, who: Who) -> Iterator[Database]:
        with ThreadPoolExecutor(1) as pool:
            communes = Communes(self.server.directory / "drive", pool)
            try:
                yield communes.metadata(who.collectivite_id)
            finally:
                communes.close()

    @contextmanager
    def looking(self, who: Who) -> Iterator[tuple[Reading, View]]:
        with self.changing(who) as database, database.reading() as reading:
            yield reading, View(database, who)

    def open(
        self,
        who: Who,
        node: int,
        *,
        may_write: bool = True,
        ttl_s: int = 600,
        session: str = "session",
        share: Share | None = None,
    ) -> Session:
        """``share``: by which alice's collectivité shares it with who opens it."""
        key, owner = self.config.secret("drive-grant.key"), A if share else who.collectivite_id
        token = tokens.make(
            key,
            who,
            File(owner, node),
            may_write=may_write,
            session=sessions.Session(session, "digest").sealed(key),
            share_id=share.id if share else "",
            ttl_s=ttl_s,
        )
        return Session(self.office, self.server.port, File(owner, node), token)


@pytest.fixture(scope="module")
def centre() -> Iterator[Centre]:
    with tempfile.TemporaryDirectory(prefix="bfw-") as folder, office_editor.serving() as office:
        state = Path(folder) / "state"
        config = new_config(state)
        (state / "beffroi.toml").write_text(f'office_editor = "{office.origin}"\noffice_max_mib = 1\n')
        with served(state) as server:
            yield Centre(office, server, config)


@pytest.fixture
def file(centre: Centre) -> Iterator[int]:
    """A document of the commune, "before" inside; nobody has it locked."""
    node = centre.upload("Delib.odt", b"before")
    yield node
    session = centre.open(ALICE, node)
    if held := session.do("GET_LOCK").lock:
        session.do("UNLOCK", X_WOPI_Lock=held)


def test_a_session_checks_locks_reads_saves_and_unlocks(centre: Centre, file: int) -> None:
    session = centre.open(ALICE, file)
    info = session.info()
    assert (info["BaseFileName"], info["Size"], info["UserId"]) == ("Delib.odt", 6, ALICE.person_id)
    assert info["UserCanWrite"] and info["SupportsLocks"] and not info["UserCanNotWriteRelative"]
    assert info["PostMessageOrigin"] == office_editor.BASE_URL
    assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    read = session.get()
    assert (read.status, read.body, read.headers["x-wopi-itemversion"]) == (200, b"before", info["Version"])
    saved = session.put(b"after", X_COOL_WOPI_Timestamp=info["LastModifiedTime"])
    assert saved.status == 200 and saved.headers["x-wopi-itemversion"] != info["Version"]
    now = session.info()
    assert now["LastModifiedTime"] == saved.json["LastModifiedTime"] != info["LastModifiedTime"]
    assert session.do("UNLOCK", X_WOPI_Lock=LOCK).status == 200
    assert session.get().body == b"after"
    with centre.looking(ALICE) as (reading, _):
        row = reading.one("SELECT kind, person_id, device_id FROM change ORDER BY number DESC LIMIT 1")
        assert row is not None and row[:2] == ("changed", ALICE.person_id)
        assert browsers.kind_of(row[2]) == "office" and ALICE.person_id in row[2]
        (kept,) = reading.all(
            "SELECT size_bytes FROM version WHERE node = ? ORDER BY etag DESC LIMIT 1", (file,)
        )
        assert kept[0] == 6


def test_locks_answer_to_the_letter(centre: Centre, file: int) -> None:
    session = centre.open(ALICE, file)
    assert session.do("GET_LOCK").lock == ""
    for what in ("UNLOCK", "REFRESH_LOCK"):
        refused = session.do(what, X_WOPI_Lock=LOCK)
        assert (refused.status, refused.lock) == (409, "")
    assert session.do("LOCK").status == 400
    assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    assert session.do("GET_LOCK").lock == LOCK
    for what in ("LOCK", "UNLOCK", "REFRESH_LOCK"):
        refused = session.do(what, X_WOPI_Lock="another")
        assert (refused.status, refused.lock) == (409, LOCK)
    assert session.do("REFRESH_LOCK", X_WOPI_Lock=LOCK).status == 200
    refused = session.do("LOCK", X_WOPI_Lock="new", X_WOPI_OldLock="wrong")
    assert (refused.status, refused.lock) == (409, LOCK)
    assert session.do("LOCK", X_WOPI_Lock="new", X_WOPI_OldLock=LOCK).status == 200
    assert session.do("GET_LOCK").lock == "new"
    assert session.do("UNLOCK", X_WOPI_Lock="new").status == 200
    refused = session.do("LOCK", X_WOPI_Lock="x", X_WOPI_OldLock="new")
    assert (refused.status, refused.lock) == (409, "")
    assert session.do("LOCK", X_WOPI_Lock="l" * 1024).status == 200
    assert session.do("GET_LOCK").lock == "l" * 1024
    assert session.do("LOCK", X_WOPI_Lock="l" * 1025).status == 400


def test_a_second_editor_is_refused_and_told_the_lock(centre: Centre, file: int) -> None:
    first, second = centre.open(ALICE, file), centre.open(AMIR, file)
    assert first.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    refused = second.put(b"theirs", lock="other-editor")
    assert (refused.status, refused.lock) == (409, LOCK)
    # In the same editor both have the same lock.
    assert second.put(b"ours").status == 200
    assert first.get().body == b"ours"


def test_what_is_not_locked_is_not_written_unless_it_is_empty(centre: Centre, file: int) -> None:
    refused = centre.open(ALICE, file).put(b"x", lock="")
    assert (refused.status, refused.lock) == (409, "")
    empty = centre.open(ALICE, centre.upload("Vide.odt", b""))
    assert empty.put(b"first", lock="").status == 200
    assert empty.get().body == b"first"


def test_a_lock_of_the_editor_holds_for_webdav_and_one_of_webdav_for_the_editor(
    centre: Centre, file: int
) -> None:
    session = centre.open(ALICE, file)
    assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    assert centre.server.ask("PUT", "/dav/Commune/Delib.odt", b"explorer", login="alice")[0] == 423
    status, _, found = centre.server.ask("PROPFIND", "/dav/Commune/Delib.odt", Depth="0")
    assert status == 207 and b"WOPI" in found
    # Its token is no secret, and opens nothing outside of the editor.
    token = f"urn:x-wopi:{file}:{LOCK}"
    assert centre.server.ask("PUT", "/dav/Commune/Delib.odt", b"x", If=f"(<{token}>)")[0] == 423
    assert session.do("UNLOCK", X_WOPI_Lock=LOCK).status == 200
    body = (
        b'<d:lockinfo xmlns:d="DAV:"><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype>'
        b"</d:lockinfo>"
    )
    status, headers, _ = centre.server.ask("LOCK", "/dav/Commune/Delib.odt", body, login="amir", Depth="0")
    assert status == 200
    for answer in (session.do("LOCK", X_WOPI_Lock=LOCK), session.put(b"x"), session.do("GET_LOCK")):
        assert (answer.status, answer.lock) == (409, "")
    centre.server.ask("UNLOCK", "/dav/Commune/Delib.odt", login="amir", Lock_Token=headers["lock-token"])


def test_a_file_that_was_changed_elsewhere_is_a_conflict_that_collabora_knows(
    centre: Centre, file: int
) -> None:
    session = centre.open(ALICE, file)
    seen = session.info()["LastModifiedTime"]
    centre.upload("Delib.odt", b"by explorer")
    session.do("LOCK", X_WOPI_Lock=LOCK)
    refused = session.put(b"mine", X_COOL_WOPI_Timestamp=seen)
    assert (refused.status, refused.json) == (409, {"COOLStatusCode": 1010})
    assert session.get().body == b"by explorer"
    assert session.put(b"mine all the same").status == 200


def test_a_save_without_a_change_makes_no_version(centre: Centre, file: int) -> None:
    session = centre.open(ALICE, file)
    session.do("LOCK", X_WOPI_Lock=LOCK)
    version = session.put(b"same").headers["x-wopi-itemversion"]
    assert session.put(b"same").headers["x-wopi-itemversion"] == version


def test_what_is_too_large_is_refused(centre: Centre, file: int) -> None:
    session = centre.open(ALICE, file)
    session.do("LOCK", X_WOPI_Lock=LOCK)
    assert session.put(b"x" * (1024 * 1024 + 1)).status == 413
    assert session.ask("GET", "/contents", X_WOPI_MaxExpectedSize="3").status == 412
    assert session.ask("GET", "/contents", X_WOPI_MaxExpectedSize="9" * 5000).status == 200


def test_who_may_only_read_reads(centre: Centre, file: int) -> None:
    for session in (centre.open(ELISE, file), centre.open(ALICE, file, may_write=False)):
        info = session.info()
        assert (info["UserCanWrite"], info["ReadOnly"], info["UserCanNotWriteRelative"]) == (
            False,
            True,
            True,
        )
        assert session.get().body == b"before"
        assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 404
        assert session.put(b"x").status == 404
        assert session.do("RENAME_FILE", X_WOPI_RequestedName="x").status == 404
        refused = session.do("PUT_RELATIVE", X_WOPI_SuggestedTarget=".odt", body=b"x")
        assert refused.status == 501


def test_a_token_opens_one_file_of_one_person_for_its_time(centre: Centre, file: int) -> None:
    other = centre.upload("Autre.odt", b"other")
    session = centre.open(ALICE, file)
    for path in (File(ALICE.collectivite_id, other).path, File(BRUNO.collectivite_id, file).path):
        assert centre.office.ask(centre.server.port, "GET", path, session.token).status == 401
    assert centre.open(ALICE, file, ttl_s=-1).ask("GET").status == 401
    assert centre.open(BRUNO, file).ask("GET").status == 404  # a number of another commune's
    key = centre.config.secret("drive-grant.key")
    browser = make_grant(
        key,
        subject_id=ALICE.person_id,
        collectivite_id=ALICE.collectivite_id,
        paths=(granted.OUT_PATH,),
        role="agent",
    )
    assert centre.office.ask(centre.server.port, "GET", session.file.path, browser).status == 401
    left = Who("per_left", "", ALICE.collectivite_id, "agent", "", "", "")
    assert centre.open(left, file).ask("GET").status == 401
    assert centre.office.ask(centre.server.port, "GET", session.file.path, "").status == 401
    cookie = f"beffroi_coffre_octets={session.token}"
    status, headers, _ = centre.server.ask("GET", f"/coffre/octets/{file}", Cookie=cookie)
    assert status == 303 and headers["location"].startswith("/coffre/droit/")  # no grant of a browser


def test_an_own_file_is_nobody_elses(centre: Centre) -> None:
    assert centre.server.ask("PUT", "/dav/Carnet.odt", b"mine")[0] in (201, 204)
    with centre.looking(ALICE) as (reading, view):
        node = view.place(reading, ["Carnet.odt"]).node.id
    assert centre.open(ALICE, node).get().body == b"mine"
    assert centre.open(AMIR, node).ask("GET").status == 404


def test_only_the_editor_that_signs_is_heard(centre: Centre, file: int) -> None:
    session = centre.open(ALICE, file)
    assert session.ask("GET", signed=False).status == 500
    assert session.ask("GET", age_s=21 * 60).status == 500
    assert session.ask("GET", age_s=19 * 60).status == 200
    stranger = Office(centre.office.origin, office_editor.new_key(), office_editor.new_key())
    path, port = session.file.path, centre.server.port
    assert stranger.ask(port, "GET", path, session.token).status == 500
    # It changed its key: what it signs by the former one holds, and ours may be the former one.
    newer = Office(centre.office.origin, office_editor.new_key(), centre.office.signs_with)
    assert newer.ask(port, "GET", path, session.token).status == 200
    slower = Office(centre.office.origin, centre.office.former, office_editor.new_key())
    assert slower.ask(port, "GET", path, session.token).status == 200


def test_a_new_name_keeps_the_lock_and_a_taken_one_is_counted_on(centre: Centre, file: int) -> None:
    centre.upload("Budget.odt", b"x")
    session = centre.open(ALICE, file)
    session.do("LOCK", X_WOPI_Lock=LOCK)
    assert session.do("RENAME_FILE", X_WOPI_RequestedName="x", X_WOPI_Lock="other").lock == LOCK
    wished = "Été 2026".encode("utf-7").decode()
    answer = session.do("RENAME_FILE", X_WOPI_RequestedName=wished, X_WOPI_Lock=LOCK)
    assert (answer.status, answer.json) == (200, {"Name": "Été 2026"})
    assert session.info()["BaseFileName"] == "Été 2026.odt"
    assert session.put(b"goes on").status == 200
    answer = session.do("RENAME_FILE", X_WOPI_RequestedName="Budget", X_WOPI_Lock=LOCK)
    assert answer.json == {"Name": "Budget (2)"}
    for no_name in ("a/b", "", " "):
        refused = session.do("RENAME_FILE", X_WOPI_RequestedName=no_name, X_WOPI_Lock=LOCK)
        assert refused.status == 400 and refused.headers["x-wopi-invalidfilenameerror"]
    assert session.info()["BaseFileName"] == "Budget (2).odt"
    session.do("RENAME_FILE", X_WOPI_RequestedName="Delib", X_WOPI_Lock=LOCK)


def test_a_copy_beside_it_gets_a_name_and_a_token_of_its_own(centre: Centre, file: int) -> None:
    session = centre.open(ALICE, file)
    made = session.do("PUT_RELATIVE", X_WOPI_SuggestedTarget=".pdf", body=b"%PDF-")
    assert made.status == 200 and made.json["Name"] == "Delib.pdf"
    again = session.do("PUT_RELATIVE", X_WOPI_SuggestedTarget="Delib.pdf", body=b"%PDF-2")
    assert again.json["Name"] == "Delib (2).pdf"
    long = session.do(
        "PUT_RELATIVE", X_WOPI_SuggestedTarget=("é" * 300 + ".pdf").encode("utf-7").decode(), body=b"x"
    )
    assert long.status == 200 and long.json["Name"] == "é" * 125 + ".pdf"
    half = session.do("PUT_RELATIVE", X_WOPI_SuggestedTarget="a+2AA-.pdf", body=b"x")
    assert half.status == 200 and half.json["Name"] == "a?.pdf"
    path, token = again.json["Url"].removeprefix(office_editor.BASE_URL).split("?access_token=")
    assert centre.office.ask(centre.server.port, "GET", path + "/contents", token).body == b"%PDF-2"
    refused = session.do("PUT_RELATIVE", X_WOPI_RelativeTarget="Delib.pdf", body=b"x")
    assert refused.status == 409 and refused.headers["x-wopi-validrelativetarget"] == "Delib (3).pdf"
    over = session.do(
        "PUT_RELATIVE", X_WOPI_RelativeTarget="Delib.pdf", X_WOPI_OverwriteRelativeTarget="true", body=b"new"
    )
    assert over.status == 200 and over.json["Name"] == "Delib.pdf"
    session.do("LOCK", X_WOPI_Lock=LOCK)
    held = session.do(
        "PUT_RELATIVE", X_WOPI_RelativeTarget="Delib.odt", X_WOPI_OverwriteRelativeTarget="true", body=b"new"
    )
    assert (held.status, held.lock) == (409, LOCK)
    both = session.do("PUT_RELATIVE", X_WOPI_RelativeTarget="a", X_WOPI_SuggestedTarget="b")
    assert both.status == 501 and session.do("PUT_RELATIVE").status == 400


def test_what_is_not_offered_is_said_so(centre: Centre, file: int) -> None:
    session = centre.open(ALICE, file)
    assert session.do("DELETE").status == 501 and session.do("PUT_USER_INFO").status == 501
    many = f"{session.file.path}?" + "&".join(f"a{n}=1" for n in range(30))
    assert centre.server.ask("GET", many)[0] == 401
    for path in ("/wopi", "/wopi/files", "/wopi/files/x", f"{session.file.path}/other"):
        assert centre.office.ask(centre.server.port, "GET", path, session.token).status in (401, 404)


def test_an_editor_that_writes_as_ransomware_does_is_stopped_for_that_person_and_day(
    centre: Centre, file: int
) -> None:
    session = centre.open(AMIR, file)
    grant = tokens.read(centre.config.secret("drive-grant.key"), session.token, session.file)
    device, now_s = tokens.device_of(grant), clock.epoch_s()
    with centre.changing(AMIR) as database:
        database.write(lambda w: alarms.raise_(w, Alarm(device, float(now_s), 3, {}), now_s=now_s))
    centre.server.kill()
    centre.server.start()
    assert session.ask("GET").status == 403
    assert centre.open(ALICE, file).ask("GET").status == 200
    assert centre.open(AMIR, file, ttl_s=2 * 86400).ask("GET").status == 200


def test_what_colleagues_write_in_a_document_is_kept_when_one_of_them_is_stopped(
    centre: Centre, file: int
) -> None:
    """The editor has one text and one lock for all; it saves by the token of whoever is left."""
    stopped, colleague = centre.open(AMIR, file, ttl_s=3 * 86400), centre.open(ALICE, file)
    assert stopped.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    assert stopped.put(b"of both, saved").status == 200
    grant = tokens.read(centre.config.secret("drive-grant.key"), stopped.token, stopped.file)
    device, now_s = tokens.device_of(grant), clock.epoch_s()
    with centre.changing(AMIR) as database:
        database.write(lambda w: alarms.raise_(w, Alarm(device, float(now_s), 3, {}), now_s=now_s))
    centre.server.kill()
    centre.server.start()
    assert stopped.put(b"of both, unsaved").status == 403
    assert colleague.get().body == b"of both, saved", "a refusal takes nothing away"
    assert colleague.put(b"of both, unsaved").status == 200, "under the lock that the editor holds"
    with centre.looking(ALICE) as (reading, _):
        there = {*reading.all("SELECT id, size_bytes FROM node")}
    with centre.changing(AMIR) as database:
        recovery.carry_out(database, Act("per_referent", "", clock.epoch_s()), device)
    assert colleague.get().body == b"of both, unsaved", "what a colleague wrote after it is not taken back"
    with centre.looking(ALICE) as (reading, _):
        new = [
            row
            for row in reading.all("SELECT id, size_bytes FROM node WHERE is_folder = 0")
            if row not in there
        ]
    assert [size_bytes for _, size_bytes in new] == [len(b"before")], (
        "and the text of before stands beside it"
    )


def test_a_save_beyond_the_quota_is_refused_as_too_large(centre: Centre, file: int) -> None:
    session = centre.open(ALICE, file)
    session.do("LOCK", X_WOPI_Lock=LOCK)
    with centre.looking(ALICE) as (reading, view):
        root = view.roots(reading)[1].id
    with centre.changing(ALICE) as database:
        database.write(lambda w: tree.set_limit(w, root, 10))
    centre.server.kill()
    centre.server.start()
    assert session.put(b"x" * 5000).status == 413
    assert session.get().body == b"before"
    with centre.changing(ALICE) as database:
        database.write(lambda w: tree.set_limit(w, root, NO_LIMIT))


# -- what ends a token ----------------------------------------------------------------------------------------


def test_a_token_ends_with_its_session_and_is_none_without_one(centre: Centre, file: int) -> None:
    first, other = centre.open(ALICE, file, session="one"), centre.open(ALICE, file, session="two")
    made = first.do("PUT_RELATIVE", X_WOPI_SuggestedTarget=".odt", body=b"x")
    path, token = made.json["Url"].removeprefix(office_editor.BASE_URL).split("?access_token=")
    (centre.server.directory / "ended-sessions").write_text("one")
    try:
        assert first.ask("GET").status == first.do("LOCK", X_WOPI_Lock=LOCK).status == 401
        assert first.put(b"late").status == 401
        # What was made from it ends with it.
        assert centre.office.ask(centre.server.port, "GET", path, token).status == 401
        assert other.get().body == b"before"
    finally:
        (centre.server.directory / "ended-sessions").unlink()
    key = centre.config.secret("drive-grant.key")
    where = File(ALICE.collectivite_id, file)
    for session in ("", "AAAA", sessions.Session("one", "digest").sealed(b"another key")):
        token = tokens.make(key, ALICE, where, may_write=True, session=session)
        assert centre.office.ask(centre.server.port, "GET", where.path, token).status == 401


def test_what_an_editor_lets_go_of_is_free_also_where_the_session_ended_before(
    centre: Centre, file: int
) -> None:
    """Somebody left, or signed out, with a document open; then the editor closes it. Nothing else is heard."""
    session, reader = (
        centre.open(ALICE, file, session="one", may_write=may_write) for may_write in (True, False)
    )
    other = centre.open(ALICE, file, session="two")
    assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    (centre.server.directory / "ended-sessions").write_text("one")
    try:
        assert centre.server.ask("PUT", "/dav/Commune/Delib.odt", b"x", login="amir")[0] == 423
        late = [
            session.do("UNLOCK", X_WOPI_Lock="another"),
            reader.do("UNLOCK", X_WOPI_Lock=LOCK),
            session.do("REFRESH_LOCK", X_WOPI_Lock=LOCK),
            session.do("LOCK", X_WOPI_Lock="new", X_WOPI_OldLock=LOCK),
        ]
        assert {one.status for one in late} == {401} and other.do("GET_LOCK").lock == LOCK
        ended = session.do("UNLOCK", X_WOPI_Lock=LOCK)
        assert ended.status == 401 and "x-wopi-itemversion" not in ended.headers, "nothing is told"
        assert other.do("GET_LOCK").lock == ""
        assert centre.server.ask("PUT", "/dav/Commune/Delib.odt", b"x", login="amir")[0] == 204
    finally:
        (centre.server.directory / "ended-sessions").unlink()


def test_a_token_shows_nobody_the_session_that_it_lives_by(centre: Centre, file: int) -> None:
    session = centre.open(ALICE, file, session="the-key-of-a-session")
    body = session.token.partition(".")[0]
    assert b"the-key-of-a-session" not in base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    grant = tokens.read(centre.config.secret("drive-grant.key"), session.token, session.file)
    assert tokens.holder(centre.config.secret("drive-grant.key"), grant).session.key == "the-key-of-a-session"
