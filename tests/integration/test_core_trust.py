"""Local exceptions, never again and appeals on the database: what the feed is told, and who may do what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import appeals, exceptions, lists, never_again, queries
from beffroi.core.decisions.actions import ProtectedIndicator
from beffroi.core.decisions.exceptions import ExceptionRefused
from beffroi.core.decisions.models import IndicatorList, LocalException, NeverAgain
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.stream.store import Event, channel_events
from beffroi_protocol.indicators import Indicator, normalise

from tests.conftest import Commune
from tests.fixtures_trust import SITE, allow, decide, feed

# -- exceptions --------------------------------------------------------------------------------------------


def test_an_exception_travels_to_its_commune_alone_and_ends_by_itself(system: Actor, beaune: Commune) -> None:
    decision = decide(system)
    made = allow(beaune, decision_id=decision.id)
    assert feed() == {("all", decision.id): "block", (beaune.id, made.id): "allow"}
    told = OutboxEvent.objects.get(kind="exception:allowed")
    assert told.collectivite_id == beaune.id
    assert AuditEntry.objects.get(verb="exception:allowed").collectivite_id == beaune.id
    with clock.shifted(3601):
        assert exceptions.expire_due() == 1
    assert feed() == {("all", decision.id): "block"}


def test_a_person_ends_an_exception_of_their_own_commune_only(
    system: Actor, beaune: Commune, nuits: Commune
) -> None:
    decide(system)
    made = allow(beaune)
    with pytest.raises(NotFound):
        exceptions.end(actor=nuits.agent, exception_id=made.id)
    with pytest.raises(NotFound):
        allow(beaune, actor=nuits.agent)
    assert list(queries.visible_exceptions(nuits.agent)) == []
    assert exceptions.end(actor=beaune.colleague, exception_id=made.id)
    assert not exceptions.end(actor=beaune.colleague, exception_id=made.id)


@pytest.mark.parametrize(
    ("attack", "asked", "why"),
    [
        ((SITE, {"detectors": ["box_beacon"]}), SITE, "command_server"),
        ((SITE, {"detectors": ["box_beacon"]}), normalise("domain", "c2.fournitures-bureau.com"), "command_server"),
        ((SITE, {"communes": 2}), SITE, "seen_by_several"),
        ((normalise("cidr", "51.15.0.0/24"), {"communes": 2}), normalise("ip", "51.15.0.9"), "seen_by_several"),
        ((SITE, {}), normalise("cidr", "51.15.0.0/24"), "range"),
    ],
)  # fmt: skip
def test_a_person_may_not_let_through_what_is_an_attack(
    system: Actor,
    beaune: Commune,
    attack: tuple[Indicator, dict[str, object]],
    asked: Indicator,
    why: str,
) -> None:
    decide(system, attack[0], evidence=attack[1])
    with pytest.raises(ExceptionRefused, match=why):
        allow(beaune, asked)
    assert not LocalException.objects.exists()


def test_the_departement_may_for_longer_but_never_a_command_server(
    administrator: Actor, system: Actor, beaune: Commune
) -> None:
    decide(system, evidence={"communes": 2})
    made = allow(beaune, actor=administrator, ttl_s=30 * 86400)
    assert made.by_departement
    other = normalise("domain", "c2-panel.com")
    decide(system, other, reason="command_server")
    with pytest.raises(ExceptionRefused, match="command_server"):
        allow(beaune, other, actor=administrator)


@pytest.mark.parametrize(
    "changes", [{"ttl_s": 3601}, {"ttl_s": 0}, {"reason": " "}, {"reason": "x" * 501}], ids=str
)
def test_an_exception_is_short_and_has_a_reason(
    system: Actor, beaune: Commune, changes: dict[str, Any]
) -> None:
    decide(system)
    with pytest.raises(Invalid):
        allow(beaune, **changes)


def test_one_commune_cannot_open_everything(system: Actor, beaune: Commune) -> None:
    for number in range(50):
        allow(beaune, normalise("domain", f"site{number}.example.net"))
    with pytest.raises(Conflict):
        allow(beaune, normalise("domain", "one-more.example.net"))
    again = allow(beaune, normalise("domain", "site7.example.net"))
    assert LocalException.objects.filter(value=again.value).count() == 1


def test_an_attack_closes_what_a_person_had_opened_not_what_the_departement_did(
    administrator: Actor, system: Actor, beaune: Commune, nuits: Commune
) -> None:
    own = allow(beaune, normalise("domain", "www.fournitures-bureau.com"))
    kept = allow(nuits, actor=administrator)
    decision = decide(system, evidence={"communes": 2}, rule="two_communes")
    assert feed() == {("all", decision.id): "block", (nuits.id, kept.id): "allow"}
    own.refresh_from_db()
    assert own.state == "ended"


# -- never again -------------------------------------------------------------------------------------------


def test_never_again_ends_every_decision_it_touches_and_forbids_new_ones(
    administrator: Actor, system: Actor
) -> None:
    name, sub = decide(system), decide(system, normalise("domain", "cdn.fournitures-bureau.com"))
    other = decide(system, normalise("domain", "not-fournitures-bureau.com"))
    row = never_again.never_again(actor=administrator, indicator=SITE, reason="fournisseur de 40 communes")
    assert feed() == {("all", other.id): "block", ("all", row.id): "allow"}
    for decision in (name, sub):
        decision.refresh_from_db()
        assert (decision.state, decision.end_reason) == ("revoked", "never_again")
    for value in ("fournitures-bureau.com", "www.fournitures-bureau.com"):
        with pytest.raises(ProtectedIndicator):
            decide(administrator, normalise("domain", value))
    assert never_again.take_back(actor=administrator, never_again_id=row.id, reason="rachetée par un escroc")
    assert feed() == {("all", other.id): "block"}
    assert decide(system).state == "active"
    verbs = AuditEntry.objects.filter(verb__startswith="never_again:").order_by("id")
    assert [v.verb for v in verbs] == ["never_again:set", "never_again:taken_back"]


def test_never_again_of_an_address_spares_its_range_too(administrator: Actor, system: Actor) -> None:
    never_again.never_again(actor=administrator, indicator=normalise("ip", "51.15.0.9"), reason="mairie")
    with pytest.raises(ProtectedIndicator):
        decide(system, normalise("cidr", "51.15.0.0/24"))
    assert decide(system, normalise("ip", "51.15.0.8")).state == "active"


def test_never_again_ends_when_its_time_is_over(administrator: Actor, system: Actor) -> None:
    row = never_again.never_again(actor=administrator, indicator=SITE, reason="essai", ttl_s=60)
    assert never_again.expire_due() == 0 and feed() == {("all", row.id): "allow"}
    with clock.shifted(61):
        assert decide(system).state == "active"
        assert never_again.expire_due() == 1
    assert ("all", row.id) not in feed()
    row.refresh_from_db()
    assert (row.revoked_by, row.revoke_reason) == ("decisions.expiry", "ttl")


@pytest.mark.parametrize("wide", [("cidr", "51.0.0.0/23"), ("cidr", "2a0e::/47"), ("domain", "co.uk")])
def test_never_again_opens_no_whole_range_or_suffix(administrator: Actor, wide: tuple[str, str]) -> None:
    with pytest.raises(Invalid):
        never_again.never_again(actor=administrator, indicator=normalise(*wide), reason="trop")
    assert feed() == {}


def test_never_again_is_the_departements_word_alone(beaune: Commune, system: Actor) -> None:
    for actor in (beaune.referent, system):
        with pytest.raises(NotAllowed):
            never_again.never_again(actor=actor, indicator=SITE, reason="x")
    assert list(queries.never_again_entries(beaune.referent)) == []


def test_bulk_lists_keep_what_is_never_blocked_again_and_the_feed_lets_it_pass(
    administrator: Actor, database: str
) -> None:
    values = ["cdn.fournitures-bureau.com", "fournitures-bureau.com", "malware-host.com"]

    def publish() -> IndicatorList:
        return lists.publish_list(
            actor=administrator, name="names", kind="domain", values=values, source="test", licence="CC0"
        ).row

    before = publish().sha256
    row = never_again.never_again(actor=administrator, indicator=SITE, reason="fournisseur")
    run_pending("main")
    values.append("another.example.net")
    after = publish()
    assert (IndicatorList.objects.get(name="names").count, after.sha256 != before) == (4, True)
    told = OutboxEvent.objects.get(kind="never_again:set")
    (change,) = channel_events(Event(told.id, told.kind, None, json.loads(told.payload)))
    assert (change.scope, change.kind) == ("all", "domain")
    entry = change.entry
    assert (entry.id, entry.indicator, entry.action, entry.reason) == (row.id, SITE, "allow", "never_again")


# -- appeals -----------------------------------------------------------------------------------------------


def test_an_appeal_is_answered_and_accepted_it_ends_the_decision_everywhere(
    administrator: Actor, system: Actor, beaune: Commune, nuits: Commune
) -> None:
    decision = decide(system)
    made = appeals.appeal(actor=beaune.agent, decision_id=decision.id, text="C’est notre fournisseur.")
    assert appeals.appeal(actor=beaune.colleague, decision_id=decision.id, text="Idem.").id == made.id
    also = appeals.appeal(actor=nuits.agent, decision_id=decision.id, text="Le nôtre aussi.")
    assert list(queries.visible_appeals(nuits.agent)) == [also]
    with pytest.raises(NotFound):
        appeals.answer(actor=nuits.agent, appeal_id=made.id, accept=True, text="oui")
    with pytest.raises(NotAllowed):
        appeals.answer(actor=beaune.agent, appeal_id=made.id, accept=True, text="oui")
    appeals.answer(actor=administrator, appeal_id=made.id, accept=True, text="Merci, c’était une erreur.")
    decision.refresh_from_db()
    also.refresh_from_db()
    assert (decision.state, also.state) == ("revoked", "accepted")
    with pytest.raises(Conflict):
        appeals.answer(actor=administrator, appeal_id=also.id, accept=False, text="non")
    told = [(e.kind, e.collectivite_id) for e in OutboxEvent.objects.filter(kind__startswith="appeal:")]
    assert ("appeal:accepted", nuits.id) in told
    assert not OutboxEvent.objects.filter(payload__contains="fournisseur.").exists()


def test_what_does_not_apply_to_a_commune_cannot_be_contested_by_it(
    system: Actor, beaune: Commune, nuits: Commune
) -> None:
    local = decide(system, scope=nuits.id)
    weak = decide(system, normalise("domain", "weak.example.net"), strength="weak")
    for decision in (local, weak):
        with pytest.raises(NotFound):
            appeals.appeal(actor=beaune.agent, decision_id=decision.id, text="non")


def test_never_again_rows_are_one_for_an_indicator(administrator: Actor, database: str) -> None:
    for reason in ("une", "deux"):
        never_again.never_again(actor=administrator, indicator=SITE, reason=reason)
    assert NeverAgain.objects.get().reason == "deux"
