"""The fleet: what 698 boxes look like to one operator, and the words that he has on their policies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from beffroi.boxes import actions, ahead, doors, fleet, queries
from beffroi.boxes.models import Box, BoxAck, BoxBypass, BoxPolicy, BoxRun, LearnedFlow
from beffroi.core.audit.actions import personal_of
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions.models import FeedBatch, FeedChannel
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi_protocol.enrolment_code import prove_key
from beffroi_protocol.facts import Bypass, FlowsLearned, Sighting
from beffroi_protocol.messages import EnrolRequest, InboundRule, Policy
from beffroi_protocol.signing import b64, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.conftest import Commune
from tests.integration.test_boxes_enrolment import enrolled, feed_keys, receive, request_of

__all__ = ["feed_keys"]
pytestmark = pytest.mark.usefixtures("feed_keys")


def made(commune: Commune, serial: str, **changes: object) -> Box:
    values: dict[str, object] = {
        "state": "active",
        "last_seen_at": clock.now(),
        "agent_version": "0.10.0",
        "policy_version": 1,
    }
    return Box.objects.create(
        collectivite_id=commune.id,
        serial=serial,
        public_key=serial,
        fingerprint="K7QD",
        **{**values, **changes},
    )


def acked(box: Box, version: int, epoch: int = 1) -> None:
    BoxAck.objects.create(box_id=box.id, channel="box", epoch=epoch, version=version, enforced_at_ms=1)


def flags(actor: Actor) -> dict[str, tuple[str, ...]]:
    return {row.box.serial: row.flags for row in fleet.fleet(actor)}


def test_each_row_says_what_is_wrong_with_its_box_the_urgent_first(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    FeedChannel.objects.create(channel="box", epoch=1, version=9)
    for version, age_s in ((7, 120), (9, 5)):
        FeedBatch.objects.create(
            channel="box",
            epoch=1,
            to_version=version,
            line=b"",
            created_at=clock.now() - timedelta(seconds=age_s),
        )
    actions.set_policy(
        actor=administrator,
        collectivite=beaune.collectivite,
        policy=Policy(observe_until=clock.epoch_s() + 60),
    )
    actions.set_policy(actor=administrator, collectivite=nuits.collectivite, policy=Policy())
    acked(made(beaune, "observing"), 7)
    acked(made(nuits, "sound"), 8)  # two seconds late is not behind
    acked(made(nuits, "behind"), 6)
    acked(made(nuits, "old", agent_version="0.9.4"), 9)
    acked(made(nuits, "silent", last_seen_at=clock.now() - timedelta(hours=1)), 9)
    acked(made(nuits, "refused", policy_version=0, rolled_back_version=1), 9)
    acked(made(nuits, "recovered", rolled_back_version=1), 9)
    made(nuits, "new", state="pending")
    made(nuits, "gone", state="revoked")
    assert flags(administrator) == {
        "new": ("pending",),
        "silent": ("silent",),
        "refused": ("rolled_back",),
        "behind": ("behind",),
        "old": ("outdated",),
        "observing": ("observing",),
        "recovered": (),
        "sound": (),
    }
    rows = fleet.fleet(administrator)
    assert [row.box.serial for row in rows][:3] == ["new", "silent", "refused"]
    assert {row.box.serial: row.list_lag for row in rows}["behind"] == 3
    assert {row.box.serial for row in fleet.fleet(beaune.agent)} == {"observing"}
    assert "gone" in {row.box.serial for row in fleet.fleet(administrator, with_revoked=True)}


def test_a_box_that_exists_twice_comes_first_for_a_day_and_only_to_its_own_commune(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    made(nuits, "pending", state="pending")
    copied, ended = made(beaune, "copied"), made(beaune, "ended", state="revoked")
    for box in (copied, ended):
        BoxRun.objects.create(
            box_id=box.id, number="a", former="b", twice_at=clock.now() - timedelta(hours=23)
        )
    assert next(iter(flags(administrator))) == "copied" and "twice" in flags(administrator)["copied"]
    assert "twice" in flags(beaune.referent)["copied"] and "copied" not in flags(nuits.referent)
    assert fleet.followed_twice([copied]) == 1
    with clock.shifted(2 * 3600):
        assert "twice" not in flags(administrator)["copied"] and fleet.followed_twice([copied]) == 0


def test_every_change_of_policy_says_who_and_why_and_the_former_one_comes_back(
    administrator: Actor, beaune: Commune
) -> None:
    change = lambda policy, **more: actions.set_policy(  # noqa: E731
        actor=administrator, collectivite=beaune.collectivite, policy=policy, **more
    )
    change(Policy(unlock=False, centre_addresses=("192.0.2.1",)), reason="  Premiers\n réglages ")
    change(Policy(centre_addresses=("192.0.2.9",)), reason="Demande du maire")
    version = fleet.restore_policy(
        actor=administrator, collectivite=beaune.collectivite, version=1, reason="Retour"
    )
    rows = list(fleet.policy_history(beaune.agent, beaune.id))
    assert [(row.policy_version, row.reason, row.restores) for row in rows] == [
        (version, "Retour", 1),
        (2, "Demande du maire", 0),
        (1, "Premiers réglages", 0),
    ]
    current = queries.current_policy(administrator, beaune.id)
    assert current is not None
    # The address of the centre stays that of now: an old one would cut the box off.
    assert current[1] == Policy(unlock=False, centre_addresses=("192.0.2.9",))
    entries = list(AuditEntry.objects.filter(verb="box:policy_changed").order_by("id"))
    assert personal_of(entries[1]) == {"why": "Demande du maire"}, (
        "words of a person: where they can be erased"
    )
    assert [one.details for one in entries[1:]] == [
        '{"policy_version":2}', '{"policy_version":3,"restores":1}',
    ]  # fmt: skip
    with pytest.raises(Conflict):
        fleet.restore_policy(
            actor=administrator, collectivite=beaune.collectivite, version=version, reason=""
        )


def test_a_change_made_from_an_older_policy_overwrites_nothing(administrator: Actor, beaune: Commune) -> None:
    change = lambda base: actions.set_policy(  # noqa: E731
        actor=administrator, collectivite=beaune.collectivite, policy=Policy(), base_version=base
    )
    assert [change(0), change(1)] == [1, 2]
    with pytest.raises(Conflict):
        change(1)
    assert BoxPolicy.objects.count() == 2


def test_after_a_restore_no_policy_has_a_number_that_boxes_have_seen(
    administrator: Actor, beaune: Commune
) -> None:
    change = lambda base: actions.set_policy(  # noqa: E731
        actor=administrator, collectivite=beaune.collectivite, policy=Policy(), base_version=base
    )
    assert [change(0), change(1), change(2)] == [1, 2, 3]
    BoxPolicy.objects.filter(policy_version__gt=1).delete()  # the backup is of before
    made(beaune, "lies", policy_version=2**31 - 1)  # uses no numbers up
    made(beaune, "away", policy_version=2**31 - 1, state="revoked")
    made(beaune, "BF-1", policy_version=3)
    assert change(1) == 4, "else the boxes would keep what was lost, and seem to have taken this one"
    with pytest.raises(Conflict):
        change(1)


@pytest.mark.parametrize(
    "bad",
    [
        Policy(inbound=(InboundRule("tcp", 443, ("nowhere",)),)),
        Policy(allow_addresses=("fe80::1%eth0",)),
        Policy(canary_names=("not a name",)),
        Policy(inbound=(InboundRule("tcp", 23),), honeyports=(23,)),
        Policy(inbound_tcp_ports=(23,), honeyports=(23,)),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(
    administrator: Actor, beaune: Commune, bad: Policy
) -> None:
    with pytest.raises(Invalid):
        actions.set_policy(actor=administrator, collectivite=beaune.collectivite, policy=bad)


def test_observation_is_a_fortnight_is_prolonged_and_ended(administrator: Actor, beaune: Commune) -> None:
    enrolled(administrator, beaune)

    def until() -> int:
        current = queries.current_policy(administrator, beaune.id)
        assert current is not None
        return current[1].observe_until

    first = until()
    assert abs(first - clock.epoch_s() - 14 * 86400) < 60
    word = lambda days: fleet.observe(  # noqa: E731
        actor=administrator, collectivite=beaune.collectivite, days=days, reason="vacances"
    )
    word(7)
    assert until() == first + 7 * 86400
    word(0)
    assert until() == 0
    word(7)
    assert abs(until() - clock.epoch_s() - 7 * 86400) < 60


def learned(box: Box, *facts: tuple[str, str, int, str]) -> None:
    now = clock.epoch_s()
    receive(
        box,
        *(
            FlowsLearned(
                f"l{n}-{LearnedFlow.objects.count()}", direction, protocol, port, 5, now, now, remote
            )
            for n, (direction, protocol, port, remote) in enumerate(facts)
        ),
    )


def test_an_accepted_flow_becomes_an_inbound_rule_for_its_source_only(
    administrator: Actor, beaune: Commune
) -> None:
    box = enrolled(administrator, beaune)
    learned(
        box,
        ("in", "tcp", 443, "82.64.10.0/24"),
        ("in", "tcp", 443, "82.64.11.7/24"),
        ("in", "udp", 51820, "2001:db8:1::/48"),
        ("in", "tcp", 443, "0.0.0.0/0"),  # wider than a box may tell
        ("in", "tcp", 22, "nonsense"),
    )
    learned(box, ("in", "tcp", 443, "82.64.10.0/24"))
    flows = list(fleet.learned_flows(beaune.agent, beaune.id))
    assert [(f.port, f.remote, f.count) for f in flows] == [
        (443, "82.64.10.0/24", 10),
        (443, "82.64.11.0/24", 5),
        (51820, "2001:db8:1::/48", 5),
    ]
    for flow in flows[:2]:
        fleet.accept_flow(
            actor=administrator,
            collectivite=beaune.collectivite,
            flow_id=flow.id,
            label="Télémaintenance",
            reason="proposé",
        )
    fleet.ignore_flow(actor=administrator, collectivite=beaune.collectivite, flow_id=flows[2].id)
    current = queries.current_policy(administrator, beaune.id)
    assert current is not None
    assert current[1].inbound == (
        InboundRule("tcp", 443, ("82.64.10.0/24", "82.64.11.0/24"), "Télémaintenance"),
    )
    with pytest.raises(Conflict):
        fleet.ignore_flow(actor=administrator, collectivite=beaune.collectivite, flow_id=flows[0].id)
    assert set(LearnedFlow.objects.values_list("state", flat=True)) == {"accepted", "ignored"}


def test_a_hostile_box_does_not_fill_the_table(
    administrator: Actor, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.boxes import learned as kept

    monkeypatch.setattr(kept, "MAX_FLOWS", 3)
    monkeypatch.setattr(kept, "MAX_KINDS", 2)
    box = enrolled(administrator, beaune)
    learned(box, *(("in", "tcp", port, "82.64.10.0/24") for port in range(1, 9)))
    receive(box, *(Bypass(f"b{n}", f"kind{n}", 1, clock.epoch_s()) for n in range(5)))
    assert (LearnedFlow.objects.count(), BoxBypass.objects.count()) == (3, 2)


def test_machines_that_go_round_the_box_are_told_to_its_own_commune(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    box = enrolled(administrator, beaune)
    receive(
        box, Bypass("b1", "foreign_dns", 3, clock.epoch_s()), Bypass("b2", "foreign_dns", 2, clock.epoch_s())
    )
    assert [(b.kind, b.count) for b in fleet.bypasses(beaune.agent, beaune.id)] == [("foreign_dns", 2)]
    BoxBypass.objects.update(last_at=clock.now() - timedelta(days=31))
    assert list(fleet.bypasses(beaune.agent, beaune.id)) == []
    for read in (fleet.bypasses, fleet.learned_flows, fleet.policy_history):
        with pytest.raises(NotFound):
            read(nuits.agent, beaune.id)


def test_machines_to_look_at_are_kept_by_their_label_the_latest_ones(
    administrator: Actor, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.boxes import learned as kept

    monkeypatch.setattr(kept, "MAX_MACHINES", 2)
    box, now = enrolled(administrator, beaune), clock.epoch_s()

    def seen(number: int, detector: str, machine: str, at: int) -> Sighting:
        return Sighting(f"s{number}", detector, (), at, {"machine": machine})

    receive(
        box,
        seen(1, "dns_flood", "poste-AAAAA", now - 7200),
        seen(2, "dns_flood", "poste-BBBBB", now - 60),
        seen(3, "dns_flood", "poste-CCCCC", now - 30),
        seen(4, "dns_flood", "poste-BBBBB", now - 20),
        seen(5, "dns_flood", "<script>", now),
        seen(6, "beacon", "poste-AAAAA", now),
        seen(7, "cleartext_password", "poste-AAAAA", now - 10),
    )
    found = [(b.kind, b.machine, b.count) for b in fleet.bypasses(beaune.agent, beaune.id)]
    assert found == [
        ("cleartext_password", "poste-AAAAA", 1),
        ("dns_flood", "poste-BBBBB", 2),
        ("dns_flood", "poste-CCCCC", 1),
    ]


def test_a_commune_changes_nothing_of_its_boxes(administrator: Actor, beaune: Commune) -> None:
    box = enrolled(administrator, beaune)
    learned(box, ("in", "tcp", 443, "82.64.10.0/24"))
    flow = LearnedFlow.objects.get()
    here: dict[str, Any] = {"actor": beaune.referent, "collectivite": beaune.collectivite}
    before = BoxPolicy.objects.count()
    for act in (
        lambda: fleet.observe(**here, days=7, reason=""),
        lambda: fleet.accept_flow(**here, flow_id=flow.id, label="", reason=""),
        lambda: fleet.ignore_flow(**here, flow_id=flow.id),
        lambda: actions.issue_code(**here, replaces=box),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert BoxPolicy.objects.count() == before
    flow.refresh_from_db()
    assert flow.state == "open"


def test_a_box_takes_the_place_of_another_with_its_policy_and_history(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    old = enrolled(administrator, beaune)
    learned(old, ("in", "tcp", 443, "82.64.10.0/24"))
    fleet.accept_flow(
        actor=administrator,
        collectivite=beaune.collectivite,
        flow_id=LearnedFlow.objects.get().id,
        label="",
        reason="",
    )
    policy = queries.current_policy(administrator, beaune.id)
    with pytest.raises(Conflict):
        actions.issue_code(actor=administrator, collectivite=nuits.collectivite, replaces=old)

    key = Ed25519PrivateKey.generate()
    code = actions.issue_code(actor=administrator, collectivite=beaune.collectivite, replaces=old)
    request = request_of(code, key)
    actions.enrol(request)
    new = Box.objects.get(public_key=request.public_key)
    old.refresh_from_db()
    assert (new.replaces, new.state, old.state) == (old.id, "pending", "active")  # it works until then

    actions.confirm(actor=administrator, box=new)
    old.refresh_from_db()
    assert old.state == "revoked"
    assert queries.current_policy(administrator, beaune.id) == policy
    assert fleet.learned_flows(administrator, beaune.id).count() == 1
    again = EnrolRequest(1, "", "BF-1", b64(public_bytes(key)), "", prove_key(key))
    assert actions.enrol(again).box_id == new.id
    with pytest.raises(Conflict):
        actions.issue_code(actor=administrator, collectivite=beaune.collectivite, replaces=old)


def test_once_the_clock_is_right_what_it_dated_ahead_counts_from_now(
    administrator: Actor, beaune: Commune
) -> None:
    with clock.jumped(40 * 86400):
        away = made(beaune, "BX-1")
        BoxRun.objects.create(box_id=away.id, number="1", former="2", twice_at=clock.now())
    assert ahead.look() == 2
    assert ahead.look() == 0
    with clock.shifted(queries.SILENT_AFTER_S + 1):
        assert flags(administrator) == {"BX-1": ("twice", "silent")}
        assert doors.communes_heard() == set()
    with clock.shifted(fleet.TWICE_FOR.total_seconds() + 1):
        assert flags(administrator) == {"BX-1": ("silent",)}
