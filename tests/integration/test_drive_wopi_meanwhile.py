"""Rights that end while an editor's save is on its way: asked again at its end, the file stays as it was."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from beffroi.drive import alarms
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.office import tokens
from beffroi.drive.stops import FRESH_S
from beffroi.drive.store.shares import Share
from beffroi.drive.web.messages import AGAIN_S
from beffroi.drive.who import Who
from beffroi.lib import clock

from tests.drive_sharing import answer, end
from tests.drive_under_way import taken_in
from tests.integration.test_drive_wopi import ALICE, BRUNO, LOCK, Centre, Session, centre, file
from tests.integration.test_drive_wopi_shared import shared
from tests.waiting import PATIENCE_S

__all__ = ["centre", "file", "shared"]
BODY = b"x" * 3000


def save(session: Session, meanwhile: Callable[[], object], rest: str = "/contents", **more: Any) -> int:
    """The status of a save whose second half comes after ``meanwhile``, which is done once the first was asked for."""
    target = f"{session.file.path}{rest}?access_token={session.token}"
    named = session.office.headers(target, session.token, **more)
    named |= {"Host": "localhost", "Content-Length": str(len(BODY)), "Expect": "100-continue"}
    head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in named.items())
    with (
        socket.create_connection(("127.0.0.1", session.port), PATIENCE_S) as line,
        line.makefile("rb") as said,
    ):
        line.sendall(f"{head}\r\n".encode())
        assert said.readline().split()[1] == b"100" and said.readline() == b"\r\n"
        line.sendall(BODY[:1000])
        meanwhile()
        time.sleep(max(AGAIN_S, FRESH_S) + 0.2)
        line.sendall(BODY[1000:])
        return int(said.readline().split()[1])


def put(session: Session, meanwhile: Callable[[], object]) -> int:
    return save(session, meanwhile, X_WOPI_Override="PUT", X_WOPI_Lock=LOCK)


def put_beside(session: Session, meanwhile: Callable[[], object]) -> int:
    return save(session, meanwhile, "", X_WOPI_Override="PUT_RELATIVE", X_WOPI_SuggestedTarget=".odt")


def stop(centre: Centre, session: Session, owner: Who) -> None:
    """The editor of this person and day, with the collectivité of ``owner`` alone."""
    grant = tokens.read(centre.config.secret("drive-grant.key"), session.token, session.file)
    alarm = Alarm(tokens.device_of(grant), 1.0, 3, {})
    with centre.changing(owner) as database:
        database.write(lambda writing: alarms.raise_(writing, alarm, now_s=clock.epoch_s()))


@pytest.fixture
def over(centre: Centre) -> Iterator[Callable[[], object]]:
    """Ends the session "short"."""
    ended = centre.server.directory / "ended-sessions"
    yield lambda: ended.write_text("short")
    ended.unlink(missing_ok=True)


def lock(session: Session) -> Session:
    assert session.do("LOCK", X_WOPI_Lock=LOCK).status == 200
    return session


def test_a_refused_save_is_taken_in_before_it_is_answered(centre: Centre, file: int) -> None:
    """Else what sends it would see a broken connection, and no lock that it lacks."""
    session = centre.open(ALICE, file)
    target = f"{session.file.path}/contents?access_token={session.token}"
    named = session.office.headers(target, session.token, X_WOPI_Override="PUT", X_WOPI_Lock="none")
    assert taken_in(session.port, "POST", target, named, BODY).split()[1] == b"409"


def test_a_save_that_takes_long_is_kept_for_who_still_may(centre: Centre, file: int) -> None:
    session = lock(centre.open(ALICE, file))
    assert put(session, lambda: None) == 200
    assert session.get().body == BODY
    assert put_beside(session, lambda: None) == 200


@pytest.mark.parametrize("way", [put, put_beside])
def test_a_session_that_ended_meanwhile_saves_nothing(
    centre: Centre, file: int, over: Callable[[], object], way: Callable[..., int]
) -> None:
    session = lock(centre.open(ALICE, file, session="short"))
    with centre.looking(ALICE) as (reading, view):
        before = view.children(reading, view.place(reading, ("Commune",)))
    assert way(session, over) == 401
    with centre.looking(ALICE) as (reading, view):
        assert view.children(reading, view.place(reading, ("Commune",))) == before


def test_an_editor_that_was_stopped_meanwhile_saves_nothing(centre: Centre, file: int) -> None:
    session = lock(centre.open(ALICE, file, ttl_s=3 * 86400))
    assert put(session, lambda: stop(centre, session, ALICE)) == 403
    assert centre.open(ALICE, file).get().body == b"before"


@pytest.mark.parametrize("by", ["owner", "receiver"])
def test_a_share_that_ended_meanwhile_takes_no_save(
    centre: Centre, shared: tuple[int, Share], by: str
) -> None:
    node, made = shared
    session = lock(centre.open(BRUNO, node, share=made))

    def ends() -> None:
        if by == "owner":
            end(centre.server, made)
        else:
            answer(centre.server, made, accepted=False)

    assert put(session, ends) == 404
    assert centre.open(ALICE, node).get().body == b"before"


def test_an_editor_that_the_owner_s_commune_stopped_meanwhile_saves_nothing_there(
    centre: Centre, shared: tuple[int, Share]
) -> None:
    node, made = shared
    session = lock(centre.open(BRUNO, node, share=made, ttl_s=3 * 86400))
    assert put(session, lambda: stop(centre, session, ALICE)) == 403
    assert centre.open(ALICE, node).get().body == b"before"
