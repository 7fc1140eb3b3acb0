"""What boxes tell over a real socket: kept before the answer, once, of their own; hostile bodies, floods."""

from __future__ import annotations

import gzip
import json
import zlib

import msgspec
from beffroi.boxes.models import BoxNotice, FlowCount
from beffroi.core.events.running import run_pending
from beffroi.core.planes.db import Database
from beffroi_protocol.facts import EntryRefused, FactBatch, Sighting
from beffroi_protocol.indicators import normalise
from beffroi_protocol.messages import MAX_POST_BYTES, VERSION, encode

from tests.fixtures_stream import Answer, BoxClient, Centre, running_centre  # noqa: F401
from tests.integration.test_stream_boxes import A, B, box, facts, names_refused, other

__all__ = ["box", "other"]


def test_facts_are_stored_before_the_answer_once_each(
    centre: Centre, box: BoxClient, plane: Database
) -> None:
    for _ in range(2):
        stored = box.post("/v1/facts", facts(names_refused("f1"), names_refused("f2")))
        assert stored.status == 200
    rows = plane.execute("SELECT id, source, collectivite_id, kind FROM inbox_fact ORDER BY id")
    assert rows == [(f"{box.id}:{n}", box.id, A, "names_refused") for n in ("f1", "f2")]
    events = plane.execute(
        "SELECT collectivite_id, payload FROM outbox WHERE kind = 'fact:received' ORDER BY id"
    )
    assert [(c, json.loads(p)["fact_id"]) for c, p in events] == [(A, f"{box.id}:f1"), (A, f"{box.id}:f2")]


def test_the_centre_says_up_to_which_post_it_has_all_of_a_box(
    centre: Centre, box: BoxClient, other: BoxClient
) -> None:
    def post(who: BoxClient, after: int, number: int) -> int:
        body = encode(FactBatch(VERSION, (names_refused(f"f{number}"),), after, number))
        answer = who.post("/v1/facts", body)
        assert answer.status == 200
        return int(json.loads(answer.body)["told"])

    assert [post(box, 0, 1), post(box, 1, 2)] == [1, 2]
    assert post(box, 3, 4) == 2  # what lies between may be lost
    assert post(box, 0, 0) == 2  # of a box that does not count
    assert post(box, 1, 2) == 2  # late, and twice
    assert post(box, 2, 7) == 7
    assert post(other, 7, 8) == 0
    assert box.follow("box:0:0:").response.headers["X-Beffroi-Facts"] == "7"
    assert other.follow("box:0:0:").response.headers["X-Beffroi-Facts"] == "0"
    for bad in (b'{"v":1,"facts":[],"number":-1}', b'{"v":1,"facts":[],"after":"1","number":2}'):
        assert box.post("/v1/facts", bad).code == "message.malformed"


def test_box_cannot_take_the_identifier_of_another_boxs_fact(
    centre: Centre, box: BoxClient, other: BoxClient, plane: Database
) -> None:
    other.post("/v1/facts", facts(names_refused("f1", count=7)))
    box.post("/v1/facts", facts(names_refused("f1", count=1)))
    assert len(plane.execute("SELECT id FROM inbox_fact")) == 2


UNSOUND = ("input.invalid", "message.malformed")


HOSTILE_FACTS: list[tuple[bytes, tuple[str, ...]]] = [
    (b"", ("message.malformed",)),
    (b"\xff\xfe", ("message.malformed",)),
    (b"[" * 100_000, ("message.malformed",)),
    (b'{"v":2,"facts":[{"t":"of_the_future"}]}', ("message.version_unknown",)),
    (b'{"v":99,"facts":[]}', ("message.version_unknown",)),
    (b'{"v":1,"facts":[{"t":"flows_blocked"}]}', ("message.malformed",)),
    (facts(names_refused("")), UNSOUND),
    (facts(names_refused("x" * 65)), UNSOUND),
    (facts(names_refused("f", count=-1)), UNSOUND),
    (facts(*[names_refused(f"f{n}") for n in range(501)]), UNSOUND),
    (
        b'{"v":1,"facts":[{"t":"names_refused","id":"f","indicator":{"kind":"domain","value":"UP.com"},'
        b'"count":1,"first_at":1,"last_at":1}]}',
        ("indicator.invalid", "message.malformed"),
    ),
    (facts(Sighting("f", "flow", (), 1, {"k" * 61: "v"})), UNSOUND),
]


def test_hostile_facts_are_refused_with_a_code(box: BoxClient, plane: Database) -> None:
    for body, codes in HOSTILE_FACTS:
        refused = box.post("/v1/facts", body)
        assert (refused.status, refused.code in codes) == (400, True), (body[:80], refused.code)
    assert plane.execute("SELECT id FROM inbox_fact") == []


def test_a_null_byte_in_what_a_box_says_stops_no_facts(
    box: BoxClient, other: BoxClient, plane: Database
) -> None:
    """PostgreSQL takes none: who reads the fact would try again and again, and those of all others would wait."""
    hostile = (
        EntryRefused("f1", "dec_1", normalise("ip", "185.203.116.9"), "no\0reason", 1),
        Sighting(
            "f2",
            "honey\0port",
            (normalise("ip", "185.203.116.9"),),
            1,
            {"completed_tcp": "tr\0ue", "k\0": ""},
        ),
    )
    assert box.post("/v1/facts", encode(FactBatch(VERSION, hostile))).status == 200
    assert other.post("/v1/facts", facts(names_refused("f3"))).status == 200
    run_pending("main")
    assert FlowCount.objects.get().collectivite_id == B
    assert BoxNotice.objects.get().reason == "no\N{REPLACEMENT CHARACTER}reason"


def test_oversized_request_is_refused_unread(centre: Centre, box: BoxClient) -> None:
    headers = {**box.headers("POST", "/v1/facts"), "Content-Length": str(MAX_POST_BYTES + 1)}
    refused = centre.request("POST", "/v1/facts", headers=headers)
    assert (refused.status, refused.code) == (413, "input.too_large")


def encoded(centre: Centre, box: BoxClient, body: bytes, encoding: str = "deflate") -> Answer:
    headers = {**box.headers("POST", "/v1/facts", body), "Content-Encoding": encoding}
    return centre.request("POST", "/v1/facts", body, headers)


def test_deflated_body_is_read_and_the_answers_say_so(
    centre: Centre, box: BoxClient, plane: Database
) -> None:
    packed = zlib.compress(facts(names_refused("f1")))
    assert encoded(centre, box, packed).status == 200
    assert plane.execute("SELECT id FROM inbox_fact") == [(f"{box.id}:f1",)]
    assert {k.lower(): v for k, v in centre.request("GET", "/v1/nonce").headers.items()}[
        "accept-encoding"
    ] == "deflate"


def test_other_encodings_bombs_and_broken_streams_are_refused(
    centre: Centre, box: BoxClient, plane: Database
) -> None:
    packed = zlib.compress(facts(names_refused("f1")))
    assert encoded(centre, box, gzip.compress(facts(names_refused("f1"))), "gzip").code == "input.invalid"
    for bad in (packed[:-3], packed + b"x", b"{}", facts(names_refused("f1"))):
        assert encoded(centre, box, bad).code == "input.invalid"
    assert encoded(centre, box, zlib.compress(bytes(200 * MAX_POST_BYTES))).code == "input.too_large"
    assert plane.execute("SELECT id FROM inbox_fact") == []


def test_box_that_floods_is_slowed_and_others_are_not(
    centre: Centre, box: BoxClient, other: BoxClient
) -> None:
    answers = (box.post("/v1/facts", facts(names_refused(f"f{n}"))) for n in range(500))
    assert next(answers).status == 200
    # On a slow machine some room comes back meanwhile.
    slowed = next(one for one in answers if one.status != 200)
    assert (slowed.status, slowed.code) == (429, "request.too_many")
    assert json.loads(slowed.body)["retryable"] is True
    assert other.post("/v1/facts", facts(names_refused("g1"))).status == 200


def test_a_box_that_tells_little_in_many_bytes_is_slowed_too(
    centre: Centre, box: BoxClient, other: BoxClient
) -> None:
    """Twenty facts a second, each as long as one may be, would fill the disk of a centre within hours."""
    told = Sighting("f", "flow", (), 1, {f"k{n}": "v" * 500 for n in range(50)})
    long = facts(*[msgspec.structs.replace(told, id=f"f{n}") for n in range(35)])
    assert len(long) < MAX_POST_BYTES
    answers = [box.post("/v1/facts", long) for _ in range(20)]
    assert answers[0].status == 200
    assert {one.code for one in answers if one.status != 200} == {"request.too_many"}
    assert other.post("/v1/facts", facts(names_refused("g1"))).status == 200


def test_doors_send_neither_facts_nor_acknowledgements_here(centre: Centre) -> None:
    for door in ("mailgate", "login"):
        for path in ("/v1/facts", "/v1/feed?since=mail:0:0:"):
            assert centre.request("POST", path, b"{}", centre.door_headers(door)).code == "access.not_found"
