"""Bulk lists from publication to the door, over a real stream process: fetched, checked, matched, withdrawn."""

from __future__ import annotations

import hashlib
import http.client
import time
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.core.decisions import lists, never_again
from beffroi.core.decisions.models import IndicatorList
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.stream.store import FOREVER, Store
from beffroi_protocol.indicators import Indicator, Kind, normalise

from tests.fixtures_lists import SYSTEM, publish, stored
from tests.fixtures_stream import (  # noqa: F401
    Answer,
    BoxClient,
    Centre,
    Held,
    block,
    eventually,
    running_centre,
)


def ask(centre: Centre, box: BoxClient | None, digest: str, *, door: str = "", **headers: str) -> Answer:
    path = f"/v1/files/{digest}"
    signed = box.headers("GET", path) if box is not None else centre.door_headers(door) if door else {}
    return centre.request("GET", path, b"", {**signed, **headers})


# -- the way to a door ---------------------------------------------------------------------------------------


def test_one_entry_of_a_list_passes_at_a_door_and_is_taken_back(
    centre: Centre, tmp_path: Path, administrator: Actor
) -> None:
    door = centre.door("login", "login", tmp_path)
    door.start()
    publish("a", "185.203.116.1", "185.203.116.2")
    publish("nets", "185.203.117.0/24", kind="cidr")
    eventually(lambda: door.match_address("185.203.117.9") and door.match_address("185.203.116.1"), "listed")
    rows = [
        never_again.never_again(actor=administrator, indicator=normalise("ip", value), reason="x")
        for value in ("185.203.116.1", "185.203.117.9")
    ]
    eventually(lambda: door.match_address("185.203.116.1") is None, "passes")
    eventually(lambda: door.match_address("185.203.117.9") is None, "passes, of a range")
    assert door.match_address("185.203.116.2") and door.match_address("185.203.117.8"), "nothing else"
    publish("a", "185.203.116.1", "185.203.116.3")
    eventually(lambda: door.match_address("185.203.116.3"), "the list of tomorrow")
    assert door.match_address("185.203.116.1") is None
    for row in rows:
        never_again.take_back(actor=administrator, never_again_id=row.id, reason="y")
    eventually(lambda: door.match_address("185.203.116.1") and door.match_address("185.203.117.9"), "back")
    door.stop()


def test_a_new_epoch_begins_with_what_is_never_blocked_again(
    plane: Database, config: Config, administrator: Actor
) -> None:
    kept, gone = (
        never_again.never_again(
            actor=administrator, indicator=normalise("ip", value), reason="x", ttl_s=ttl_s
        )
        for value, ttl_s in (("185.203.116.1", 0), ("185.203.116.2", 60))
    )
    told = {e.entry.id: e.entry for e in Store(plane, config.run).in_force()[0]}
    assert told[kept.id].expires_at == FOREVER and told[kept.id].action == "allow"
    assert gone.until is not None and told[gone.id].expires_at == int(gone.until.timestamp())
    never_again.take_back(actor=administrator, never_again_id=gone.id, reason="y")
    assert {e.entry.id for e in Store(plane, config.run).in_force()[0]} == {kept.id}


def test_a_door_matches_replaces_and_forgets_a_list(centre: Centre, tmp_path: Path) -> None:
    door = centre.door("login", "login", tmp_path)
    door.start()
    try:
        publish("scanners", "185.203.116.1", "185.203.116.2")
        publish("bulletproof", "45.155.204.0/24", "2a0b:f4c2:77::/48", kind="cidr")
        eventually(lambda: door.match_address("185.203.116.1"), "listed address")
        eventually(lambda: door.match_address("2a0b:f4c2:77:1::9"), "listed network")
        found = door.match_address("45.155.204.9")
        assert found is not None
        assert (found.id, found.indicator.value, found.reason) == (
            "list:bulletproof",
            "45.155.204.0/24",
            lists.REASON,
        )
        assert door.match(Indicator(Kind.IP, "185.203.116.2")) is not None
        assert door.missing_lists() == []
        decision = block("185.203.116.1")  # a decision is told before a list
        eventually(lambda: door.match_address("185.203.116.1").id == decision.id, "the decision")
        publish("scanners", "185.203.116.3")
        eventually(lambda: door.match_address("185.203.116.3"), "the new content")
        assert door.match_address("185.203.116.2") is None
        lists.withdraw_list(actor=SYSTEM, name="bulletproof")
        eventually(lambda: door.match_address("45.155.204.9") is None, "withdrawn")
        publish("scanners", "lure.example.net", kind="domain")  # of a kind that this door does not carry
        eventually(lambda: door.match_address("185.203.116.3") is None, "no longer a list of addresses")
    finally:
        door.stop()


def test_a_mail_door_matches_names_links_and_files(centre: Centre, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"malware").hexdigest()
    publish("names", "lure.example.net", kind="domain")
    publish("links", "https://colis.example.org/suivi?id=1", kind="url")
    publish("files", digest, kind="sha256")
    door = centre.door("mailgate", "mail", tmp_path)
    door.start()
    try:
        eventually(
            lambda: len(list((tmp_path / "lists").glob("*.*"))) == 3 and not door.missing_lists(), "all"
        )
        assert door.match_name("www.lure.example.net").id == "list:names"
        assert door.match(Indicator(Kind.URL, "https://colis.example.org/suivi?id=1")).id == "list:links"
        assert door.match(Indicator(Kind.SHA256, digest)).id == "list:files"
        assert door.match_name("example.net") is None
    finally:
        door.stop()


def test_lists_survive_a_restart_of_the_door_without_the_stream_and_of_the_stream(
    centre: Centre, tmp_path: Path
) -> None:
    publish("scanners", "185.203.116.1")
    publish("brief", "185.203.116.2", ttl_s=3)
    door = centre.door("login", "login", tmp_path)
    door.start()
    eventually(lambda: door.match_address("185.203.116.1") and door.match_address("185.203.116.2"), "loaded")
    door.stop()
    centre.stop()
    again = centre.door("login", "login", tmp_path)
    assert again.match_address("185.203.116.1") is not None
    eventually(lambda: again.match_address("185.203.116.2") is None, "an expired list is not matched")
    assert again.match_address("185.203.116.1") is not None
    again.start()
    publish("more", "185.203.116.3")  # while nobody publishes
    centre.start()
    eventually(lambda: again.match_address("185.203.116.3"), "after the restart")
    newcomer = centre.door("login", "login", tmp_path / "new")
    newcomer.start()
    try:
        eventually(lambda: newcomer.match_address("185.203.116.1"), "a new door gets lists with the snapshot")
    finally:
        for one in (again, newcomer):
            one.stop()


def test_a_damaged_file_of_a_door_is_fetched_again(centre: Centre, tmp_path: Path) -> None:
    row = publish("scanners", "185.203.116.1")
    door = centre.door("login", "login", tmp_path)
    door.start()
    eventually(lambda: door.match_address("185.203.116.1"), "loaded")
    door.stop()
    (tmp_path / "lists" / f"{row.sha256}.ip").write_bytes(b"185.203.116.9\n")
    again = centre.door("login", "login", tmp_path)
    assert again.match_address("185.203.116.9") is None
    again.start()
    try:
        eventually(lambda: again.match_address("185.203.116.1"), "repaired")
    finally:
        again.stop()


def test_a_list_that_cannot_be_fetched_is_shown_delays_nothing_and_comes_later(
    centre: Centre, tmp_path: Path, config: Config
) -> None:
    before = publish("scanners", "185.203.116.1")
    door = centre.door("login", "login", tmp_path)
    door.start()
    try:
        eventually(lambda: door.match_address("185.203.116.1"), "loaded")
        centre.stop()
        row = publish("scanners", "185.203.116.2")
        path = stored(config, row)
        right = path.read_bytes()
        for wrong in (
            right[:-4],
            zlib.compress(b"185.203.116.9\n"),
            zlib.compress(b"0" * 10_000_000),
            b"not zlib",
        ):
            path.write_bytes(wrong)
            if centre.process.poll() is not None:
                centre.start()
            eventually(lambda: door.missing_lists() == ["scanners"], "shown")
            time.sleep(1.2)  # at least one more try
            assert door.missing_lists() == ["scanners"]
        decision = block("185.203.116.4")
        eventually(lambda: door.match_address("185.203.116.4"), "urgent lines are not delayed")
        assert door.match_address(decision.value) is not None
        assert door.match_address("185.203.116.1").id == "list:scanners"  # the former one stays
        assert door.match_address("185.203.116.9") is None
        path.write_bytes(right)
        eventually(lambda: door.match_address("185.203.116.2"), "tried again")
        assert door.match_address("185.203.116.1") is None
        assert before.sha256 != row.sha256
    finally:
        door.stop()


def test_the_worker_ends_a_list_whose_time_is_over(centre: Centre, tmp_path: Path) -> None:
    publish("brief", "185.203.116.2", ttl_s=3600)
    door = centre.door("login", "login", tmp_path)
    door.start()
    try:
        eventually(lambda: door.match_address("185.203.116.2"), "loaded")
        IndicatorList.objects.update(expires_at=clock.now() - timedelta(seconds=1))
        assert lists.expire_due() == 1
        eventually(lambda: door.match_address("185.203.116.2") is None, "ended")
        assert not IndicatorList.objects.exists()
    finally:
        door.stop()


# -- files over HTTP -----------------------------------------------------------------------------------------


@pytest.fixture
def carried(centre: Centre) -> Callable[[str], None]:
    """Wait until the feed carries one more version on a channel."""

    def wait(channel: str) -> None:
        eventually(lambda: centre.health("?full")["versions"].get(channel, 0) > 0, channel)  # type: ignore[attr-defined]

    return wait


def long_names(seed: str) -> set[str]:
    """More than the buffers of a connection take, packed."""
    return {hashlib.sha256(f"{seed} {n}".encode()).hexdigest()[:60] for n in range(60_000)}


def is_whole(held: Held) -> bool:
    try:
        return len(held.response.read()) == int(held.response.headers["content-length"])
    except (OSError, http.client.IncompleteRead):
        return False


def test_a_box_fetches_and_resumes_a_file(
    centre: Centre, config: Config, carried: Callable[[str], None]
) -> None:
    row, box = publish("names", *(f"n{i}.lure.fr" for i in range(5000)), kind="domain"), centre.box("col_a")
    carried("box")
    whole = ask(centre, box, row.sha256)
    assert (whole.status, whole.headers["content-type"]) == (200, "application/zlib")
    assert int(whole.headers["content-length"]) == len(whole.body) == stored(config, row).stat().st_size
    assert hashlib.sha256(zlib.decompress(whole.body)).hexdigest() == row.sha256
    assert whole.headers["x-beffroi-nonce"]
    part = ask(centre, box, row.sha256, Range="bytes=1000-")
    assert (part.status, part.body) == (206, whole.body[1000:])
    assert part.headers["content-range"] == f"bytes 1000-{len(whole.body) - 1}/{len(whole.body)}"
    beyond = ask(centre, box, row.sha256, Range=f"bytes={len(whole.body)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.body)}")
    for other in (
        "bytes=0-10",
        "bytes=-5",
        "bytes=0-1,5-6",
        "lines=1-",
        "bytes=x-",
        "bytes=" + "9" * 40 + "-",
    ):
        answer = ask(centre, box, row.sha256, Range=other)
        assert (answer.status, answer.body) == (200, whole.body), other


def test_only_files_that_a_channel_of_the_caller_names_now_are_served(
    centre: Centre, carried: Callable[[str], None]
) -> None:
    own, other = centre.box("col_a"), centre.box("col_b")
    overlay = publish("of.a", "185.203.116.1", scope="col_a")
    mail_only = publish("senders", "a@lure.fr", kind="sender")
    gone = publish("gone", "185.203.116.2")
    carried("box@col_a")
    carried("mail")
    carried("box")
    assert ask(centre, own, overlay.sha256).status == 200
    assert ask(centre, own, gone.sha256).status == 200
    assert ask(centre, None, overlay.sha256, door="login").status == 200
    assert ask(centre, None, mail_only.sha256, door="mailgate").status == 200
    lists.withdraw_list(actor=SYSTEM, name="gone")
    eventually(lambda: ask(centre, own, gone.sha256).status == 404, "withdrawn")
    refused = [
        ask(centre, other, overlay.sha256),  # another commune's
        ask(centre, own, mail_only.sha256),
        ask(centre, None, mail_only.sha256, door="login"),
        ask(centre, own, "0" * 64),
        ask(centre, own, "..%2f..%2fsecrets%2ffeed.key"),
    ]
    assert {(answer.status, answer.code) for answer in refused} == {(404, "access.not_found")}
    for headers in ({}, {"X-Beffroi-Door": "login", "X-Beffroi-Token": "x"}):
        assert centre.request("GET", f"/v1/files/{overlay.sha256}", b"", headers).status == 401
    # through the front door a door's header counts for nothing
    through = {**centre.door_headers("login"), "X-Beffroi-Listener": "box"}
    assert centre.request("GET", f"/v1/files/{overlay.sha256}", b"", through).status == 401
    centre.set_state(own, "revoked")
    assert ask(centre, own, overlay.sha256).code == "box.revoked"


def test_a_box_that_reads_slowly_holds_three_downloads_at_most(
    centre: Centre, carried: Callable[[str], None]
) -> None:
    """Its snapshot, its list, its package; each in the place of a former one whose line was cut."""
    rows = [
        publish(f"long{n}", *(f"{name}.fr" for name in long_names(str(n))), kind="domain") for n in range(4)
    ]
    box = centre.box("col_a")
    carried("box")
    paths = [f"/v1/files/{row.sha256}" for row in rows]
    # Nothing of a body is read, as by a box that lost its line and does not know it.
    held = [centre.hold(path, box.headers("GET", path)) for path in (*paths[:3], *paths[:3])]
    fourth = ask(centre, box, rows[3].sha256)
    assert (fourth.status, fourth.code) == (429, "request.too_many")
    assert ask(centre, box, rows[0].sha256).status == 200, "the line is back"
    assert ask(centre, centre.box("col_b"), rows[3].sha256).status == 200
    assert not is_whole(held[0]), "what was replaced is over"
    for one in held:
        one.close()
    eventually(lambda: ask(centre, box, rows[3].sha256).status == 200, "free again")


def test_revoking_a_box_cuts_its_download(centre: Centre, carried: Callable[[str], None]) -> None:
    from beffroi.core.events import outbox
    from django.db import transaction

    values = (f"{name}.lure.fr" for name in long_names(""))
    row, box = publish("long", *values, kind="domain"), centre.box("col_a")
    carried("box")
    path = f"/v1/files/{row.sha256}"
    held = centre.hold(path, box.headers("GET", path))
    length = int(held.response.headers["content-length"])
    with transaction.atomic():
        outbox.publish("box:revoked", {"box_id": box.id}, collectivite_id="col_a")

    def refused() -> bool:
        try:
            return ask(centre, box, row.sha256).status == 403
        except http.client.IncompleteRead:
            return False  # this one was cut too

    eventually(refused, "revoked")
    received = 0
    try:
        while piece := held.response.read(65536):
            received += len(piece)
    except OSError:
        pass
    except Exception as error:  # noqa: BLE001 - http.client.IncompleteRead carries the rest
        received += len(getattr(error, "partial", b""))
    assert received < length


def test_list_of_one_commune_is_matched_for_it_alone(centre: Centre, tmp_path: Path) -> None:
    door = centre.door("login", "login", tmp_path, more=("login@*",))
    publish("of.a", "185.203.116.1", scope="col_a")
    door.start()
    eventually(lambda: door.match_address("185.203.116.1", ["col_a"]), "its list is loaded")
    assert door.match_address("185.203.116.1") is None
    assert door.match_address("185.203.116.1", ["col_b"]) is None
    door.stop()
