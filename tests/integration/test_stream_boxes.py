"""The feed over a real socket, as a box in hostile territory sees it."""

from __future__ import annotations

import json
import time

import pytest
from beffroi.core.events import outbox
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.stream.nonces import MAX_USED_A_BOX
from beffroi_protocol.facts import FactBatch, NamesRefused, Sighting
from beffroi_protocol.indicators import normalise
from beffroi_protocol.messages import VERSION, Policy, PolicyMessage, encode
from django.db import transaction

from tests.fixtures_stream import Answer, BoxClient, Centre, block, eventually, read_until, running_centre  # noqa: F401

A, B = "col_a", "col_b"


@pytest.fixture
def box(centre: Centre) -> BoxClient:
    return centre.box(A)


@pytest.fixture
def other(centre: Centre) -> BoxClient:
    return centre.box(B)


def tell(kind: str, payload: dict[str, object], collectivite_id: str | None = None) -> None:
    with transaction.atomic():
        outbox.publish(kind, payload, collectivite_id=collectivite_id)


def names_refused(fact_id: str, count: int = 1) -> NamesRefused:
    return NamesRefused(fact_id, normalise("domain", "colis-suivi-bourgogne.com"), count, 1, 2)


def facts(*found: NamesRefused | Sighting) -> bytes:
    return encode(FactBatch(VERSION, found))


def joins(box: BoxClient, *numbers: str) -> None:
    """Each opens the feed in its turn, and is cut by the next one."""
    for number in numbers:
        path = f"/v1/feed?run={number}&since=box:0:0:"
        held = box.centre.hold(path, box.headers("POST", path), method="POST")
        assert held.line(), "it follows"


def twice(centre: Centre, box: BoxClient) -> bool:
    rows = centre.plane.execute("SELECT twice_at FROM box_run WHERE box_id = ?", (box.id,))
    return bool(rows) and rows[0][0] is not None


FIRST, SECOND, THIRD = (f"{n:016x}" for n in (1, 2, 3))


def test_a_start_that_comes_back_after_another_is_of_a_second_machine(
    centre: Centre, box: BoxClient, other: BoxClient
) -> None:
    joins(box, FIRST, FIRST, SECOND, SECOND, THIRD)
    assert not twice(centre, box), "it was started three times"
    joins(box, SECOND)
    assert twice(centre, box) and not twice(centre, other)
    assert f"two machines follow as {box.id}" in centre.log()


def test_an_older_agent_and_a_number_that_is_none_are_followed_and_say_nothing(
    centre: Centre, box: BoxClient
) -> None:
    joins(box, FIRST, "", "x" * 16, "1" * 33, "%00", FIRST)
    assert not twice(centre, box)
    path = f"/v1/feed?run={SECOND}&since=box:0:0:"
    forged = box.centre.request("POST", path, b"", box.headers("POST", "/v1/feed?since=box:0:0:"))
    assert forged.status == 401, "the number is part of what is signed"


def test_box_follows_decisions_of_all_and_of_its_own_commune(centre: Centre, box: BoxClient) -> None:
    block("185.203.116.1")
    block("185.203.116.2", scope=A)
    block("185.203.116.3", scope=B)
    session = centre.session("box", f"box@{A}")
    held = box.follow(session.since())
    tables = session.tables
    read_until(held, session, lambda: len(tables["box"]) == 1 and len(tables[f"box@{A}"]) == 1)
    block("185.203.116.4", scope=A)
    block("185.203.116.5", scope=B)
    block("185.203.116.6")
    read_until(held, session, lambda: len(tables["box"]) == 2 and len(tables[f"box@{A}"]) == 2)
    values = {e.indicator.value for t in tables.values() for e in t}
    assert values == {f"185.203.116.{n}" for n in (1, 2, 4, 6)}


def test_box_gets_no_channel_of_another(box: BoxClient) -> None:
    for channel in (f"box@{B}", "mail", f"mail@{A}", "login", "box@", "nothing"):
        for since in (f"{channel}:0:0:", f"box:0:0:,{channel}:0:0:"):
            refused = box.ask(since)
            assert (refused.status, refused.code) == (404, "access.not_found"), since


def test_unreadable_since_is_refused(box: BoxClient) -> None:
    for since in ("", ":0:0:", "box:0:0:,box:0:0:", ",".join(["box:0:0:"] * 9), "b" * 5000):
        assert box.ask(since).status in (400, 404), since


def test_unknown_position_earns_a_snapshot(centre: Centre, box: BoxClient) -> None:
    block("185.203.116.1")
    eventually(lambda: centre.health()["versions"] == {"box": 1, "mail": 1, "login": 1, "drive": 1}, "sent")
    for since in ("box", "box:x:y:z", "box:1:1:beef", "box:0:5:", "box:1:-1:", "box:1:1"):
        session = centre.session("box")
        held = box.follow(since)
        read_until(held, session, lambda table=session.tables["box"]: len(table) == 1)


def test_reconnection_receives_what_was_missed_and_nothing_twice(centre: Centre, box: BoxClient) -> None:
    session = centre.session("box")
    held = box.follow(session.since())
    read_until(held, session, lambda: session.tables["box"].epoch == 1)
    held.close()
    block("185.203.116.1")
    held = box.follow(session.since())
    read_until(held, session, lambda: len(session.tables["box"]) == 1)
    held.close()
    block("185.203.116.2")
    held = box.follow(session.since())
    read_until(held, session, lambda: len(session.tables["box"]) == 2)


def test_heartbeats_arrive_without_news(centre: Centre, box: BoxClient) -> None:
    session = centre.session("box")
    held = box.follow(session.since())
    first = read_until(held, session, lambda: session.clock.floor > 0)
    floor = session.clock.floor
    read_until(held, session, lambda: session.clock.floor > floor)
    assert first


def test_newest_connection_of_a_box_wins(centre: Centre, box: BoxClient) -> None:
    old = box.follow("box:0:0:")
    new = box.follow("box:0:0:")
    assert old.ended()
    assert new.line()


def test_policy_comes_first_and_again_when_it_changes(
    centre: Centre, box: BoxClient, other: BoxClient
) -> None:
    from beffroi.boxes.models import BoxPolicy

    def put(version: int, owner: str) -> None:
        BoxPolicy.objects.create(
            collectivite_id=owner,
            policy_version=version,
            policy=json.loads(encode(Policy(protected_names=(f"v{version}.fr",)))),
            changed_by="adm_1",
            created_at=clock.now(),
        )
        tell("box:policy_changed", {"collectivite_id": owner, "policy_version": version}, owner)

    put(1, A)
    session = centre.session("box")
    held = box.follow(session.since())
    results = read_until(held, session, lambda: session.tables["box"].epoch == 1)
    assert [r.policy_version for r in results if isinstance(r, PolicyMessage)] == [1]
    put(9, B)
    put(2, A)
    policies: list[PolicyMessage] = []
    while not policies:
        result = session.receive(held.line(), monotonic=time.monotonic())
        # The first one comes once more where the connection was there before the word of its change.
        if isinstance(result, PolicyMessage) and result.policy_version != 1:
            policies.append(result)
    assert [(p.collectivite_id, p.policy_version, p.policy.protected_names) for p in policies] == [
        (A, 2, ("v2.fr",))
    ]


def test_a_box_hears_at_once_what_its_commune_is_called_from_now_on(centre: Centre, box: BoxClient) -> None:
    from beffroi.boxes.models import BoxPolicy
    from beffroi.core.communes import actions
    from beffroi.core.communes.models import Collectivite
    from beffroi.core.identity.actor import Actor

    BoxPolicy.objects.create(
        collectivite_id=A,
        policy_version=1,
        policy=json.loads(encode(Policy())),
        changed_by="adm_1",
        created_at=clock.now(),
    )
    tell("box:policy_changed", {"collectivite_id": A, "policy_version": 1}, A)
    session = centre.session("box")
    held = box.follow(session.since())
    read_until(held, session, lambda: session.tables["box"].epoch == 1)
    owner = Collectivite.objects.create(pk=A, kind="commune", name="Chagny", enrolled_at=clock.now())
    actions.rename(actor=Actor.system("tests"), collectivite=owner, name="Chagny-les-Vignes")
    names: set[str] = set()
    while "Chagny-les-Vignes" not in names:
        result = session.receive(held.line(), monotonic=time.monotonic())
        if isinstance(result, PolicyMessage):
            assert result.policy_version == 1
            names.add(result.collectivite_name)


def test_revoked_box_is_cut_at_once_and_refused(centre: Centre, box: BoxClient, other: BoxClient) -> None:
    held, kept = box.follow("box:0:0:"), other.follow("box:0:0:")
    held.line()
    with transaction.atomic():
        centre.set_state(box, "revoked")
        outbox.publish("box:revoked", {"box_id": box.id}, collectivite_id=A)
    assert held.ended()
    assert kept.line()
    refused = box.ask("box:0:0:")
    assert (refused.status, refused.code) == (403, "box.revoked")
    assert box.post("/v1/facts", facts(names_refused("f1"))).code == "box.revoked"


def test_pending_box_is_told_to_wait(centre: Centre) -> None:
    refused = centre.box(A, state="pending").ask("box:0:0:")
    assert (refused.status, refused.code) == (403, "box.pending")
    assert json.loads(refused.body)["retryable"] is True


def test_request_without_signature_is_refused(centre: Centre) -> None:
    for headers in ({}, {"X-Beffroi-Box": "box_x"}, {"X-Beffroi-Box": new_id("box")}):
        for method, path in (("POST", "/v1/feed?since=box:0:0:"), ("POST", "/v1/facts")):
            assert centre.request(method, path, b"", headers).status == 401


def test_unknown_box_and_wrong_key_get_the_same_answer(
    centre: Centre, box: BoxClient, other: BoxClient
) -> None:
    stranger = BoxClient(new_id("box"), A, other.key, centre)
    thief = BoxClient(box.id, A, other.key, centre)
    answers = [client.ask("box:0:0:") for client in (stranger, thief)]
    assert [(a.status, a.code) for a in answers] == [(401, "signature.invalid")] * 2


def test_request_cannot_be_replayed(centre: Centre, box: BoxClient) -> None:
    body = facts(names_refused("f1"))
    headers = box.headers("POST", "/v1/facts", body)
    assert centre.request("POST", "/v1/facts", body, headers).status == 200
    again = centre.request("POST", "/v1/facts", body, headers)
    assert (again.status, again.code) == (401, "request.nonce_refused")


def test_signature_covers_method_path_and_body(centre: Centre, box: BoxClient) -> None:
    body = facts(names_refused("f1"))
    for signed in (
        ("POST", "/v1/feed?since=box:0:0:", body),
        ("GET", "/v1/facts", body),
        ("POST", "/v1/facts", body + b" "),
    ):
        headers = box.headers(*signed)
        assert centre.request("POST", "/v1/facts", body, headers).code == "signature.invalid"


def test_forged_nonce_is_refused(centre: Centre, box: BoxClient) -> None:
    path = "/v1/feed?since=box:0:0:"
    for nonce in ("x", "A" * 43, "é".encode().decode("latin-1"), "A" * 500):
        headers = box.headers("POST", path, nonce=nonce)
        assert centre.request("POST", path, b"", headers).code == "request.nonce_refused", nonce


def test_a_box_that_asks_without_end_is_held_up_alone(
    centre: Centre, box: BoxClient, other: BoxClient
) -> None:
    path = f"/v1/files/{'0' * 64}"
    for _ in range(MAX_USED_A_BOX):
        assert centre.request("GET", path, b"", box.headers("GET", path)).code == "access.not_found"
    refused = centre.request("GET", path, b"", box.headers("GET", path))
    assert (refused.status, refused.code) == (429, "box.too_many_requests")
    assert centre.request("GET", path, b"", other.headers("GET", path)).code == "access.not_found"


def test_door_token_does_not_open_the_front_door(centre: Centre) -> None:
    headers = centre.door_headers("mailgate")
    centre.hold("/v1/feed?since=mail:0:0:", headers)
    refused = centre.request("GET", "/v1/feed?since=mail:0:0:", b"", {**headers, "X-Beffroi-Listener": "box"})
    assert (refused.status, refused.code) == (401, "request.not_signed_in")


def test_door_with_a_wrong_token_or_name_is_refused(centre: Centre) -> None:
    for change in ({"X-Beffroi-Token": "wrong"}, {"X-Beffroi-Door": "box"}, {"X-Beffroi-Token": ""}):
        headers = {**centre.door_headers("mailgate"), **change}
        assert centre.request("GET", "/v1/feed?since=mail:0:0:", b"", headers).status == 401


def test_door_gets_its_own_channel_only(centre: Centre) -> None:
    refused = centre.request("GET", "/v1/feed?since=box:0:0:", b"", centre.door_headers("mailgate"))
    assert refused.code == "access.not_found"


def test_oversized_header_is_refused(centre: Centre) -> None:
    try:
        refused = centre.request("GET", "/v1/nonce", b"", {f"X-Junk-{n}": "x" * 8000 for n in range(30)})
        assert refused.status in (400, 431)
    except (OSError, ValueError):
        pass  # the connection was cut: as good
    assert centre.answers()


def test_what_is_not_served_is_a_problem_too(centre: Centre) -> None:
    for method, path in (("GET", "/"), ("GET", "/v1/enrol"), ("POST", "/v1/acks"), ("PUT", "/v1/facts")):
        refused = centre.request(method, path)
        assert refused.status in (404, 405)
        assert refused.code == "access.not_found"


def test_health_is_not_shown_through_the_front_door(centre: Centre) -> None:
    refused = centre.request("GET", "/healthz", b"", {"X-Beffroi-Listener": "portal"})
    assert refused.code == "access.not_found"


def test_log_holds_no_content(centre: Centre, box: BoxClient) -> None:
    block("185.203.116.1")
    box.post("/v1/facts", facts(names_refused("f1")))
    box.post("/v1/facts", b"secret words")
    assert "185.203" not in centre.log()
    assert "colis" not in centre.log()
    assert "secret" not in centre.log()
