"""Shares keep their promises on every metadata."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from beffroi.drive.store import drops, groups, link_passwords, locks, look, received, shares, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.drops import DropRefused
from beffroi.drive.store.model import AbsentNode, Act, Locked, Node
from beffroi.drive.store.shares import LinkClosed, Share, Wish
from beffroi.lib.errors import Invalid

from tests.drive_trees import ME, OTHER, at, folder, put

pytest_plugins = ["tests.fixtures_drive_store"]
NOW = ME.now_s
LINK = Wish("link", expires_s=NOW + 3600)


def make(metadata: Database, node_id: int, wish: Wish, act: Act = ME) -> tuple[Share, str]:
    return metadata.write(lambda w: shares.make(w, act, node_id, wish))


def opened(metadata: Database, token: str, *, now_s: int = NOW) -> Share:
    with metadata.reading() as reading:
        return shares.behind(reading, token, now_s=now_s)


def test_a_link_opens_with_its_token_and_with_nothing_that_is_kept(metadata: Database, home: Node) -> None:
    made, token = make(metadata, put(metadata, home.id, "plan.pdf", b"1").id, LINK)
    assert opened(metadata, token) == made
    assert (made.label, made.has_password, token not in str(made)) == ("plan.pdf", False, True)
    for wrong in ("", made.token_hash, token[:-1], token + "a", "é", "\x00"):
        with pytest.raises(LinkClosed):
            opened(metadata, wrong)


def test_a_password_is_asked_for_and_not_kept(metadata: Database, home: Node) -> None:
    made, token = make(metadata, put(metadata, home.id, "x", b"1").id, replace(LINK, password="mot de passe"))
    assert "mot de passe" not in str(made)
    found = opened(metadata, token)
    assert (found.id, found.has_password) == (made.id, True)
    for wrong in ("", "mot de passe ", "x" * 10_000):
        assert not link_passwords.fits(found.password_hash, wrong)
    assert link_passwords.fits(found.password_hash, "mot de passe")


def test_a_link_ends_by_time_by_hand_by_its_file_and_by_its_downloads(metadata: Database, home: Node) -> None:
    x = put(metadata, home.id, "x", b"1")
    _, token = make(metadata, x.id, LINK)
    with pytest.raises(LinkClosed):
        opened(metadata, token, now_s=NOW + 3600)
    made, by_hand = make(metadata, x.id, LINK)
    assert metadata.write(lambda w: shares.end(w, made.id, now_s=NOW))
    assert not metadata.write(lambda w: shares.end(w, made.id, now_s=NOW))
    with pytest.raises(LinkClosed):
        opened(metadata, by_hand)
    few, counted = make(metadata, x.id, replace(LINK, downloads=2))
    for _ in range(2):
        metadata.write(lambda w: shares.count_download(w, few.id))
    with pytest.raises(LinkClosed):
        metadata.write(lambda w: shares.count_download(w, few.id))
    with pytest.raises(LinkClosed):
        opened(metadata, counted)
    inside = folder(metadata, home.id, "dossier")
    _, deep = make(metadata, put(metadata, inside.id, "y", b"1").id, LINK)
    metadata.write(lambda w: tree.delete(w, ME, inside.id))
    with pytest.raises(LinkClosed):
        opened(metadata, deep)


def test_a_link_without_a_number_of_downloads_counts_none(metadata: Database, home: Node) -> None:
    made, token = make(metadata, put(metadata, home.id, "x", b"1").id, LINK)
    metadata.write(lambda w: shares.count_download(w, made.id))
    assert opened(metadata, token).downloads_left == shares.NO_LIMIT


def test_what_lies_below_a_shared_folder_is_shared_and_nothing_beside_it(
    metadata: Database, home: Node
) -> None:
    shared = folder(metadata, home.id, "dossier")
    inside = put(metadata, folder(metadata, shared.id, "a").id, "x", b"1")
    beside = put(metadata, home.id, "y", b"1")
    made, _ = make(metadata, shared.id, LINK)
    with metadata.reading() as reading:
        assert shares.covers(reading, made, inside.id) and shares.covers(reading, made, shared.id)
        assert not shares.covers(reading, made, beside.id) and not shares.covers(reading, made, home.id)
    metadata.write(lambda w: tree.move(w, ME, inside.id, home.id, "dehors"))
    with metadata.reading() as reading:
        assert not shares.covers(reading, made, inside.id), "it was moved out"


def test_people_and_roles_see_what_is_for_them_alone(metadata: Database, home: Node) -> None:
    x, y = put(metadata, home.id, "x", b"1"), put(metadata, home.id, "y", b"1")
    one, _ = make(metadata, x.id, Wish("person", OTHER.person_id, "write"))
    two, _ = make(metadata, y.id, Wish("role", "elu"))
    with metadata.reading() as reading:

        def seen(person_id: str, role: str) -> set[str]:
            return {share.id for share in shares.for_person(reading, person_id=person_id, role=role)}

        assert seen(OTHER.person_id, "agent") == {one.id}
        assert seen(OTHER.person_id, "elu") == {one.id, two.id}
        assert seen("per_third", "elu") == {two.id}
        assert seen("per_third", "agent") == set()
        assert seen(ME.person_id, "elu") == set(), "not one's own"
        assert [share.id for share in shares.of_node(reading, x.id, now_s=NOW)] == [one.id]
        assert {share.id for share in shares.made_by(reading, ME.person_id, now_s=NOW)} == {one.id, two.id}


def test_another_collectivite_sees_nothing_before_it_said_yes_nor_after_the_end(
    metadata: Database, home: Node
) -> None:
    x = put(metadata, home.id, "x", b"1")
    made, _ = make(metadata, x.id, Wish("collectivite", "col_b", label="Plan de la zone"))
    assert metadata.write(lambda w: received.offer(w, made.id, made.label, owner="col_a", now_s=NOW))
    assert not metadata.write(lambda w: received.offer(w, made.id, made.label, owner="col_a", now_s=NOW)), (
        "once"
    )
    with metadata.reading() as reading:
        assert [(one.state, one.label) for one in received.every(reading)] == [("offered", "Plan de la zone")]
        assert shares.to_collectivite(reading, made.id, "col_c", now_s=NOW) is None
        assert shares.to_collectivite(reading, made.id, "col_b", now_s=NOW) == made
    said = metadata.write(lambda w: received.answer(w, OTHER, made.id, accepted=True))
    assert (said.state, said.answered_by) == ("accepted", OTHER.person_id)
    assert metadata.write(lambda w: received.answer(w, OTHER, made.id, accepted=False)).state == "refused"
    with pytest.raises(AbsentNode):
        metadata.write(lambda w: received.answer(w, OTHER, "shr_none", accepted=True))
    metadata.write(lambda w: shares.end(w, made.id, now_s=NOW))
    with metadata.reading() as reading:
        assert shares.to_collectivite(reading, made.id, "col_b", now_s=NOW) is None


def test_a_box_takes_what_its_maker_allowed(metadata: Database, home: Node) -> None:
    wish = replace(LINK, rights="drop", most_bytes=1000, types=".PDF jpg pdf")
    box, _ = make(metadata, folder(metadata, home.id, "dépôt").id, wish)
    assert box.types == "pdf jpg"
    for name in ("Acte.PDF", ".acte.pdf", "2026.11.28.jpg"):
        drops.may_drop(box, name, 1000)
    for name, size in (
        ("acte.pdf", 1001),
        ("acte.exe", 1),
        ("pdf.", 1),
        ("acte", 1),
        ("pdf", 1),
        ("PDF", 1),
        (".pdf", 1),
        ("..pdf", 1),
        (" .pdf", 1),
        ("acte.pdf.exe", 1),
    ):
        with pytest.raises(DropRefused):
            drops.may_drop(box, name, size)
    plain, _ = make(metadata, home.id, LINK)
    with metadata.reading() as reading, pytest.raises(LinkClosed):
        drops.standing(reading, plain.id, "x", 1, now_s=NOW)


@pytest.mark.parametrize(
    "odd",
    [
        {"expires_s": 0},
        {"expires_s": NOW},
        {"expires_s": NOW + 400 * 86400},
        {"target": "per_b"},
        {"kind": "person"},
        {"kind": "role", "target": "maire"},
        {"kind": "person", "target": "per_b", "password": "mot de passe"},
        {"kind": "collectivite", "target": "col_b", "downloads": 3},
        {"rights": "drop"},
        {"password": "court"},
        {"password": " " * 8},
        {"password": "  court  "},
        {"downloads": 0},
        {"most_bytes": -5},
        {"label": "x" * 121},
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(metadata: Database, home: Node, odd: dict[str, Any]) -> None:
    x = put(metadata, home.id, "x", b"1")
    with pytest.raises(Invalid):
        make(metadata, x.id, replace(LINK, **odd))
    with metadata.reading() as reading:
        assert reading.all("SELECT id FROM share") == []
        assert look.child(reading, home.id, "x") is not None
    with pytest.raises(AbsentNode):
        make(metadata, 10**9, LINK)


def test_two_links_of_one_file_have_nothing_in_common(metadata: Database, home: Node) -> None:
    x = put(metadata, home.id, "x", b"1")
    tokens = {make(metadata, x.id, LINK)[1] for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(one) >= 26 for one in tokens)
    assert not {hashlib.sha1(one.encode()).hexdigest() for one in tokens} & {x.sha1}


def test_what_ended_is_forgotten_later_and_what_is_open_is_not(metadata: Database, home: Node) -> None:
    node = put(metadata, home.id, "x", b"1").id
    ended, _ = make(metadata, node, LINK)
    expired, _ = make(metadata, node, replace(LINK, expires_s=NOW + 1))
    open_, _ = make(metadata, node, replace(LINK, expires_s=NOW + 9000))
    forever, _ = make(metadata, node, Wish("person", target=OTHER.person_id))
    metadata.write(lambda w: shares.end(w, ended.id, now_s=NOW + 1))
    assert not metadata.write(lambda w: shares.forget(w, before_s=NOW + 1))
    assert metadata.write(lambda w: shares.forget(w, before_s=NOW + 2))
    assert not metadata.write(lambda w: shares.forget(w, before_s=NOW + 2))
    with metadata.reading() as reading:
        left = {one.id for one in shares.made_by(reading, ME.person_id, now_s=NOW)}
        for gone in (ended, expired):
            with pytest.raises(AbsentNode):
                shares.find_link(reading, gone.id)
    assert left == {open_.id, forever.id}


@pytest.mark.parametrize("how", ["ends", "expires", "read", "group", "deep"])
def test_a_lock_of_who_may_write_no_more_binds_nobody(metadata: Database, home: Node, how: str) -> None:
    made = metadata.write(lambda w: tree.make_folder(w, ME, home.id, "Plans"))
    file = put(metadata, made.id, "plan.txt", b"1")
    group = metadata.write(lambda w: groups.make(w, ME, "Conseil"))
    metadata.write(lambda w: groups.add(w, ME, group.id, OTHER.person_id))
    to_group = Wish("group", group.id, rights="write")
    to_person = Wish("person", OTHER.person_id, rights="write", expires_s=NOW + 3600)
    one, _ = make(metadata, made.id, to_group if how == "group" else to_person)

    def lock(act: Act) -> locks.Lock:
        where, deep = (made.id, True) if how == "deep" else (file.id, False)
        return metadata.write(
            lambda w: locks.lock(w, act, where, deep=deep, shared=False, owner="", timeout_s=86400)
        )

    theirs = lock(OTHER)
    with pytest.raises(Locked):
        put(metadata, made.id, "plan.txt", b"2")
    later = at(NOW + 3601) if how == "expires" else ME
    match how:
        case "ends" | "deep":
            metadata.write(lambda w: shares.end(w, one.id, now_s=NOW))
        case "read":
            metadata.write(lambda w: shares.change(w, one.id, rights="read", expires_s=0))
        case "group":
            metadata.write(lambda w: groups.remove(w, group.id, OTHER.person_id))
    put(metadata, made.id, "plan.txt", b"2", later)
    with metadata.reading() as reading:
        assert locks.held(reading, file.id, now_s=later.now_s) == []
    assert lock(later).token != theirs.token
    with pytest.raises(Locked):
        put(metadata, made.id, "plan.txt", b"3", at(later.now_s, OTHER))
