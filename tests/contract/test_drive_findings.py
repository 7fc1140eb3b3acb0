"""What the scan says of contents, and what drop links take, on every metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from beffroi.drive.store import carried, drops, findings, frozen, shares, trash, tree, versions
from beffroi.drive.store.database import Database
from beffroi.drive.store.drops import DropFull, Letter, Limits
from beffroi.drive.store.findings import Found, NotScanned, Progress, Result
from beffroi.drive.store.frozen import Frozen, Held
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.shares import LinkClosed, Share, Wish
from beffroi.drive.store.writing import Writing

from tests.drive_trees import ME, content, folder, put

pytest_plugins = ["tests.fixtures_drive_store"]
NOW = ME.now_s
BAD = hashlib.sha256(b"bad").hexdigest()


def said(
    metadata: Database, data: bytes, *codes: str, mark: str = "m", malware: tuple[str, ...] = ()
) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    result = Result(sha256, mark, {code: ["Rule"] for code in codes}, True, malware, malware)
    metadata.write(lambda w: findings.keep(w, [result], now_s=NOW))


def required(metadata: Database, data: bytes) -> str:
    """The code of what refuses it, "" for nothing."""
    sha256 = hashlib.sha256(data).hexdigest()
    with metadata.reading() as reading:
        try:
            findings.require(reading, sha256)
            findings.require_scanned(reading, sha256)
        except (Found, NotScanned) as error:
            return error.code
    return ""


def waiting(metadata: Database, nodes: list[Node]) -> list[bytes]:
    with metadata.reading() as reading:
        found = findings.waiting_in(reading, [one.id for one in nodes])
    return sorted(bytes.fromhex(one.sha256) for one in found)


def test_who_brought_a_content_is_who_wrote_it_and_nobody_who_wrote_over_it(
    metadata: Database, home: Node
) -> None:
    def brought_by() -> str:
        with metadata.reading() as reading:
            return frozen.brought_by(reading, BAD)

    assert brought_by() == ""
    infected, clean = replace(ME, device_id="app_infected"), replace(ME, device_id="app_clean")
    metadata.write(lambda w: tree.put(w, infected, home.id, "a", content(b"bad")))
    assert brought_by() == "app_infected"
    metadata.write(lambda w: tree.put(w, clean, home.id, "a", content(b"good")))
    assert brought_by() == "app_infected"
    other = replace(ME, device_id="app_other")
    metadata.write(lambda w: tree.put(w, other, home.id, "b", content(b"bad")))
    assert brought_by() == "app_other"


def digests(*data: bytes) -> list[bytes]:
    return sorted(hashlib.sha256(one).digest() for one in data)


def test_present_and_earlier_contents_wait_until_they_were_looked_at(metadata: Database, home: Node) -> None:
    node = put(metadata, home.id, "a", b"one")
    put(metadata, home.id, "a", b"two")
    other = put(metadata, home.id, "b", b"one")
    assert waiting(metadata, [node, other]) == digests(b"one", b"two")
    said(metadata, b"one")
    assert waiting(metadata, [node, other]) == digests(b"two")
    with metadata.reading() as reading:
        nodes, last = findings.changes(reading, 0, 100)
        assert {node.id, other.id} <= set(nodes) and home.id not in nodes
        assert findings.changes(reading, last, 100) == ([], last)
        names = findings.after(reading, "", 10)
        assert names == sorted(one.hex() for one in digests(b"one", b"two"))
        assert findings.after(reading, names[0], 10) == names[1:] and len(findings.after(reading, "", 1)) == 1
        kept = findings.content(reading, hashlib.sha256(b"one").hexdigest())
        assert kept is not None and kept.size_bytes == 3
        assert findings.content(reading, BAD) is None


def test_malice_freezes_until_it_is_released_or_newer_rules_find_nothing(
    metadata: Database, home: Node
) -> None:
    put(metadata, home.id, "a", b"bad")
    said(metadata, b"bad", "macro")
    assert required(metadata, b"bad") == "", "members bring what they like"
    inside = hashlib.sha256(b"inside").hexdigest()
    said(metadata, b"bad", "malware", "macro", malware=(inside,))
    assert required(metadata, b"bad") == "drive.found"
    with metadata.reading() as reading:
        (untold,) = findings.untold(reading)
        assert (untold.sha256, untold.names, untold.told_s, untold.inside) == (BAD, "Rule", 0, (inside,))
    metadata.write(lambda w: findings.told(w, BAD, now_s=NOW))
    said(metadata, b"bad", "malware")
    with metadata.reading() as reading:
        assert findings.untold(reading) == []
        assert reading.all("SELECT * FROM found_inside") == []
        found = findings.finding(reading, BAD)
        assert found is not None and not found.released_s
    said(metadata, b"bad")
    assert required(metadata, b"bad") == ""
    with pytest.raises(AbsentNode):
        metadata.write(lambda w: findings.release(w, BAD, person_id="per_a", now_s=NOW))
    said(metadata, b"bad", "virus")
    assert metadata.write(lambda w: findings.release(w, BAD, person_id="per_a", now_s=NOW))
    assert not metadata.write(lambda w: findings.release(w, BAD, person_id="per_b", now_s=NOW))
    said(metadata, b"bad", "virus")
    assert required(metadata, b"bad") == ""


def test_a_look_that_did_not_see_all_takes_no_word_about_malware_back(metadata: Database, home: Node) -> None:
    """As when an engine fails on it three times, or its object is damaged."""
    put(metadata, home.id, "a", b"bad")
    said(metadata, b"bad", "virus")
    for found in ({}, {"unreadable": list[str]()}):
        metadata.write(lambda w, it=found: findings.keep(w, [Result(BAD, "n", it, False)], now_s=NOW))
        assert required(metadata, b"bad") == "drive.found"
        with metadata.reading() as reading:
            kept, scanned = findings.finding(reading, BAD), findings.of(reading, BAD)
        assert kept is not None and kept.code == "virus"
        assert scanned is not None and scanned.mark == "n"
    said(metadata, b"bad", mark="o")
    assert required(metadata, b"bad") == ""


def test_what_is_said_of_what_went_is_forgotten(metadata: Database, home: Node) -> None:
    put(metadata, home.id, "a", b"stays")
    said(metadata, b"stays", "malware")
    said(metadata, b"gone", "malware")
    with metadata.reading() as reading:
        gone = findings.gone(reading)
    assert gone == [hashlib.sha256(b"gone").hexdigest()]
    stays = hashlib.sha256(b"stays").hexdigest()
    metadata.write(lambda w: findings.forget(w, [*gone, stays]))
    assert required(metadata, b"stays") == "drive.found" and required(metadata, b"gone") == ""


def test_what_is_known_to_be_in_a_content_waits_for_the_door_when_it_changes(
    metadata: Database, home: Node
) -> None:
    put(metadata, home.id, "a.zip", b"zip")
    zipped, other = (hashlib.sha256(one).hexdigest() for one in (b"zip", b"other zip"))

    def looked(sha256: str, *files: str) -> list[str]:
        """What waits after it."""
        metadata.write(lambda w: findings.keep(w, [Result(sha256, "m", {}, True, files)], now_s=NOW))
        with metadata.reading() as reading:
            assert sorted(carried.of(reading, sha256)) == sorted(set(files))
            return carried.due(reading)

    def settled() -> None:
        metadata.write(lambda w: carried.settled(w, [zipped]))

    assert looked(zipped) == []
    assert looked(zipped, BAD, zipped, BAD) == [zipped]
    settled()
    assert looked(zipped, zipped, BAD) == [], "the same as before"
    assert looked(other) == []
    with metadata.reading() as reading:
        assert frozen.concerned(reading, BAD) == [zipped], "where it lies itself, or is packed"
        assert frozen.concerned(reading, zipped) == [zipped] and frozen.concerned(reading, other) == []
        assert sorted(carried.between(reading, zipped, zipped)[zipped]) == sorted((BAD, zipped))
        assert carried.between(reading, other, other) == {}
    assert looked(zipped) == [zipped]
    settled()
    assert looked(other, BAD) == [other]
    metadata.write(lambda w: findings.forget(w, [other]))
    with metadata.reading() as reading:
        assert carried.of(reading, other) == [] and frozen.concerned(reading, BAD) == []


def _is_taken(metadata: Database, change: Callable[[Writing], object]) -> bool:
    try:
        metadata.write(change)
    except Frozen:
        return False
    return True


def test_what_carries_a_decided_file_is_brought_copied_and_shared_by_nobody_until_it_is_free(
    metadata: Database, home: Node
) -> None:
    node = put(metadata, home.id, "a.zip", b"before")
    put(metadata, home.id, "a.zip", b"zip")
    put(metadata, home.id, "a.zip", b"after")
    zipped = hashlib.sha256(b"zip").hexdigest()
    (old,) = [one for one in metadata.write(lambda w: versions.of(w, node.id)) if one.sha256 == zipped]

    def ways() -> list[bool]:
        """Whether it may be brought, copied, shared."""
        return [
            _is_taken(metadata, lambda w: tree.put(w, ME, home.id, "brought.zip", content(b"zip"))),
            _is_taken(metadata, lambda w: tree.copy(w, ME, node.id, home.id, "copied.zip", overwrite=True)),
            _is_taken(metadata, lambda w: shares.make(w, ME, node.id, Wish("link", expires_s=NOW + 3600))),
        ]

    metadata.write(lambda w: frozen.freeze(w, sha256=zipped, decision_id="dec_a", now_s=NOW))
    with metadata.reading() as reading:
        assert frozen.held_by(reading, "dec_a") == Held(0, 1) and frozen.held_by(reading, "dec_b") == (0, 0)
    assert ways() == [False, True, True], "its present content is another one"
    metadata.write(lambda w: versions.restore(w, ME, node.id, old.etag))
    assert ways() == [False, False, False]
    metadata.write(lambda w: frozen.thaw(w, sha256=zipped))
    assert ways() == [True, True, True]


def test_progress_is_one_row(metadata: Database, home: Node) -> None:
    with metadata.reading() as reading:
        assert findings.progress(reading, now_s=NOW + 10) == Progress(0, "", "", 0)
        assert findings.all_by(reading, "m")
    for walked in ("aa", "bb"):
        metadata.write(lambda w, it=walked: findings.keep_progress(w, Progress(7, "m", it, NOW)))
    said(metadata, b"x", mark="n")
    with metadata.reading() as reading:
        assert findings.progress(reading, now_s=NOW) == Progress(7, "m", "bb", NOW)
        assert findings.all_by(reading, "n") and not findings.all_by(reading, "m")


# -- drop links ------------------------------------------------------------------------------------------------


@pytest.fixture
def share(metadata: Database, home: Node) -> Share:
    place = folder(metadata, home.id, "dépôt")
    wish = Wish("link", rights="drop", expires_s=NOW + 3600)
    return metadata.write(lambda w: shares.make(w, ME, place.id, wish))[0]


def hand_in(metadata: Database, share: Share, name: str, data: bytes, *, visit: str = "A") -> Node:
    letter = Letter(f"{share.id}:{visit}", "Me Durand", "voici")
    return metadata.write(
        lambda w: drops.hand_in(w, share.id, name, content(data), letter, is_scanned=True, now_s=NOW)
    )


def test_what_comes_by_a_link_waits_and_is_held_for_whatever_holds_a_mail(
    metadata: Database, home: Node, share: Share
) -> None:
    node = hand_in(metadata, share, "a.docm", b"bad")
    assert required(metadata, b"bad") == "drive.not_scanned"
    assert waiting(metadata, [node]) == digests(b"bad")
    said(metadata, b"bad", "macro")
    assert required(metadata, b"bad") == "drive.found"


def test_who_hands_in_what_members_have_here_takes_it_from_nobody(
    metadata: Database, home: Node, share: Share
) -> None:
    """A citizen sends the collectivité's own form back as it was."""
    put(metadata, home.id, "formulaire.docm", b"form")
    said(metadata, b"form", "macro")
    hand_in(metadata, share, "formulaire.docm", b"form")
    assert required(metadata, b"form") == ""
    said(metadata, b"form", "macro", mark="newer")
    assert required(metadata, b"form") == ""
    put(metadata, home.id, "plan.docm", b"not looked at")
    hand_in(metadata, share, "plan.docm", b"not looked at")
    assert required(metadata, b"not looked at") == "drive.not_scanned"


def test_a_copy_of_what_came_by_a_link_waits_and_is_held_once_the_original_is_gone(
    metadata: Database, home: Node, share: Share
) -> None:
    node = hand_in(metadata, share, "a.docm", b"bad")
    copy = metadata.write(lambda w: tree.copy(w, ME, node.id, home.id, "b.docm"))[0]
    metadata.write(lambda w: tree.delete(w, ME, node.id))
    metadata.write(lambda w: trash.expire(w, ME, before_s=NOW + 1))
    trash.destroy_all(metadata, ME)
    metadata.write(drops.forget)
    assert required(metadata, b"bad") == "drive.not_scanned"
    said(metadata, b"bad", "macro")
    metadata.write(drops.forget)
    said(metadata, b"bad", "macro", mark="newer")
    assert required(metadata, b"bad") == "drive.found"
    metadata.write(lambda w: tree.delete(w, ME, copy.id))
    metadata.write(lambda w: trash.expire(w, ME, before_s=NOW + 1))
    trash.destroy_all(metadata, ME)
    metadata.write(drops.forget)
    with metadata.reading() as reading:
        assert reading.all("SELECT node FROM handed") == []


def test_a_link_counts_what_it_takes_and_visits_are_one_each(metadata: Database, share: Share) -> None:
    metadata.write(lambda w: drops.set_limits(w, share.id, Limits(100, 3)))
    names = [hand_in(metadata, share, "a.pdf", data).name for data in (b"1", b"22")]
    hand_in(metadata, share, "b.pdf", b"333", visit="B")
    assert names == ["a.pdf", "a (2).pdf"]
    with metadata.reading() as reading:
        box = drops.of(reading, share.id)
        assert (box.files, box.total_bytes) == (3, 6)
        found = {one.reference: (one.files, one.total_bytes) for one in drops.handings(reading, share.node)}
        assert found == {"A": (2, 3), "B": (1, 3)}
    with pytest.raises(DropFull):
        hand_in(metadata, share, "c.pdf", b"4")
    metadata.write(lambda w: drops.set_limits(w, share.id, Limits(8, 10)))
    with pytest.raises(DropFull):
        hand_in(metadata, share, "c.pdf", b"444")
    hand_in(metadata, share, "c.pdf", b"44")
    metadata.write(lambda w: tree.put(w, ME, share.node, "own.pdf", replace(content(b"own"))))
    metadata.write(lambda w: shares.end(w, share.id, now_s=NOW))
    with pytest.raises(LinkClosed):
        hand_in(metadata, share, "d.pdf", b"")
    metadata.write(lambda w: shares.forget(w, before_s=NOW + 1))
    metadata.write(drops.forget)
    with metadata.reading() as reading:
        assert drops.handings(reading, share.node) == [] and drops.of(reading, share.id).files == 0
