"""Taking decisions back, and what several campaigns demand of one indicator."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import never_again
from beffroi.core.decisions.models import Decision
from beffroi.core.events import running
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.registry import consumers
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.watch import actions
from beffroi.watch.models import Campaign, CampaignIndicator
from beffroi_protocol.indicators import normalise
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.fixtures_trust import decide
from tests.fixtures_watch import (
    HOST,
    LANDING,
    LANDING6,
    URL,
    NameServer,
    Report,
    active,
    campaign,
    names,
    report,
)

__all__ = ["names", "report"]


def test_undo_ends_every_decision_and_the_same_campaign_does_not_block_again(
    report: Report, administrator: Actor
) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert actions.undo_campaign(actor=administrator, campaign=campaign()) == 4
    assert active() == set()
    report("col_c", "per_3")
    report("col_d", "per_4")
    assert active() == set()
    assert (campaign().state, campaign().sightings) == ("revoked", 4)
    assert AuditEntry.objects.filter(verb="campaign:undone").count() == 1


BRIDGE = ["url", "https://autre-leurre.com/x"]


def test_undone_campaign_is_not_revived_through_another(report: Report, administrator: Actor) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    actions.undo_campaign(actor=administrator, campaign=campaign())
    report("col_c", "per_3", indicators=[BRIDGE])
    report("col_d", "per_4", indicators=[["url", URL], BRIDGE])
    report("col_e", "per_5", indicators=[["url", URL], BRIDGE])
    assert active() == {("url", BRIDGE[1]), ("domain", "autre-leurre.com")}


@pytest.mark.parametrize("undone", [True, False])
def test_a_harmless_link_that_lures_carry_along_silences_nobody_and_stays_open(
    report: Report, administrator: Actor, undone: bool
) -> None:
    report("col_a", "per_1")
    if undone:
        report("col_b", "per_2")
        actions.undo_campaign(actor=administrator, campaign=campaign())
    else:
        actions.dismiss_campaign(actor=administrator, campaign=campaign())
    file = ["sha256", "a" * 64]
    for carried in (["url", URL], ["url", f"https://{HOST}/autre"]):
        report("col_c", "per_3", indicators=[carried, BRIDGE, file])
        report("col_d", "per_4", indicators=[carried, BRIDGE, file])
    lure = {("url", BRIDGE[1]), ("domain", "autre-leurre.com"), ("sha256", file[1])}
    assert active() == lure
    decided = Campaign.objects.get(state="decided")
    assert {(r["value"], r["code"]) for r in decided.refusals if r["kind"] in ("url", "domain")} == {
        (URL, "settled"),
        (f"https://{HOST}/autre", "settled"),
        (HOST, "settled"),
    }
    actions.confirm_campaign(actor=administrator, campaign=decided)
    assert active() == lure, "a person names by itself what a person took back"


def test_another_page_or_text_of_what_was_undone_is_none(report: Report, administrator: Actor) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    actions.undo_campaign(actor=administrator, campaign=campaign())
    for commune, person in (("col_c", "per_3"), ("col_d", "per_4")):
        report(
            commune, person, indicators=[["url", f"https://{HOST}/numero-2"], ["sketch", "0123456789abcdef"]]
        )
    assert active() == set()
    assert (campaign().state, campaign().sightings) == ("revoked", 4)


def test_what_was_settled_may_be_blocked_again_after_some_days(report: Report, administrator: Actor) -> None:
    report("col_a", "per_1")
    actions.dismiss_campaign(actor=administrator, campaign=campaign())
    with clock.shifted(15 * 86400):
        report("col_c", "per_3", indicators=[["url", URL], BRIDGE])
        report("col_d", "per_4", indicators=[["url", URL], BRIDGE])
        assert {("url", URL), ("url", BRIDGE[1])} <= active()


# -- two campaigns, one indicator --------------------------------------------------------------------------

OTHER_HOST = "amende-antai-regler.com"
OTHER_URL = f"https://{OTHER_HOST}/p"


def two_campaigns_on_one_address(report: Report, names: NameServer) -> tuple[Campaign, Campaign]:
    """Both lead to LANDING; the first decides about it."""
    names.zone[OTHER_HOST, "A"] = [LANDING]
    made = []
    for url in (URL, OTHER_URL):
        report("col_a", "per_1", indicators=[["url", url]])
        report("col_b", "per_2", indicators=[["url", url]])
        made.append(Campaign.objects.order_by("-first_seen")[0])
    return made[0], made[1]


def test_second_campaign_extends_the_decision_that_both_demand_and_never_shortens_it(
    report: Report, names: NameServer
) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    before = Decision.objects.get(value=LANDING).expires_at
    names.zone[OTHER_HOST, "A"] = [LANDING]
    with clock.shifted(3600):
        report("col_c", "per_3", indicators=[["url", OTHER_URL]])
        report("col_d", "per_4", indicators=[["url", OTHER_URL]])
    decision = Decision.objects.get(value=LANDING)
    assert before is not None and decision.expires_at is not None
    assert 3590 < (decision.expires_at - before).total_seconds() < 3700
    first, second = Campaign.objects.order_by("first_seen")
    assert decision.campaign_id == first.id
    assert second.state == "decided"
    told = OutboxEvent.objects.filter(kind="decision:extended")
    assert [LANDING in row.payload for row in told] == [True]
    report("col_e", "per_5", indicators=[["url", OTHER_URL]])
    assert Decision.objects.get(value=LANDING).expires_at == decision.expires_at


def test_sighting_extends_what_it_names_and_nothing_else_of_its_campaign(report: Report) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    ends = dict(Decision.objects.values_list("value", "expires_at"))
    with clock.shifted(2 * 86400):
        report("col_c", "per_3", indicators=[["domain", HOST], ["url", f"https://{HOST}/autre"]])
    later = {d.value for d in Decision.objects.filter(state="active") if d.expires_at != ends.get(d.value)}
    assert HOST in later
    assert URL not in later


def test_undo_of_one_campaign_leaves_in_force_what_another_still_demands(
    report: Report, names: NameServer, administrator: Actor
) -> None:
    first, second = two_campaigns_on_one_address(report, names)
    assert Decision.objects.get(value=LANDING).campaign_id == first.id
    assert actions.undo_campaign(actor=administrator, campaign=first) == 4
    assert active() == {("url", OTHER_URL), ("domain", OTHER_HOST), ("ip", LANDING)}
    assert Decision.objects.get(value=LANDING, state="active").campaign_id == second.id
    kinds = list(
        OutboxEvent.objects.filter(payload__contains=f'"{LANDING}"', kind__startswith="decision:")
        .order_by("id")
        .values_list("kind", flat=True)
    )
    # Both in one transaction, so in one signed batch: no door opens in between.
    assert kinds == ["decision:activated", "decision:ended", "decision:activated"]
    actions.undo_campaign(actor=administrator, campaign=second)
    assert active() == set()


def test_demand_that_was_made_long_ago_is_over_and_does_not_outlive_the_undo(
    report: Report, names: NameServer, administrator: Actor
) -> None:
    first, _ = two_campaigns_on_one_address(report, names)
    with clock.shifted(5 * 3600):
        report("col_c", "per_3")  # the first campaign's address is decided anew, the second's demand is past
        actions.undo_campaign(actor=administrator, campaign=first)
        assert ("ip", LANDING) not in active()
        assert ("domain", OTHER_HOST) in active()


def test_decision_taken_back_singly_is_not_made_again_by_the_next_report(
    report: Report, administrator: Actor
) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    decisions.revoke(actor=administrator, decision=Decision.objects.get(value=LANDING), reason="shared")
    report("col_c", "per_3")
    assert ("ip", LANDING) not in active()
    actions.confirm_campaign(actor=administrator, campaign=campaign())
    assert ("ip", LANDING) in active()


def test_decision_taken_back_singly_is_not_made_again_by_another_campaign(
    report: Report, names: NameServer, administrator: Actor
) -> None:
    _first, second = two_campaigns_on_one_address(report, names)
    decisions.revoke(actor=administrator, decision=Decision.objects.get(value=LANDING), reason="undone")
    report("col_e", "per_5", indicators=[["url", OTHER_URL]])
    assert ("ip", LANDING) not in active()
    names.zone["troisieme-leurre.com", "A"] = [LANDING]
    for number in (6, 7):
        report(f"col_{number}", f"per_{number}", indicators=[["url", "https://troisieme-leurre.com/z"]])
    assert ("domain", "troisieme-leurre.com") in active()
    assert ("ip", LANDING) not in active()
    actions.confirm_campaign(actor=administrator, campaign=second)
    assert ("ip", LANDING) in active()


def test_what_a_later_campaign_shows_of_the_thing_itself_is_heard(
    report: Report, administrator: Actor
) -> None:
    address = "facturation@fournisseur-inconnu.example"
    sender = [["sender", address]]
    authentic = {"dmarc": "pass", "proved_senders": [address], "link_mismatch": "true"}
    authentic |= {"known_before": [address]}  # a new one joins the campaign that was there
    for number in (1, 2):
        first = [*sender, ["url", URL]]
        report(f"col_{number}", f"per_{number}", indicators=first, evidence=authentic)
    decisions.revoke(actor=administrator, decision=Decision.objects.get(kind="sender"), reason="undone")
    for number in (3, 4):
        later = [*sender, ["url", OTHER_URL]]
        report(f"col_{number}", f"per_{number}", indicators=later, evidence=authentic)
    assert Decision.objects.filter(kind="sender", state="active").count() == 1


def _by_hand(actor: Actor, decision: Decision) -> None:
    decisions.revoke(actor=actor, decision=decision, reason="undone")


def _never_again(actor: Actor, decision: Decision) -> None:
    never_again.never_again(actor=actor, indicator=decision.indicator, reason="notre fournisseur")


@pytest.mark.parametrize("take_back", [_by_hand, _never_again])
def test_the_addresses_of_a_name_that_was_taken_back_are_open_again(
    report: Report, administrator: Actor, take_back: Callable[[Actor, Decision], None]
) -> None:
    """Who is told that a site passes again must reach it."""
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert {("domain", HOST), ("ip", LANDING), ("ip", LANDING6)} <= active()
    take_back(administrator, Decision.objects.get(kind="domain"))
    run_pending("main")
    assert {kind for kind, _ in active()} == {"url"}
    report("col_c", "per_3")
    assert {kind for kind, _ in active()} == {"url"}


def test_an_address_to_which_another_lure_leads_stays_when_one_name_is_taken_back(
    report: Report, names: NameServer, administrator: Actor
) -> None:
    two_campaigns_on_one_address(report, names)
    decisions.revoke(actor=administrator, decision=Decision.objects.get(value=HOST), reason="undone")
    run_pending("main")
    assert ("ip", LANDING) in active()
    assert ("ip", LANDING6) not in active()


def test_of_what_ends_by_its_time_nothing_is_asked_one_by_one(administrator: Actor) -> None:
    for number in range(30):
        one = decide(administrator, normalise("domain", f"site-{number}.example.net"), ttl_s=60)
    run_pending("main")
    with clock.shifted(61):
        run_pending("main")
        while decisions.expire_due():
            pass
        with CaptureQueriesContext(connection) as asked:
            running._guarded(consumers()["watch.addresses_of_names"], threading.Event())
    one.refresh_from_db()
    assert one.state == "expired"
    assert len(asked) < 10


@pytest.mark.usefixtures("database")
def test_where_names_lead_is_found_by_their_name() -> None:
    """Without an index each name that was taken back read every indicator of every campaign."""
    several = Campaign.objects.create(state="open")
    CampaignIndicator.objects.bulk_create(
        CampaignIndicator(
            campaign=several, kind="ip", value=f"2001:db8::{n:x}", resolved_from=f"n{n}.example.net"
        )
        for n in range(2000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE watch_campaign_indicator")
    with CaptureQueriesContext(connection) as asked:
        assert actions.end_addresses_of({HOST}) == 0
    (query,) = [one["sql"] for one in asked.captured_queries if "resolved_from" in one["sql"]]
    is_file = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        if not is_file:  # it reads a table of one page whole, unless it may not
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if is_file else ''}{query}")
        assert any("watch_indicator_led_from" in str(row) for row in cursor.fetchall())
