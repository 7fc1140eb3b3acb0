"""Boîtiers at the centre: codes, enrolment, confirmation, policies, facts, and who may see what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.boxes import actions, api, consumers, queries
from beffroi.boxes.models import Box, BoxPolicy, EnrolmentCode
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import InboxFact, OutboxEvent
from beffroi.core.events.outbox import publish
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import create_administrator
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid, NotAllowed, NotFound
from beffroi.lib.limits import RateLimit
from beffroi_box.client import Centre
from beffroi_box.config import load
from beffroi_box.enrol import enrol, recover
from beffroi_box.errors import EnrolRefused, IdentityDamaged
from beffroi_box.ruleset import Site, ruleset
from beffroi_box.store import Store as BoxStore
from beffroi_box.store import write_twin
from beffroi_protocol.enrolment_code import WrongCentre, prove_key, read_code
from beffroi_protocol.facts import (
    Bypass,
    EntryRefused,
    Fact,
    FlowsBlocked,
    FlowsLearned,
    LookBack,
    NamesRefused,
    PolicyRolledBack,
    Sighting,
)
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import EnrolAnswer, EnrolRequest, Policy, decode, encode
from beffroi_protocol.signing import TrustStore, b64, delegate, public_bytes, unb64
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from tests.conftest import PASSWORD, Commune

urlpatterns = [path("v1/enrol", api.enrol)]
pytestmark = pytest.mark.usefixtures("feed_keys")


@pytest.fixture
def feed_keys(config: Config) -> Iterator[Ed25519PrivateKey]:
    root, feed = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    line = delegate(root, public_bytes(feed), serial=1, not_before=0, not_after=2**33)
    files = {"feed-root.pub": b64(public_bytes(root)).encode(), "feed-delegation.line": line}
    before = {
        name: (config.secrets / name).read_bytes() for name in files if (config.secrets / name).exists()
    }
    for name, content in files.items():
        (config.secrets / name).write_bytes(content)
    yield root
    for name in files:
        (config.secrets / name).unlink()
        if name in before:
            (config.secrets / name).write_bytes(before[name])


@pytest.fixture
def colleague(administrator: Actor, system: Actor) -> Actor:
    made = create_administrator(actor=system, email="bea@cotedor.test", name="Béa", password=PASSWORD)
    return Actor("administrator", made.record.id, None, "administrator")


def request_of(code: str, key: Ed25519PrivateKey) -> EnrolRequest:
    return EnrolRequest(1, read_code(code).locator, "BF-1", b64(public_bytes(key)), "0.1.0")


def enrolled(administrator: Actor, commune: Commune) -> Box:
    key = Ed25519PrivateKey.generate()
    actions.enrol(request_of(actions.issue_code(actor=administrator, collectivite=commune.collectivite), key))
    box = Box.objects.get(public_key=b64(public_bytes(key)))
    return actions.confirm(actor=administrator, box=box)


def receive(box: Box, *facts: Fact) -> None:
    from django.db import transaction

    for fact in facts:
        with transaction.atomic():
            row = InboxFact.objects.create(
                id=f"{box.id}:{fact.id}",
                source=box.id,
                collectivite_id=box.collectivite_id,
                kind=str(fact.__struct_config__.tag),
                payload=encode(fact).decode(),
            )
            publish(
                "fact:received", {"fact_id": row.id, "kind": row.kind}, collectivite_id=box.collectivite_id
            )
    run_pending("main")


def test_a_box_is_pending_until_its_fingerprint_is_confirmed_and_then_gets_what_its_root_delegated(
    administrator: Actor, colleague: Actor, beaune: Commune
) -> None:
    code = actions.issue_code(actor=administrator, collectivite=beaune.collectivite)
    request = request_of(code, Ed25519PrivateKey.generate())
    pending = actions.enrol(request)
    assert (pending.state, pending.box_id, pending.delegations) == ("pending", "", ())

    actions.confirm(actor=colleague, box=Box.objects.get())
    active = actions.enrol(request)
    assert (active.state, active.collectivite_id, active.collectivite_name) == ("active", beaune.id, "Beaune")
    read_code(code).require_root(unb64(active.root_public_key))
    TrustStore(unb64(active.root_public_key)).add_delegation(active.delegations[0].encode())


def test_a_code_does_not_fit_the_root_key_of_another_centre(administrator: Actor, beaune: Commune) -> None:
    code = read_code(actions.issue_code(actor=administrator, collectivite=beaune.collectivite))
    with pytest.raises(WrongCentre):
        code.require_root(public_bytes(Ed25519PrivateKey.generate()))


def test_the_centre_keeps_nothing_that_opens_an_enrolment(administrator: Actor, beaune: Commune) -> None:
    code = read_code(actions.issue_code(actor=administrator, collectivite=beaune.collectivite))
    kept = EnrolmentCode.objects.get()
    assert kept.locator == code.locator
    assert code.secret.hex() not in json.dumps([str(v) for v in vars(kept).values()])


def test_a_code_is_good_for_one_key_and_twenty_minutes(administrator: Actor, beaune: Commune) -> None:
    code = actions.issue_code(actor=administrator, collectivite=beaune.collectivite)
    late = actions.issue_code(actor=administrator, collectivite=beaune.collectivite)
    first = request_of(code, Ed25519PrivateKey.generate())
    assert actions.enrol(first).state == "pending"
    with pytest.raises(actions.EnrolRefused):
        actions.enrol(request_of(code, Ed25519PrivateKey.generate()))
    with clock.shifted(actions.CODE_LIFE_S + 1):
        assert actions.enrol(first).state == "pending"  # it asked in time and waits for a person
        with pytest.raises(actions.EnrolRefused):
            actions.enrol(request_of(late, Ed25519PrivateKey.generate()))


def test_who_issued_the_code_may_not_confirm_where_there_is_another_administrator(
    administrator: Actor, colleague: Actor, beaune: Commune
) -> None:
    code = actions.issue_code(actor=administrator, collectivite=beaune.collectivite)
    actions.enrol(request_of(code, Ed25519PrivateKey.generate()))
    with pytest.raises(actions.SameAdministrator):
        actions.confirm(actor=administrator, box=Box.objects.get())
    assert actions.confirm(actor=colleague, box=Box.objects.get()).state == "active"


def test_a_lone_administrator_may_confirm_and_gives_a_first_policy(
    administrator: Actor, beaune: Commune
) -> None:
    box = enrolled(administrator, beaune)
    assert box.state == Box.State.ACTIVE
    found = queries.current_policy(administrator, beaune.id)
    assert found is not None
    assert found[0] == 1
    policy = found[1]
    assert policy.protected_names == ("beaune.test",)
    again = actions.default_policy(settings.BEFFROI, beaune.id)
    assert not {*again.canary_names} & {*policy.canary_names}, "no page of the web knows them"
    assert (
        policy.honeyports and len(policy.canary_names) == 2 and policy.refuse_doh and policy.leak_bytes_hour
    )
    assert not {22, 80, 443, 445, 3389, 5900, 9100} & set(policy.honeyports)
    assert ruleset(policy, Site(lan="lan", wan="wan", centre=(), centre_port=443)), "a box takes it"
    kinds = set(OutboxEvent.objects.values_list("kind", flat=True))
    assert {"box:confirmed", "box:policy_changed"} <= kinds


def test_a_revoked_box_gets_no_answer_any_more(administrator: Actor, beaune: Commune) -> None:
    key = Ed25519PrivateKey.generate()
    code = actions.issue_code(actor=administrator, collectivite=beaune.collectivite)
    actions.enrol(request_of(code, key))
    actions.revoke(actor=administrator, box=Box.objects.get())
    assert OutboxEvent.objects.filter(kind="box:revoked").count() == 1
    with pytest.raises(actions.EnrolRefused):
        actions.enrol(request_of(code, key))


def test_a_confirmed_box_is_told_who_it_is_for_its_key_without_a_code(
    administrator: Actor, beaune: Commune
) -> None:
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    ask_again = lambda public, proof: actions.enrol(  # noqa: E731
        EnrolRequest(1, "", "BF-1", b64(public_bytes(public)), "0.1.0", proof)
    )
    actions.enrol(request_of(actions.issue_code(actor=administrator, collectivite=beaune.collectivite), key))
    box = Box.objects.get()
    with pytest.raises(actions.EnrolRefused):
        ask_again(key, prove_key(key))  # not confirmed yet
    actions.confirm(actor=administrator, box=box)
    for public, proof in (
        (key, ""),
        (key, "AAAA"),
        (key, prove_key(stranger)),
        (stranger, prove_key(stranger)),
    ):
        with pytest.raises(actions.EnrolRefused):
            ask_again(public, proof)
    assert ask_again(key, prove_key(key)).box_id == box.id
    actions.revoke(actor=administrator, box=box)
    with pytest.raises(actions.EnrolRefused):
        ask_again(key, prove_key(key))


def test_who_heard_a_proof_does_not_fill_the_audit_log_with_it(administrator: Actor, beaune: Commune) -> None:
    """It is no secret, and its box has to be answered each time."""
    key = Ed25519PrivateKey.generate()
    actions.enrol(request_of(actions.issue_code(actor=administrator, collectivite=beaune.collectivite), key))
    actions.confirm(actor=administrator, box=Box.objects.get())
    again = EnrolRequest(1, "", "BF-1", b64(public_bytes(key)), "0.1.0", prove_key(key))
    for _ in range(20):
        assert actions.enrol(again).state == "active"
    asked = AuditEntry.objects.filter(verb="box:identity_asked")
    assert 1 <= asked.count() <= 2, "one an hour, and another may just have begun"


def test_a_machine_that_was_moved_is_told_who_it_became_last(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    key = Ed25519PrivateKey.generate()
    for commune in (beaune, nuits, beaune):
        code = actions.issue_code(actor=administrator, collectivite=commune.collectivite)
        actions.enrol(request_of(code, key))
        box = Box.objects.get(public_key=b64(public_bytes(key)), state="pending")
        actions.confirm(actor=administrator, box=box)
        again = EnrolRequest(1, "", "BF-1", b64(public_bytes(key)), "0.1.0", prove_key(key))
        assert actions.enrol(again).box_id == box.id


def test_a_box_with_a_damaged_identity_heals_by_itself_at_its_own_centre_only(
    administrator: Actor,
    beaune: Commune,
    feed_keys: Ed25519PrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = BoxStore(tmp_path)
    store.prepare()
    (tmp_path / "box.toml").write_text('centre = "https://boitiers.cotedor.test"\n')
    monkeypatch.setattr(
        Centre, "post_unsigned", lambda self, path, body: encode(actions.enrol(decode(body, EnrolRequest)))
    )
    code = read_code(actions.issue_code(actor=administrator, collectivite=beaune.collectivite))
    actions.enrol(EnrolRequest(1, code.locator, "BF-1", b64(public_bytes(store.key())), "0.1.0"))
    actions.confirm(actor=administrator, box=Box.objects.get())
    before = enrol(load(tmp_path), store, code, serial="BF-1", wait_s=0, say=lambda text: None)
    for copy in tmp_path.glob("identity.json*"):
        copy.write_bytes(b"half")
    with pytest.raises(IdentityDamaged):
        store.identity()
    assert recover(load(tmp_path), store) == before == store.identity()

    for copy in tmp_path.glob("identity.json*"):
        copy.unlink()
    other = b64(public_bytes(Ed25519PrivateKey.generate())).encode()
    write_twin(tmp_path / "root.pub", other)
    with pytest.raises(EnrolRefused):
        recover(load(tmp_path), store)
    with pytest.raises(IdentityDamaged):
        store.identity()


def test_people_of_a_commune_see_their_boxes_only_and_change_none(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    box = enrolled(administrator, beaune)
    assert queries.access_box(beaune.agent, box.id) == box
    with pytest.raises(NotFound):
        queries.access_box(nuits.agent, box.id)
    with pytest.raises(NotFound):
        queries.current_policy(nuits.referent, beaune.id)
    for act in (
        lambda: actions.issue_code(actor=beaune.referent, collectivite=beaune.collectivite),
        lambda: actions.confirm(actor=beaune.referent, box=box),
        lambda: actions.revoke(actor=beaune.referent, box=box),
        lambda: actions.set_policy(actor=beaune.referent, collectivite=beaune.collectivite, policy=Policy()),
    ):
        with pytest.raises(NotAllowed):
            act()


def test_policies_grow_in_version_and_nonsense_is_refused(administrator: Actor, beaune: Commune) -> None:
    set_to = lambda policy: actions.set_policy(  # noqa: E731
        actor=administrator, collectivite=beaune.collectivite, policy=policy
    )
    assert [set_to(Policy()), set_to(Policy(inbound_tcp_ports=(443,)))] == [1, 2]
    for bad in (Policy(mode="hub"), Policy(inbound_tcp_ports=(0,)), Policy(allow_addresses=("nowhere",))):
        with pytest.raises(Invalid):
            set_to(bad)
    assert BoxPolicy.objects.count() == 2


def test_facts_are_counted_by_commune_and_day_and_notices_are_shown(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    box = enrolled(administrator, beaune)
    address, name = Indicator(Kind.IP, "45.83.64.7"), Indicator(Kind.DOMAIN, "colis-suivi.fr")
    now = clock.epoch_s()
    receive(
        box,
        FlowsBlocked("f1", address, "out", 3, now, now, "tcp", 443, "dec_1"),
        FlowsBlocked("f2", address, "out", 4, now, now, "tcp", 80, "dec_1"),
        NamesRefused("f3", name, 2, now, 2**37, "dec_2"),
        EntryRefused("f4", "dec_3", Indicator(Kind.DOMAIN, "impots.gouv.fr"), "a public service", now),
        PolicyRolledBack("f5", 2, 1, "the centre was not reached", now),
    )
    counts = {(f.value, f.direction): f.count for f in queries.visible_flows(beaune.agent)}
    assert counts == {("45.83.64.7", "out"): 7, ("colis-suivi.fr", "name"): 2}
    assert {n.kind for n in queries.visible_notices(administrator)} == {"entry_refused", "policy_rolled_back"}
    assert not queries.visible_flows(nuits.agent).exists()
    assert not queries.visible_notices(nuits.agent).exists()


def test_a_sighting_of_a_box_becomes_evidence_under_a_detector_of_boxes(
    administrator: Actor, beaune: Commune
) -> None:
    box = enrolled(administrator, beaune)
    receive(box, Sighting("s1", "detonation", (Indicator(Kind.IP, "45.83.64.7"),), clock.epoch_s()))
    event = OutboxEvent.objects.get(kind="sighting:from_box")
    payload = json.loads(event.payload)
    assert (payload["detector"], payload["collectivite_id"]) == ("box_detonation", beaune.id)


def test_a_box_that_tells_without_end_is_heard_as_far_as_an_honest_one_tells(
    administrator: Actor, beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sighting takes a moment of the worker in which the others' wait; the commune's own alarms are all there."""
    # However long this takes, no further one is allowed meanwhile.
    monkeypatch.setattr(consumers, "_sightings", RateLimit(burst=30, per_s=0))
    taken_over, honest = enrolled(administrator, beaune), enrolled(administrator, nuits)
    facts = [
        Sighting(f"s{n}", f"d{n % 7}", (Indicator(Kind.IP, f"45.83.{n // 250}.{n % 250}"),), clock.epoch_s())
        for n in range(40)
    ]
    receive(taken_over, *facts)
    receive(honest, *facts[:9])
    told = OutboxEvent.objects.filter(kind="sighting:from_box").values_list("collectivite_id", flat=True)
    assert (list(told).count(beaune.id), list(told).count(nuits.id)) == (30, 9)
    assert OutboxEvent.objects.filter(kind="box:alarm", collectivite_id=beaune.id).count() == 40


@override_settings(ROOT_URLCONF="tests.integration.test_boxes_enrolment")
def test_the_address_of_enrolment_exists_on_the_listener_of_boxes_only(
    administrator: Actor, beaune: Commune
) -> None:
    code = actions.issue_code(actor=administrator, collectivite=beaune.collectivite)
    body = encode(request_of(code, Ed25519PrivateKey.generate()))
    post = lambda **headers: Client().post(  # noqa: E731
        "/v1/enrol", body, content_type="application/json", headers=headers
    )
    assert post().status_code == 404
    assert post(**{"X-Beffroi-Listener": "portal"}).status_code == 404
    answer = post(**{"X-Beffroi-Listener": "box"})
    assert answer.status_code == 200
    assert decode(answer.content, EnrolAnswer).state == "pending"


def ask(body: bytes) -> tuple[int, str]:
    request = RequestFactory().post(
        "/v1/enrol",
        body,
        content_type="application/json",
        headers={"X-Beffroi-Listener": "box", "X-Forwarded-For": "198.51.100.7"},
    )
    answer = api.enrol(request)
    return answer.status_code, json.loads(answer.content)["code"]


@pytest.mark.usefixtures("database")
def test_hostile_requests_get_a_clear_refusal() -> None:
    good = EnrolRequest(1, "0" * 64, "BF-1", b64(bytes(32)))
    assert ask(b"{") == (400, "message.malformed")
    assert ask(encode(good).replace(b'"v":1', b'"v":9')) == (400, "message.version_unknown")
    assert ask(b" " * (api.MAX_BODY_BYTES + 1)) == (413, "input.too_large")
    assert ask(encode(EnrolRequest(1, "0" * 64, "BF-1", "short"))) == (400, "input.invalid")
    assert ask(encode(EnrolRequest(1, "0" * 64, "\x1b[2J", b64(bytes(32))))) == (400, "input.invalid")
    assert ask(encode(good)) == (403, "box.enrol_refused")


@pytest.mark.usefixtures("database")
def test_guessing_codes_is_stopped() -> None:
    body = encode(EnrolRequest(1, "0" * 64, "BF-1", b64(bytes(32))))
    answers = [ask(body)[0] for _ in range(api._WRONG_CODES + 1)]
    assert answers == [403] * api._WRONG_CODES + [429]


def test_what_a_box_looked_back_on_learned_and_saw_going_round_it_is_told_once_for_its_own_commune(
    administrator: Actor, beaune: Commune
) -> None:
    box, now = enrolled(administrator, beaune), clock.epoch_s()
    facts = (
        LookBack("l1", "dec_1", Indicator(Kind.IP, "45.83.64.7"), 2**53, 3, 0, now + 10**6),
        FlowsLearned("l2", "in", "tcp", 443, 7, now - 60, now, "203.0.113.0/24"),
        Bypass("l3", "foreign_dns", 2, now),
    )
    receive(box, *facts)
    told = {
        event.kind: (event.collectivite_id, json.loads(event.payload))
        for event in OutboxEvent.objects.filter(
            kind__in=("box:looked_back", "box:flow_learned", "box:bypassed")
        )
    }
    assert {commune for commune, _ in told.values()} == {beaune.id} and len(told) == 3
    back = told["box:looked_back"][1]
    assert (back["indicator_kind"], back["indicator_value"], back["entry_id"]) == (
        "ip",
        "45.83.64.7",
        "dec_1",
    )
    assert (
        back["count"] == 10_000_000
        and now - 41 * 86400 < back["first_at"] < back["last_at"] <= clock.epoch_s()
    )
    learned = told["box:flow_learned"][1]
    assert (learned["direction"], learned["port"], learned["remote"]) == ("in", 443, "203.0.113.0/24")
    assert (told["box:bypassed"][1]["kind"], told["box:bypassed"][1]["count"]) == ("foreign_dns", 2)
