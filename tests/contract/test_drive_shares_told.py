"""What is done with a share is on record before, on every metadata, and where it then fails, that is on record, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.sharing import Line, Sharing
from beffroi.drive.store import mounts, received, shares
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import AbsentNode, Node, StoreFull
from beffroi.drive.store.shares import NEVER, Share, Wish
from beffroi.drive.views import View
from beffroi.drive.who import Who
from beffroi.lib.errors import Unavailable

from tests.drive_server import A, B
from tests.drive_trees import ME, OTHER, folder
from tests.fixtures_drive_store import in_one_file

pytest_plugins = ["tests.fixtures_drive_store"]
WISH = Wish("role", "elu")


class Kept(list[Line]):
    """Lines of the audit log, in order; ``is_away``: it takes none; ``then``: what others do after each."""

    is_away = False
    then: Callable[[], object] | None = None

    def __call__(self, line: Line) -> None:
        if self.is_away:
            raise Unavailable("The audit log")
        self.append(line)
        if self.then is not None:
            self.then()

    def said(self) -> list[str]:
        return [str(one.details["what"] if one.what == "failed" else one.what) for one in self]

    def failed(self) -> list[tuple[Any, Any, str]]:
        return [(o.details["what"], o.details["code"], o.share_id) for o in self if o.what == "failed"]


def desk(metadata: Database, lines: Kept, there: Database | None = None) -> Sharing:
    """``there``: the metadata of B, with whom something is shared."""
    who = Who(ME.person_id, "mem_me", A, "referent", "me", "Me", "")
    view = View(metadata, who) if there is None else View(metadata, who, {B: there}.__getitem__)
    return Sharing(view, ME, lines)


def every(metadata: Database) -> list[Share]:
    with metadata.reading() as reading:
        return shares.every(reading)


@pytest.fixture
def made(metadata: Database, home: Node) -> Share:
    plans = folder(metadata, home.id, "Plans")
    return metadata.write(lambda w: shares.make(w, ME, plans.id, WISH))[0]


@pytest.fixture
def offered(metadata: Database, made: Share) -> Share:
    """Another collectivité's, that this one's référent has accepted; and one that is shared with a person here."""
    there = made._replace(id="shr_" + "9" * 26, kind="collectivite", target=A)
    metadata.write(lambda w: received.offer(w, there.id, there.label, owner=B, now_s=ME.now_s))
    metadata.write(lambda w: received.answer(w, ME, there.id, accepted=True))
    return there


def ways(metadata: Database, lines: Kept, made: Share, offered: Share) -> dict[str, Callable[[], object]]:
    """What is done, each by what it says; that a share takes another's place says ``ended`` besides."""
    one = desk(metadata, lines)
    return {
        "changed": lambda: one.change(made.id, rights="write", expires_s=NEVER),
        "left": lambda: one.leave(offered.id),
        "returned": lambda: one.leave(offered.id, left=False),
        "refused": lambda: one.answer(offered.id, accepted=False),
        "made ended": lambda: one.make(made.node, WISH, lambda _: True),
        "ended": lambda: one.end(made.id),
    }


def test_nothing_is_done_that_is_not_on_record(metadata: Database, made: Share, offered: Share) -> None:
    lines = Kept()
    lines.is_away = True
    for what, change in ways(metadata, lines, made, offered).items():
        with pytest.raises(Unavailable):
            change()
        assert every(metadata) == [made], what
    with metadata.reading() as reading:
        assert received.find(reading, offered.id).state == "accepted"
        assert not mounts.of(reading, ME.person_id)
    lines.is_away = False
    for what, change in ways(metadata, lines, made, offered).items():
        if what != "ended":
            change()
    (again,) = [one for one in every(metadata) if one.id != made.id]
    assert desk(metadata, lines).end(again.id).id == again.id
    assert lines.said() == ["changed", "left", "returned", "refused", "made", "ended", "ended"]


def test_what_was_told_and_failed_is_told_too(
    metadata: Database, made: Share, offered: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreFull

    for place, name in (
        (shares, "make"),
        (shares, "change"),
        (shares, "end"),
        (received, "answer"),
        (mounts, "leave"),
        (mounts, "come_back"),
    ):
        monkeypatch.setattr(place, name, full)
    for what, change in ways(metadata, lines := Kept(), made, offered).items():
        lines.clear()
        with pytest.raises(StoreFull):
            change()
        words = what.split()
        assert lines.said() == words * 2, what
        told = [(one.what, "drive.store_full", one.share_id) for one in lines[: len(words)]]
        assert lines.failed() == told, what
        assert [one.receiver for one in lines[: len(words)]] == [one.receiver for one in lines[len(words) :]]
    assert every(metadata) == [made]


def test_what_somebody_else_ended_meanwhile_is_told_as_not_done_and_is_no_error(
    metadata: Database, made: Share
) -> None:
    lines = Kept()

    def ends_too() -> None:
        lines.then = None
        desk(metadata, lines).end(made.id)

    lines.then = ends_too
    assert desk(metadata, lines).end(made.id).id == made.id
    assert [one.what for one in lines] == ["ended", "ended", "failed"]
    assert lines.failed() == [("ended", "state.conflict", made.id)]
    assert every(metadata)[0].ended_s == ME.now_s
    assert desk(metadata, lines).end(made.id).id == made.id and len(lines) == 3, "what ended stays ended"


def test_a_share_that_was_made_meanwhile_and_loses_its_place_is_told(metadata: Database, made: Share) -> None:
    lines = Kept()
    wish = Wish("person", OTHER.person_id)
    other: list[Share] = []

    def makes_too() -> None:
        lines.then = None
        other.append(desk(metadata, lines).make(made.node, wish, lambda _: True))

    lines.then = makes_too
    last = desk(metadata, lines).make(made.node, wish, lambda _: True)
    assert [(one.what, one.share_id) for one in lines] == [
        ("made", last.id),
        ("made", other[0].id),
        ("ended", other[0].id),
    ]
    assert [one.id for one in every(metadata) if one.is_open(ME.now_s)] == [made.id, last.id]


# -- with another collectivité: two metadata, and no transaction spans both ------------------------------------

FOR_B = Wish("collectivite", B)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Database]:
    with in_one_file(tmp_path / "there.db") as database:
        yield database


def seen_there(there: Database, metadata: Database) -> list[str]:
    """What a person of B sees of A, by its name there, once B's référent said yes to all that was offered and made."""
    view = View(there, Who("per_b", "mem_b", B, "referent", "b", "B", ""), {A: metadata}.__getitem__)
    with there.reading() as reading:
        offered = received.every(reading)
    known = {one.id for one in every(metadata)}
    for one in offered:
        with nullcontext() if one.share_id in known else pytest.raises(AbsentNode):
            Sharing(view, ME, Kept()).answer(one.share_id, accepted=True)
    with there.reading() as reading:
        return [one.node.name for one in view.mounts(reading)]


def test_what_could_not_be_offered_is_not_shared_and_takes_nothing_s_place(
    metadata: Database, there: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = folder(metadata, home.id, "Plans")
    before = desk(metadata, Kept(), there).make(plans.id, FOR_B, lambda _: True)

    def full(*_: object, **__: object) -> None:
        raise StoreFull

    with monkeypatch.context() as patch, pytest.raises(StoreFull):
        patch.setattr(received, "offer", full)
        desk(metadata, lines := Kept(), there).make(plans.id, FOR_B, lambda _: True)
    assert every(metadata) == [before] and seen_there(there, metadata) == ["Plans"]
    made, ended = lines[0].share_id, before.id
    assert [(one.what, one.share_id) for one in lines[:2]] == [("made", made), ("ended", ended)]
    code = "drive.store_full"
    assert lines[2:] and lines.failed() == [("made", code, made), ("ended", code, ended)]


def test_a_crash_after_the_offer_leaves_one_that_leads_nowhere_and_sharing_again_works(
    metadata: Database, there: Database, home: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = folder(metadata, home.id, "Plans")

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(shares, "make", dies)
        desk(metadata, Kept(), there).make(plans.id, FOR_B, lambda _: True)
    assert every(metadata) == []
    with there.reading() as reading:
        assert len(received.every(reading)) == 1
    assert seen_there(there, metadata) == []
    made = desk(metadata, Kept(), there).make(plans.id, FOR_B, lambda _: True)
    assert seen_there(there, metadata) == ["Plans"]
    desk(metadata, Kept(), there).end(made.id)
    assert seen_there(there, metadata) == [], "its end is looked up with its owner"
