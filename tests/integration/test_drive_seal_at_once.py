"""Coffre, seals: two people decide about one seal at once. Its term never grows shorter, nor is it lifted within it."""

from __future__ import annotations

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.drive.archives import rules
from beffroi.drive.seals import actions
from beffroi.drive.store import look, seal_alarms, seal_checks, seals, tree
from beffroi.drive.store.model import Node
from beffroi.drive.store.seals import Seal
from beffroi.drive.views import View
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from django.test import Client

from tests.drive_browser import server
from tests.drive_meanwhile import meanwhile, told
from tests.drive_pages import Drive
from tests.fixtures_portal import no_door
from tests.fixtures_seals import DAY_S, drive, folder, referent, seal_of, sealed

__all__ = ["drive", "folder", "no_door", "referent", "server"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def seal(drive: Drive, folder: Node, referent: Client) -> Seal:
    day = f"{rules.date_of(clock.epoch_s() + 20 * DAY_S)}"
    return sealed(drive, folder, referent, until=day)


@pytest.fixture
def person(drive: Drive) -> Actor:
    return Actor("person", drive.act.person_id, drive.collectivite_id, "referent")


def test_an_extension_that_was_overtaken_by_a_longer_one_shortens_nothing(
    drive: Drive, folder: Node, seal: Seal, person: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extended(until_s: int) -> None:
        actions.extend(actor=person, database=drive.database, seal_id=seal.id, until_s=until_s)

    longer_s = seal.until_s + 900 * DAY_S
    meanwhile(monkeypatch, lambda: extended(longer_s))
    with pytest.raises(rules.TermNotForward):
        extended(seal.until_s + DAY_S)
    assert seal_of(drive, folder).until_s == longer_s
    assert told()[1:] == ["drive:seal:extended"] * 2 + ["not drive:seal:extended: drive.term_not_forward"]


def test_a_seal_that_is_extended_meanwhile_is_not_lifted(
    drive: Drive, folder: Node, seal: Seal, person: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer_s = seal.until_s + 900 * DAY_S
    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        meanwhile(
            monkeypatch,
            lambda: actions.extend(actor=person, database=drive.database, seal_id=seal.id, until_s=longer_s),
        )
        with pytest.raises(rules.TermRunning):
            actions.lift(actor=person, database=drive.database, seal_id=seal.id)
    found = seal_of(drive, folder)
    assert (found.state, found.until_s) == ("sealed", longer_s)
    assert told()[1:] == [
        "drive:seal:lifted",
        "drive:seal:extended",
        "not drive:seal:lifted: drive.term_running",
    ], "who reads the log knows that it is sealed"


def test_a_seal_that_is_lifted_meanwhile_is_not_extended(
    drive: Drive, seal: Seal, person: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        meanwhile(monkeypatch, lambda: actions.lift(actor=person, database=drive.database, seal_id=seal.id))
        with pytest.raises(Conflict):
            actions.extend(
                actor=person, database=drive.database, seal_id=seal.id, until_s=seal.until_s + 900 * DAY_S
            )
    with drive.database.reading() as reading:
        assert seals.find(reading, seal.id).state == "lifted"
    assert told()[-1] == "not drive:seal:extended: state.conflict"


def test_a_seal_that_is_lifted_meanwhile_is_not_verified(
    drive: Drive, seal: Seal, person: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        meanwhile(monkeypatch, lambda: actions.lift(actor=person, database=drive.database, seal_id=seal.id))
        with pytest.raises(Conflict):
            actions.verify(actor=person, database=drive.database, seal_id=seal.id)
    with drive.database.reading() as reading:
        assert seal_checks.waiting(reading, seal.id) is None


def test_a_file_that_came_just_before_the_folder_was_closed_is_counted(
    drive: Drive, folder: Node, person: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with drive.database.reading() as reading:
        before = seals.sums(reading, folder.id)
        invoice = next(look.below(reading, folder.id))
    meanwhile(
        monkeypatch,
        lambda: drive.database.write(lambda w: tree.copy(w, drive.act, invoice.id, folder.id, "copie.pdf")),
    )
    until_s = clock.epoch_s() + 20 * DAY_S
    made = actions.seal(
        actor=person,
        view=View(drive.database, drive.who),
        act=drive.act,
        node_id=folder.id,
        rule="",
        until_s=until_s,
    )
    counted = (before[0] + 1, before[1] + invoice.size_bytes)
    assert (made.files, made.size_bytes) == counted
    found = seal_of(drive, folder)
    assert (found.files, found.size_bytes) == counted


def test_words_about_a_damage_do_not_settle_one_that_is_found_meanwhile(
    drive: Drive, seal: Seal, person: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(what: str) -> None:
        drive.database.write(lambda w: seal_alarms.note(w, seal.id, what, now_s=5))

    found("one file")
    meanwhile(monkeypatch, lambda: found("all files"))
    with pytest.raises(Conflict):
        actions.settle_damage(actor=person, database=drive.database, seal_id=seal.id, why="perdu")
    with drive.database.reading() as reading:
        assert [one.found for one in seal_alarms.open_(reading)] == ["all files"]
    assert told()[-1] == "not drive:seal:damage_settled: state.conflict"
