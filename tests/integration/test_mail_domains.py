"""Mail domains in the database: keys in envelopes, their rotation with overlap, choices, checks and alarms."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Domain
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.envelopes import KeyUnreadable
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail import keys, signing
from beffroi.mail.domains import actions, checking, consumers, queries
from beffroi.mail.domains.models import DkimKey, DomainCheck
from beffroi.mail.models import CommuneKey
from django.conf import settings

from tests.conftest import Commune

pytestmark = pytest.mark.django_db
DAY_S = 86400.0


@pytest.fixture
def domain(beaune: Commune, system: Actor) -> Domain:
    found = Domain.objects.get(name=beaune.domain)
    actions.ensure_keys(actor=system, domain=found)
    return found


def states(domain: Domain) -> dict[str, str]:
    return {one.selector: one.state for one in queries.published_keys(domain.id)}


def seen(system: Actor, domain: Domain, **items: str) -> DomainCheck:
    found = {name.replace("__", ":"): (state, "x|") for name, state in items.items()}
    return actions.store_check(actor=system, domain=domain, items=found, scores={})


def test_an_enrolled_domain_gets_one_key_that_signs_and_one_that_waits(beaune: Commune) -> None:
    run_pending("sources")
    domain = Domain.objects.get(name=beaune.domain)
    assert states(domain) == {"beffroi1": "active", "beffroi2": "next"}
    assert OutboxEvent.objects.filter(kind="mail:dkim_changed").count() == 1
    assert AuditEntry.objects.filter(verb="mail:dkim_key:made").count() == 2


def test_making_keys_again_changes_nothing(domain: Domain, system: Actor) -> None:
    before = list(DkimKey.objects.order_by("id").values_list("id", flat=True))
    assert actions.ensure_keys(actor=system, domain=domain) == []
    assert list(DkimKey.objects.order_by("id").values_list("id", flat=True)) == before


def test_a_private_key_is_wrapped_and_opens_for_the_engines(domain: Domain, config: Config) -> None:
    assert not DkimKey.objects.filter(wrapped__contains="PRIVATE").exists()
    [key] = queries.signing_keys(config)
    assert (key.domain, key.selector) == ("beaune.test", "beffroi1")
    assert key.private.startswith("-----BEGIN PRIVATE KEY-----")


def test_a_key_that_does_not_open_keeps_no_other_domain_from_signing_and_is_named(
    domain: Domain, nuits: Commune, config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system = Actor.system("tests")
    other = Domain.objects.get(name=nuits.domain)
    actions.ensure_keys(actor=system, domain=other)
    engines = replace(config, state=tmp_path)
    engines.run.mkdir()
    folder = tmp_path / "projections" / "dkim"
    folder.mkdir(parents=True)
    signing.put(engines, queries.signing_keys(config))
    before = (folder / "beffroi1.beaune.test.pem").read_bytes()
    seen(system, other, dkim__beffroi2="ok")
    actions.rotate_key(actor=system, domain=other)
    # The envelope of another commune.
    DkimKey.objects.filter(domain_id=domain.id).update(collectivite_id=nuits.id)
    signing.put(engines, queries.signing_keys(config))
    assert (folder / "selectors").read_text() == "beaune.test beffroi1\nnuits.test beffroi2\n"
    assert (folder / "beffroi1.beaune.test.pem").read_bytes() == before, "it signs on with its file of before"
    assert signing.unreadable(engines) == ["beaune.test"] and "beaune.test" in signing.problem(engines)
    assert "beaune.test" in caplog.text and "nuits.test" not in caplog.text
    signing.put(engines, queries.signing_keys(config))
    assert caplog.text.count("does not open") == 1, "said once"
    seen(system, domain, dkim__beffroi2="ok")
    with pytest.raises(KeyUnreadable):
        actions.rotate_key(actor=system, domain=domain)
    assert states(domain) == {"beffroi1": "active", "beffroi2": "next"}
    DkimKey.objects.filter(domain_id=domain.id).update(collectivite_id=domain.collectivite_id)
    signing.put(engines, queries.signing_keys(config))
    assert signing.unreadable(engines) == [] and signing.problem(engines) == ""


def test_a_key_signs_only_after_dns_showed_it(domain: Domain, system: Actor) -> None:
    with pytest.raises(Conflict):
        actions.rotate_key(actor=system, domain=domain)
    seen(system, domain, dkim__beffroi2="bad")
    with pytest.raises(Conflict):
        actions.rotate_key(actor=system, domain=domain)
    seen(system, domain, dkim__beffroi2="ok")
    assert actions.rotate_key(actor=system, domain=domain).selector == "beffroi2"


def test_the_former_key_stays_published_for_the_overlap_and_then_frees_its_selector(
    domain: Domain, system: Actor, config: Config
) -> None:
    seen(system, domain, dkim__beffroi2="ok")
    old = queries.public_keys(domain.id)[0]
    actions.rotate_key(actor=system, domain=domain)
    assert states(domain) == {"beffroi1": "retired", "beffroi2": "active"}
    assert DkimKey.objects.get(state="retired").wrapped == "", "what signs no more is erased"
    assert [one.selector for one in queries.signing_keys(config)] == ["beffroi2"]
    consumers.rotate_due()
    assert old in queries.public_keys(domain.id)
    with clock.shifted(actions.OVERLAP.total_seconds() + 60):
        consumers.rotate_due()
        assert states(domain) == {"beffroi1": "next", "beffroi2": "active"}
        assert old not in queries.public_keys(domain.id)


def test_the_job_rotates_when_it_is_due_and_waits_while_dns_lags(domain: Domain, system: Actor) -> None:
    consumers.rotate_due()
    assert states(domain)["beffroi1"] == "active"
    with clock.shifted(actions.ROTATE_AFTER.total_seconds() + DAY_S):
        consumers.rotate_due()
        assert states(domain)["beffroi1"] == "active", "the next key was not seen"
        seen(system, domain, dkim__beffroi2="ok")
        consumers.rotate_due()
        assert states(domain) == {"beffroi1": "retired", "beffroi2": "active"}


def test_a_key_that_does_not_open_keeps_no_other_domain_from_its_turn(
    beaune: Commune, nuits: Commune, config: Config
) -> None:
    first, other = Domain.objects.filter(collectivite_id__in=(beaune.id, nuits.id)).order_by("id")
    keys.commune_key(config, first.collectivite_id)
    CommuneKey.objects.filter(pk=first.collectivite_id).update(wrapped="1.AAAA")
    consumers.rotate_due()
    assert states(first) == {}
    assert states(other) == {"beffroi1": "active", "beffroi2": "next"}


def test_a_key_does_not_sign_because_dns_showed_the_one_before_under_its_selector(
    domain: Domain, system: Actor
) -> None:
    seen(system, domain, dkim__beffroi2="ok")
    actions.rotate_key(actor=system, domain=domain)
    with clock.shifted(actions.OVERLAP.total_seconds() + 60):
        seen(system, domain, dkim__beffroi1="ok", dkim__beffroi2="ok")
        consumers.rotate_due()
        assert states(domain) == {"beffroi1": "next", "beffroi2": "active"}
        with pytest.raises(Conflict):
            actions.rotate_key(actor=system, domain=domain)
        seen(system, domain, dkim__beffroi1="unknown", dkim__beffroi2="ok")
        with pytest.raises(Conflict):
            actions.rotate_key(actor=system, domain=domain)
        seen(system, domain, dkim__beffroi1="ok", dkim__beffroi2="ok")
        assert actions.rotate_key(actor=system, domain=domain).selector == "beffroi1"


def test_choices_are_checked_and_change_the_plan(domain: Domain, system: Actor) -> None:
    actions.choose(
        actor=system,
        domain=domain,
        dmarc="reject",
        sts="enforce",
        also_sends="include:spf.old.example",
        old_mx="",
    )
    texts = [one.data for one in queries.plan(domain)]
    assert any(one.startswith("v=DMARC1; p=reject;") for one in texts)
    assert "v=spf1 mx include:spf.old.example ~all" in texts
    assert "mode: enforce" in queries.sts_policy("beaune.test")
    assert queries.sts_policy("stranger.test") == ""
    for wrong in (
        {"dmarc": "all"},
        {"sts": "x"},
        {"also_sends": '"; drop'},
        {"also_sends": "+all"},
        {"old_mx": "not a host"},
        {"old_mx": settings.BEFFROI.mail_name},
    ):
        with pytest.raises(Invalid):
            actions.choose(actor=system, domain=domain, **{"dmarc": "none", "sts": "none", **wrong})


def test_nobody_of_a_commune_changes_a_domain_and_no_neighbour_sees_it(
    domain: Domain, beaune: Commune, nuits: Commune
) -> None:
    for actor in (beaune.referent, nuits.referent):
        for act in (actions.ensure_keys, actions.rotate_key, actions.free_retired):
            with pytest.raises(NotAllowed):
                act(actor=actor, domain=domain)
        with pytest.raises(NotAllowed):
            actions.choose(actor=actor, domain=domain, dmarc="none", sts="none")
    for actor in (nuits.referent, beaune.agent):
        with pytest.raises(NotAllowed):
            actions.declare(actor=actor, domain=domain, site="", address="")
    assert queries.access_domain(beaune.referent, domain.id) == domain
    with pytest.raises(NotFound):
        queries.access_domain(nuits.referent, domain.id)
    assert not queries.visible_checks(nuits.referent).exists()


def test_a_drop_raises_one_alarm_that_ends_when_it_is_well_again(domain: Domain, system: Actor) -> None:
    seen(system, domain, spf="ok", mx="ok", dane="warn")
    assert queries.alarms(system) == []
    with clock.shifted(DAY_S):
        assert seen(system, domain, spf="bad", mx="ok", dane="warn").lost == ["spf"]
    [event] = OutboxEvent.objects.filter(kind="mail:domain_lost")
    assert json.loads(event.payload)["lost"] == ["spf"]
    with clock.shifted(2 * DAY_S):
        assert seen(system, domain, spf="bad", mx="ok", dane="warn").lost == ["spf"]
        assert [one.domain_id for one in queries.alarms(system)] == [domain.id]
    assert OutboxEvent.objects.filter(kind="mail:domain_lost").count() == 1, "said once"
    with clock.shifted(3 * DAY_S):
        seen(system, domain, spf="ok", mx="ok", dane="warn")
        assert queries.alarms(system) == []


def test_an_unanswered_question_keeps_what_was_known(domain: Domain, system: Actor) -> None:
    seen(system, domain, spf="ok")
    with clock.shifted(DAY_S):
        row = seen(system, domain, spf="unknown")
    assert row.lost == []
    assert row.items["spf"][0] == "ok"


def test_a_check_under_a_clock_that_was_ahead_is_made_again_and_forgotten(
    domain: Domain, system: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clock.jumped(400 * DAY_S):
        seen(system, domain, mx="ok")

    def check(_actor: Actor, one: Domain) -> tuple[SimpleNamespace, DomainCheck]:
        return SimpleNamespace(silent=False), seen(system, one, mx="bad")

    monkeypatch.setattr(checking, "check_and_store", check)
    consumers.check_due()
    last = queries.last_check(domain.id)
    assert last is not None
    assert last.items["mx"][0] == "bad"
    assert last.checked_at <= clock.now()


def test_checks_and_public_keys_are_purged_after_their_time(domain: Domain, system: Actor) -> None:
    from beffroi.mail.domains import retention

    seen(system, domain, spf="ok")
    DkimKey.objects.filter(state="next").update(gone_at=clock.now())
    later = clock.now() + timedelta(days=1)
    assert retention.checks(later).count() == 1
    assert retention.gone_keys(later).count() == 1
    assert retention.checks(clock.now() - timedelta(days=1)).count() == 0
