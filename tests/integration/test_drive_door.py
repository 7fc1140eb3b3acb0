"""A file that became bad is refused and found everywhere, by its hash, through the real feed."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.decisions import exceptions, lists
from beffroi.core.decisions.actions import revoke
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.drive import door as door_module
from beffroi.drive import following
from beffroi.drive.door import FileDoor
from beffroi.drive.store import findings, frozen, schema, tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.model import Act, StoreFull
from beffroi.drive.telling import Tell, tell
from beffroi.lib.errors import Unavailable
from beffroi.lib.ids import new_id
from beffroi_protocol.indicators import normalise
from django.db import transaction

from tests.conftest import Commune
from tests.drive_trees import content
from tests.fixtures_lists import publish
from tests.fixtures_stream import Centre, block, eventually, running_centre  # noqa: F401

BAD, GOOD = hashlib.sha256(b"bad").hexdigest(), hashlib.sha256(b"good").hexdigest()
PACKED, PACKED_ANEW = hashlib.sha256(b"zip").hexdigest(), hashlib.sha256(b"other zip").hexdigest()


@pytest.fixture
def communes(tmp_path: Path) -> Iterator[Communes]:
    with ThreadPoolExecutor(2) as pool:
        made = Communes(tmp_path / "drive", pool)
        yield made
        made.close()


def telling(centre: Centre, committed: str) -> Tell:
    return partial(tell, replace(centre.config, database_url=committed))


@pytest.fixture
def door(centre: Centre, communes: Communes, committed: str) -> Iterator[FileDoor]:
    made = FileDoor(centre.config, communes, telling(centre, committed))
    made.start()
    eventually(lambda: made.follower is not None and made.follower.connected, "connected")
    yield made
    made.stop()


def keep(communes: Communes, owner: str, name: str, sha256: str) -> None:
    database = communes.metadata(owner)
    root = database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=1))
    bad = replace(content(name.encode()), sha256=sha256)
    database.write(lambda w: tree.put(w, Act("per_a", "", 1), root.id, name, bad))


def held(communes: Communes, owner: str, sha256: str = BAD) -> str:
    with communes.metadata(owner).reading() as reading:
        return frozen.decision_of(reading, sha256)


def looked_at(communes: Communes, owner: str, sha256: str, *files: str) -> bool:
    """As the scan writes it."""
    result = findings.Result(sha256, "m", {}, True, files)
    return communes.metadata(owner).write(lambda w: findings.keep(w, [result], now_s=1))


def is_free(communes: Communes, owner: str, sha256: str) -> bool:
    """Whether it may be copied, shared, and brought once more."""
    database = communes.metadata(owner)
    with database.reading() as reading:
        try:
            findings.require_free(reading, (sha256,))
            findings.require_new(reading, sha256)
        except Frozen:
            return False
    return True


def told(kind: str) -> dict[str, tuple[str, int, int]]:
    rows = OutboxEvent.objects.filter(kind=kind).order_by("id")
    found = {str(row.collectivite_id): json.loads(row.payload) for row in rows}
    return {owner: (one["decision_id"], one["files"], one["versions"]) for owner, one in found.items()}


def test_a_hash_that_becomes_bad_is_frozen_where_it_lies_and_freed_when_the_decision_ends(
    door: FileDoor, communes: Communes, beaune: Commune, nuits: Commune
) -> None:
    keep(communes, beaune.id, "facture.xlsm", BAD)
    keep(communes, beaune.id, "copie.xlsm", BAD)
    keep(communes, beaune.id, "changée.xlsm", BAD)
    keep(communes, beaune.id, "changée.xlsm", GOOD)
    keep(communes, nuits.id, "plan.pdf", GOOD)
    decision = block(BAD, "sha256")
    eventually(lambda: held(communes, beaune.id) == decision.id, "frozen")
    with pytest.raises(Frozen, match=decision.id):
        door.require(BAD, nuits.id)
    door.require(GOOD, beaune.id)
    eventually(
        lambda: told("drive:frozen") == {beaune.id: (decision.id, 2, 1)}, "told, of this commune alone"
    )
    assert held(communes, nuits.id) == "", "it has none, and learns nothing of others"
    revoke(actor=Actor.system("tests"), decision=decision, reason="tests")
    eventually(lambda: held(communes, beaune.id) == "", "free again")
    eventually(lambda: told("drive:thawed") == {beaune.id: (decision.id, 2, 1)}, "told")
    door.require(BAD, beaune.id)


def test_what_a_decision_held_that_ended_meanwhile_is_free_after_the_next_start(
    door: FileDoor, communes: Communes, beaune: Commune, centre: Centre, committed: str
) -> None:
    """It ended while the metadata were away, or they came back from a backup of before."""
    keep(communes, beaune.id, "facture.xlsm", BAD)
    keep(communes, beaune.id, "plan.xlsm", GOOD)
    decision = block(GOOD, "sha256")
    eventually(lambda: held(communes, beaune.id, GOOD) == decision.id, "the feed was heard")
    door.stop()
    metadata = communes.metadata(beaune.id)
    metadata.write(lambda w: frozen.freeze(w, sha256=BAD, decision_id="dec_ended", now_s=1))
    again = FileDoor(centre.config, communes, telling(centre, committed))
    again.start()
    try:
        eventually(lambda: held(communes, beaune.id) == "", "free again")
        assert held(communes, beaune.id, GOOD) == decision.id
    finally:
        again.stop()


def test_what_one_commune_lets_through_is_free_for_it_alone(
    door: FileDoor, communes: Communes, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    for owner in (beaune.id, nuits.id):
        keep(communes, owner, "outil.exe", BAD)
    block(BAD, "sha256")
    eventually(lambda: held(communes, beaune.id) and held(communes, nuits.id), "frozen in both")
    exceptions.allow_locally(
        actor=administrator,
        collectivite_id=beaune.id,
        indicator=normalise("sha256", BAD),
        ttl_s=600,
        reason="outil métier",
    )
    eventually(lambda: held(communes, beaune.id) == "", "free there")
    door.require(BAD, beaune.id)
    assert held(communes, nuits.id)
    with pytest.raises(Frozen):
        door.require(BAD, nuits.id)


def test_a_commune_that_could_not_be_searched_is_searched_again(
    door: FileDoor, communes: Communes, beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk is full when the decision comes, and again when it ends."""
    monkeypatch.setattr(door_module, "AGAIN_S", 0.2)
    for owner in (beaune.id, nuits.id):
        keep(communes, owner, "facture.xlsm", BAD)
    metadata, tries = communes.metadata(beaune.id), [0]
    write = metadata.write

    def full(change: Any) -> Any:
        tries[0] += 1
        if tries[0] % 3:
            raise StoreFull
        return write(change)

    monkeypatch.setattr(metadata, "write", full)
    decision = block(BAD, "sha256")
    eventually(lambda: held(communes, nuits.id) == held(communes, beaune.id) == decision.id, "frozen in both")
    revoke(actor=Actor.system("tests"), decision=decision, reason="tests")
    eventually(lambda: not held(communes, nuits.id) and not held(communes, beaune.id), "free in both")
    both = dict.fromkeys((beaune.id, nuits.id), (decision.id, 1, 0))
    assert told("drive:frozen") == both
    eventually(lambda: told("drive:thawed") == both, "told")


def test_after_a_start_what_is_decided_now_waits_for_no_search_for_all_that_was_before(
    door: FileDoor, communes: Communes, beaune: Commune, centre: Centre, committed: str
) -> None:
    block(GOOD, "sha256")
    eventually(lambda: door.refuses(GOOD, beaune.id) is not None, "the feed was heard")
    door.stop()
    owners = sorted((beaune.id, new_id("col")))
    for owner in owners:
        communes.metadata(owner)
    again = FileDoor(centre.config, communes, telling(centre, committed))
    order: list[tuple[str, int]] = []
    search_in = again._search_in

    def searched(owner: str, sought: list[str]) -> bool:
        if not order:
            again._sought.put(BAD)  # the feed brings it while the first one is searched
        order.append((owner, sought.count(BAD)))
        return search_in(owner, sought)

    again._search_in = searched
    again.start()
    try:
        eventually(lambda: len(order) >= 4, "searched")
        assert order[1:3] == [(owner, 1) for owner in owners]
    finally:
        again.stop()


def test_where_another_decision_goes_on_both_are_told(
    door: FileDoor, communes: Communes, beaune: Commune
) -> None:
    keep(communes, beaune.id, "facture.xlsm", BAD)
    first = block(BAD, "sha256")
    eventually(lambda: told("drive:frozen") == {beaune.id: (first.id, 1, 0)}, "frozen")
    with transaction.atomic():
        revoke(actor=Actor.system("tests"), decision=first, reason="tests")
        second = block(BAD, "sha256")
    eventually(lambda: told("drive:frozen") == {beaune.id: (second.id, 1, 0)}, "told of the second")
    assert told("drive:thawed") == {beaune.id: (first.id, 1, 0)}
    assert held(communes, beaune.id) == second.id


def test_what_a_list_names_is_held_where_it_lies_already(
    door: FileDoor, communes: Communes, beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "PORTION", 2)
    keep(communes, beaune.id, "outil.exe", BAD)
    for number in range(5):
        keep(communes, beaune.id, f"{number}.txt", hashlib.sha256(b"%d" % number).hexdigest())
    keep(communes, nuits.id, "autre.txt", GOOD)
    publish("files", BAD, kind="sha256")
    eventually(lambda: held(communes, beaune.id) == "list:files", "held")
    assert not held(communes, nuits.id) and not held(communes, nuits.id, GOOD)
    eventually(lambda: told("drive:frozen") == {beaune.id: ("list:files", 1, 0)}, "told")


def test_what_a_list_held_is_free_when_the_list_goes(
    door: FileDoor, communes: Communes, beaune: Commune, administrator: Actor
) -> None:
    keep(communes, beaune.id, "outil.exe", BAD)
    publish("files", BAD, kind="sha256")
    eventually(lambda: door.refuses(BAD, beaune.id) is not None, "listed")
    made = exceptions.allow_locally(
        actor=administrator,
        collectivite_id=beaune.id,
        indicator=normalise("sha256", BAD),
        ttl_s=600,
        reason="outil métier",
    )
    eventually(lambda: door.refuses(BAD, beaune.id) is None, "let through")
    exceptions.end(actor=administrator, exception_id=made.id)
    eventually(lambda: held(communes, beaune.id) == "list:files", "held again")
    lists.withdraw_list(actor=administrator, name="files")
    eventually(lambda: held(communes, beaune.id) == "", "free")


def test_what_cannot_be_a_hash_is_refused_nowhere(door: FileDoor, beaune: Commune) -> None:
    for odd in ("", "x", "0" * 63, "\x00" * 64, "é" * 64):
        assert door.refuses(odd, beaune.id) is None


def test_what_cannot_be_told_ends_no_search_and_is_told_later(
    centre: Centre, communes: Communes, beaune: Commune, committed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The centre's database is away for a moment: the file is held all the same, and so is the next one."""
    monkeypatch.setattr(door_module, "AGAIN_S", 0.2)
    is_away, say = threading.Event(), telling(centre, committed)

    def answer(*event: Any) -> None:
        if is_away.is_set():
            raise Unavailable("The centre's database")
        say(*event)

    made = FileDoor(centre.config, communes, answer)
    made.start()
    try:
        eventually(lambda: made.follower is not None and made.follower.connected, "connected")
        is_away.set()
        decisions = []
        for name, sha256 in (("a.xlsm", BAD), ("b.xlsm", GOOD)):
            keep(communes, beaune.id, name, sha256)
            decisions.append(block(sha256, "sha256"))
            eventually(lambda of=sha256: held(communes, beaune.id, of) == decisions[-1].id, "frozen")
        revoke(actor=Actor.system("tests"), decision=decisions[1], reason="tests")
        eventually(lambda: held(communes, beaune.id, GOOD) == "", "free")
        assert told("drive:frozen") == told("drive:thawed") == {}
        is_away.clear()
        eventually(lambda: told("drive:thawed") == {beaune.id: (decisions[1].id, 1, 0)}, "told, and in order")
        rows = OutboxEvent.objects.filter(kind__in=("drive:frozen", "drive:thawed")).order_by("id")
        assert [json.loads(row.payload)["decision_id"] for row in rows] == [
            decisions[0].id,
            decisions[1].id,
            decisions[1].id,
        ], "each once"
    finally:
        made.stop()


def test_what_carries_a_decided_file_is_frozen_with_it_and_freed_with_it(
    door: FileDoor, communes: Communes, beaune: Commune, nuits: Commune
) -> None:
    """The numbers are of all that a decision holds in a commune, however often it was packed."""
    keep(communes, beaune.id, "facture.xlsm", BAD)
    keep(communes, beaune.id, "envoi.zip", PACKED)
    keep(communes, beaune.id, "ancien.zip", PACKED_ANEW)
    keep(communes, beaune.id, "ancien.zip", GOOD)
    keep(communes, nuits.id, "plan.zip", PACKED)
    for sha256 in (PACKED, PACKED_ANEW):
        looked_at(communes, beaune.id, sha256, BAD)
    looked_at(communes, nuits.id, PACKED, GOOD)
    decision = block(BAD, "sha256")
    eventually(lambda: told("drive:frozen") == {beaune.id: (decision.id, 2, 1)}, "told once, of all")
    for sha256 in (BAD, PACKED, PACKED_ANEW):
        assert held(communes, beaune.id, sha256) == decision.id
        assert not is_free(communes, beaune.id, sha256)
    assert held(communes, nuits.id, PACKED) == "" and is_free(communes, nuits.id, PACKED)
    assert is_free(communes, beaune.id, GOOD)
    revoke(actor=Actor.system("tests"), decision=decision, reason="tests")
    eventually(lambda: told("drive:thawed") == {beaune.id: (decision.id, 2, 1)}, "told")
    for sha256 in (BAD, PACKED, PACKED_ANEW):
        assert held(communes, beaune.id, sha256) == "" and is_free(communes, beaune.id, sha256)


def test_an_archive_that_comes_after_the_decision_is_frozen_as_soon_as_the_scan_looked_into_it(
    door: FileDoor, communes: Communes, beaune: Commune, centre: Centre
) -> None:
    decision = block(BAD, "sha256")
    eventually(lambda: door.refuses(BAD, beaune.id) is not None, "the feed was heard")
    scan = following.Teller(following.of_door(centre.config.run))
    scan.start()
    try:
        for files, name in ((1, "envoi.zip"), (2, "encore.zip")):
            sha256 = hashlib.sha256(name.encode()).hexdigest()
            keep(communes, beaune.id, name, sha256)
            assert looked_at(communes, beaune.id, sha256, GOOD, BAD)
            assert not looked_at(communes, beaune.id, sha256, BAD, GOOD), "nothing new"
            scan.told(beaune.id)
            eventually(lambda of=sha256: held(communes, beaune.id, of) == decision.id, "frozen")
            eventually(
                lambda many=files: told("drive:frozen") == {beaune.id: (decision.id, many, 0)}, "told, of all"
            )
        assert looked_at(communes, beaune.id, sha256, GOOD), "newer rules see another file in it"
        scan.told(beaune.id)
        eventually(lambda: not held(communes, beaune.id, sha256), "free")
        eventually(lambda: told("drive:frozen") == {beaune.id: (decision.id, 1, 0)}, "the other one is held")
        assert told("drive:thawed") == {}
    finally:
        scan.stop()


def test_what_the_scan_told_while_the_door_was_away_is_frozen_at_its_start_or_by_a_list(
    door: FileDoor, communes: Communes, beaune: Commune, centre: Centre, committed: str
) -> None:
    decision = block(BAD, "sha256")
    eventually(lambda: door.refuses(BAD, beaune.id) is not None, "the feed was heard")
    door.stop()
    for name, sha256, inside in (("a.zip", PACKED, BAD), ("b.zip", PACKED_ANEW, GOOD)):
        keep(communes, beaune.id, name, sha256)
        looked_at(communes, beaune.id, sha256, inside)
    again = FileDoor(centre.config, communes, telling(centre, committed))
    again.start()
    try:
        eventually(lambda: held(communes, beaune.id, PACKED) == decision.id, "frozen")
        assert not held(communes, beaune.id, PACKED_ANEW)
        publish("files", GOOD, kind="sha256")
        eventually(lambda: held(communes, beaune.id, PACKED_ANEW) == "list:files", "held")
    finally:
        again.stop()
