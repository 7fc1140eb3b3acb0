"""From sightings to decisions, on the database and with a real name server on the loopback."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions.models import Decision
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotAllowed, NotFound
from beffroi.watch import actions, queries
from beffroi.watch.models import Campaign, Sighting

from tests.conftest import Commune
from tests.fixtures_watch import (
    CLOUDFLARE,
    FAIL,
    HOST,
    LANDING,
    LANDING6,
    PASS,
    URL,
    NameServer,
    Report,
    active,
    campaign,
    list_page,
    names,
    report,
)

__all__ = ["list_page", "names", "report"]


def test_first_report_decides_nothing(report: Report) -> None:
    report("col_a", "per_1")
    assert active() == set()
    assert (campaign().state, campaign().communes, campaign().persons) == ("open", 1, 1)


def test_what_machines_saw_is_counted_as_nobodys_report(report: Report) -> None:
    report("col_a", "", door="packet")
    report("col_b", "", door="packet")
    assert (campaign().sightings, campaign().communes, campaign().persons) == (2, 2, 0)
    report("", "", door="login", indicators=[["ip", "45.155.204.9"]])
    of_the_centre = Campaign.objects.get(sightings=1)
    assert (of_the_centre.communes, of_the_centre.persons) == (0, 0)


def test_second_commune_with_evidence_blocks_link_name_and_landing_addresses(report: Report) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert active() == {("url", URL), ("domain", HOST), ("ip", LANDING), ("ip", LANDING6)}
    assert campaign().state == "decided"
    assert {d.campaign_id for d in Decision.objects.all()} == {campaign().id}


def test_decisions_tell_counts_and_no_reporter(report: Report) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    evidence = Decision.objects.get(kind="domain").evidence
    assert evidence == {"communes": 2, "persons": 2, "sightings": 2, "detectors": ["dmarc_fail", "spf_fail"]}
    told = OutboxEvent.objects.exclude(kind="sighting:reported").values_list("payload", flat=True)
    assert not any("per_1" in text or "per_2" in text or "col_a" in text for text in told)
    assert not AuditEntry.objects.filter(details__contains="per_").exists()


@pytest.mark.parametrize(
    ("first", "second", "evidence"),
    [
        (("col_a", "per_1"), ("col_a", "per_2"), FAIL),
        (("col_a", "per_1"), ("col_b", "per_1"), FAIL),
        (("col_a", "per_1"), ("col_b", "per_2"), {"spf": "pass", "dmarc": "pass"}),
    ],
    ids=["one commune", "one person of two communes", "no machine evidence"],
)
def test_reports_that_are_not_independent_or_not_supported_wait(
    report: Report, first: tuple[str, str], second: tuple[str, str], evidence: dict[str, object]
) -> None:
    report(*first, evidence=evidence)
    report(*second, evidence=evidence)
    assert active() == set()
    assert campaign().state == "open"


def test_campaign_is_one_despite_other_wording_and_links(report: Report) -> None:
    report("col_a", "per_1", indicators=[["url", URL]])
    report("col_b", "per_2", indicators=[["url", f"https://{HOST}/payer?c=2"]])
    assert campaign().sightings == 2
    assert active() == {("domain", HOST), ("ip", LANDING), ("ip", LANDING6)}


def test_campaigns_without_anything_in_common_stay_apart(report: Report) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2", indicators=[["url", "https://autre-leurre.com/x"], ["ip", LANDING]])
    assert Campaign.objects.count() == 2
    assert active() == set()


def test_sighting_that_connects_two_open_campaigns_makes_them_one(report: Report) -> None:
    other = "https://autre-leurre.com/x"
    report("col_a", "per_1")
    report("col_b", "per_2", indicators=[["url", other]])
    report("col_c", "per_3", indicators=[["url", URL], ["url", other]])
    assert Campaign.objects.filter(sightings__gt=0).count() == 1
    assert ("url", other) in active()
    assert ("url", URL) in active()


def test_repeated_delivery_of_a_sighting_counts_once(report: Report) -> None:
    report("col_a", "per_1", sighting_id="sig_same")
    report("col_b", "per_2", sighting_id="sig_same")
    assert Sighting.objects.count() == 1
    assert active() == set()


@pytest.mark.parametrize(
    "url",
    ["https://www.impots.gouv.fr/accueil", "https://sites.google.com/", "https://www.credit-agricole.fr/"],
)
def test_false_report_of_a_protected_name_is_refused_whoever_confirms(
    report: Report, administrator: Actor, url: str
) -> None:
    host = url.split("/")[2]
    report("col_a", "per_1", indicators=[["url", url], ["domain", host]])
    report("col_b", "per_2", indicators=[["url", url], ["domain", host]])
    for one in Campaign.objects.all():
        actions.confirm_campaign(actor=administrator, campaign=one)
    assert ("domain", host) not in active()
    refused = {(r["kind"], r["code"]) for one in Campaign.objects.all() for r in one.refusals}
    assert ("domain", "protected") in refused


def test_centre_and_members_are_protected(report: Report, beaune: object, administrator: Actor) -> None:
    report("col_a", "per_1", indicators=[["url", "https://mairie.beaune.test/x"], ["domain", "beaune.test"]])
    report("col_b", "per_2", indicators=[["url", "https://mairie.beaune.test/x"], ["domain", "beaune.test"]])
    for one in Campaign.objects.all():
        actions.confirm_campaign(actor=administrator, campaign=one)
    assert not {value for kind, value in active() if kind == "domain"}


def test_shared_landing_address_is_not_blocked(report: Report, names: NameServer) -> None:
    names.zone[HOST, "A"] = [CLOUDFLARE, "127.0.0.1", LANDING]
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert {value for kind, value in active() if kind == "ip"} == {LANDING, LANDING6}


def test_name_server_that_does_not_answer_costs_the_addresses_only(report: Report, names: NameServer) -> None:
    names.silent = True
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert active() == {("url", URL), ("domain", HOST)}


def test_protected_names_are_not_even_resolved(report: Report, names: NameServer) -> None:
    report("col_a", "per_1", indicators=[["url", "https://www.impots.gouv.fr/"]])
    assert names.asked == []


def test_forged_sender_is_not_blocked_and_an_authenticated_one_is_set_aside(report: Report) -> None:
    sender = ["sender", "mairie@victime-forgee.com"]
    domain = ["domain", "victime-forgee.com"]
    report("col_a", "per_1", indicators=[["url", URL], sender, domain])
    report("col_b", "per_2", indicators=[["url", URL], sender, domain])
    assert not {k for k, v in active() if "victime" in v}
    # A pass may be that of the attacker's own envelope, or signature.
    passes = {"spf": "pass", "dkim": "pass", "link_mismatch": "true", "proved_senders": ["x@eve.example"]}
    report("col_a", "per_1", indicators=[["url", URL], sender, domain], evidence=passes)
    report("col_b", "per_2", indicators=[["url", URL], sender, domain], evidence=passes)
    assert not {k for k, v in active() if "victime" in v}
    real = ["sender", "alerte@colis-suivi-bourgogne.com"]
    proved = PASS | {"proved_senders": [real[1]]}
    report("col_a", "per_1", indicators=[["url", URL], real], evidence=proved)
    report("col_b", "per_2", indicators=[["url", URL], real], evidence=proved)
    assert Decision.objects.get(kind="sender").action == "quarantine"


def test_a_link_that_names_its_reader_is_told_to_nobody_and_its_site_is_blocked(
    report: Report, administrator: Actor, beaune: Commune
) -> None:
    whole = "https://colis-suivi-bourgogne.com"
    named = [
        f"{whole}/x?e=claire.martin@{beaune.domain}",
        f"{whole}/x/claire.martin%40{beaune.domain}",
        f"{whole}/x?e=" + b64encode(f"claire.martin@{beaune.domain}".encode()).decode(),
        f"{whole}/ab/" + b64encode(f"claire.martin@{beaune.domain}".encode()).decode().rstrip("="),
    ]
    same = f"{whole}/y?e=info@{beaune.domain}"  # in the mail of two communes: it was made for nobody
    report(beaune.id, "per_1", indicators=[["url", one] for one in (*named, same)], evidence=FAIL)
    report("col_b", "per_2", indicators=[["url", same]], evidence=FAIL)
    actions.confirm_campaign(actor=administrator, campaign=campaign())
    assert {("domain", "colis-suivi-bourgogne.com"), ("url", same)} <= active()
    assert not [value for _, value in active() if "claire" in value or "Y2xhaXJl" in value]
    assert {r["code"] for r in campaign().refusals if r["kind"] == "url"} == {"names_one"}


def test_what_a_lure_copied_from_whom_it_imitates_is_not_blocked_and_joins_nothing(
    report: Report, administrator: Actor
) -> None:
    logo, notice = ["sha256", "a" * 64], ["url", "https://www.youtube.com/watch?v=1"]
    told = {**FAIL, "known_before": [logo[1], notice[1]]}
    for commune, person in (("col_a", "per_1"), ("col_b", "per_2")):
        report(commune, person, indicators=[["url", URL], logo, notice], evidence=told)
    assert ("url", URL) in active()
    assert not active() & {tuple(logo), tuple(notice)}
    assert {(r["value"], r["code"]) for r in campaign().refusals if r["kind"] != "domain"} == {
        (logo[1], "known_before"),
        (notice[1], "known_before"),
    }
    actions.confirm_campaign(actor=administrator, campaign=campaign())
    assert not active() & {tuple(logo), tuple(notice)}
    report("col_c", "per_3", indicators=[logo, notice], evidence=told)  # the real one, reported by mistake
    assert Campaign.objects.count() == 2


def test_the_site_of_whom_a_lure_imitates_is_observed_first(report: Report, names: NameServer) -> None:
    """Every lure links to the real site, too: to its legal notice, its home page."""
    site, page = "www.fournisseur-des-mairies.com", "https://www.fournisseur-des-mairies.com/mentions"
    names.zone[site, "A"] = ["185.203.116.77"]
    told = {**FAIL, "known_before": [page, site]}
    for commune, person in (("col_a", "per_1"), ("col_b", "per_2")):
        report(commune, person, indicators=[["url", URL], ["url", page]], evidence=told)
    assert active() == {("url", URL), ("domain", HOST), ("ip", LANDING), ("ip", LANDING6)}
    of_the_site = Decision.objects.get(value=site)
    assert (of_the_site.state, of_the_site.rule) == ("observed", "known_name")


def test_a_page_on_a_site_that_was_taken_over_is_blocked_at_once_and_the_site_observed(
    report: Report, administrator: Actor
) -> None:
    told = {**FAIL, "known_before": [HOST]}
    report("col_a", "per_1", evidence=told)
    report("col_b", "per_2", evidence=told)
    assert active() == {("url", URL)}
    actions.confirm_campaign(actor=administrator, campaign=campaign())
    assert {("url", URL), ("domain", HOST), ("ip", LANDING)} <= active()


def test_a_file_that_was_new_when_it_was_first_reported_stays_so_for_its_campaign(report: Report) -> None:
    file = ["sha256", "a" * 64]
    report("col_a", "per_1", indicators=[["url", URL], file])
    report("col_b", "per_2", indicators=[["url", URL], file], evidence={**FAIL, "known_before": [file[1]]})
    assert tuple(file) in active()


def test_evidence_of_a_box_is_no_machine_evidence(report: Report) -> None:
    claims = {"rspamd_symbols": ["PHISHING"], "dmarc": "fail"}
    report("col_a", "per_1", evidence=claims, door="box")
    report("col_b", "per_2", evidence=claims, door="box")
    assert active() == set()


def test_listed_page_is_blocked_at_the_first_sighting(
    report: Report, list_page: Callable[[str], None]
) -> None:
    list_page(URL)
    report("col_a", "per_1", evidence={})
    assert active() == {("url", URL)}
    assert Decision.objects.get(state="active").rule == "one_proof"


def test_word_of_the_departement_blocks_at_once(report: Report, administrator: Actor) -> None:
    report("col_a", "per_1", evidence={})
    assert actions.confirm_campaign(actor=administrator, campaign=campaign()) == 4
    assert active() == {("url", URL), ("domain", HOST), ("ip", LANDING), ("ip", LANDING6)}
    assert {d.rule for d in Decision.objects.all()} == {"departement", "landing_address"}
    assert AuditEntry.objects.filter(verb="campaign:confirmed", actor_id=administrator.id).count() == 1


def test_word_of_the_departement_does_not_cover_what_joins_later(
    report: Report, administrator: Actor
) -> None:
    report("col_a", "per_1")
    actions.confirm_campaign(actor=administrator, campaign=campaign())
    before = active()
    report("col_c", "per_9", indicators=[["url", URL], ["url", "https://boulangerie-honnete.com/"]])
    assert campaign().sightings == 2
    assert active() == before


def test_later_sightings_of_a_decided_campaign_add_indicators(report: Report) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    new = ["url", "https://autre-leurre.com/x"]
    report("col_c", "per_3", indicators=[["url", URL], new])
    assert ("domain", "autre-leurre.com") not in active()
    report("col_d", "per_4", indicators=[new])
    assert ("domain", "autre-leurre.com") in active()
    assert {d.campaign_id for d in Decision.objects.all()} == {campaign().id}


def test_dismissed_campaign_decides_nothing_more(report: Report, administrator: Actor) -> None:
    report("col_a", "per_1")
    actions.dismiss_campaign(actor=administrator, campaign=campaign())
    report("col_b", "per_2")
    assert active() == set()
    with pytest.raises(Conflict):
        actions.confirm_campaign(actor=administrator, campaign=campaign())


def test_sighting_after_two_weeks_opens_a_campaign_of_its_own(report: Report) -> None:
    report("col_a", "per_1")
    with clock.shifted(15 * 86400):
        report("col_b", "per_2")
    assert Campaign.objects.count() == 2


def test_only_the_departement_sees_and_decides_campaigns(
    report: Report, administrator: Actor, beaune: object
) -> None:
    agent: Actor = beaune.agent  # type: ignore[attr-defined]
    report(beaune.id, agent.id)  # type: ignore[attr-defined]
    found = queries.access_campaign(administrator, campaign().id)
    assert [c.id for c in queries.campaigns(administrator)] == [found.id]
    assert queries.open_count(administrator) == 1
    for actor in (agent, Actor("box", "box_x", beaune.id)):  # type: ignore[attr-defined]
        with pytest.raises(NotFound):
            queries.access_campaign(actor, found.id)
        with pytest.raises(NotFound):
            queries.indicators(actor, found)
        assert queries.campaigns(actor) == []
        assert queries.open_count(actor) == 0
        for act in (actions.confirm_campaign, actions.dismiss_campaign, actions.undo_campaign):
            with pytest.raises(NotAllowed):
                act(actor=actor, campaign=found)


@pytest.mark.parametrize(
    "indicators",
    [
        [],
        [["url", "javascript:alert(1)"], ["domain", "-"], ["nothing", "x"], []],
        [["url", "https://[::1]/x"], ["ip", "::1"], ["ip", "127.0.0.1"]],
        [["domain", "a" * 3000]],
        [["url", "https://" + "é" * 70 + ".com/"]],
    ],
    ids=["none", "malformed", "loopback", "long", "long label"],
)
def test_hostile_indicators_are_dropped_and_nothing_is_lost(
    report: Report, indicators: list[list[str]], administrator: Actor
) -> None:
    report("col_a", "per_1", indicators=indicators)
    report("col_b", "per_2", indicators=indicators)
    assert Sighting.objects.count() == 2
    assert active() == set()
    for one in Campaign.objects.all():
        actions.confirm_campaign(actor=administrator, campaign=one)
    assert active() == set()


# -- the host that handed the mail in ----------------------------------------------------------------------

CLIENT = ["ip", "91.240.118.66", "client"]


@pytest.mark.parametrize(
    ("reports", "address", "blocked"),
    [
        ([("col_a", "per_1"), ("col_b", "per_2")], CLIENT[1], True),
        ([("col_a", "per_1")], CLIENT[1], False),
        ([("col_a", "per_1"), ("col_a", "per_2")], CLIENT[1], False),
        ([("col_a", "per_1"), ("col_b", "per_2")], CLOUDFLARE, False),
    ],
    ids=["two communes", "one press", "one commune", "a protected network"],
)
def test_sending_host_needs_what_every_address_needs(
    report: Report, reports: list[tuple[str, str]], address: str, blocked: bool
) -> None:
    for who in reports:
        report(*who, indicators=[["ip", address, "client"], ["url", URL]])
    assert (("ip", address) in active()) is blocked


def test_sending_host_of_the_first_mail_is_not_blocked_when_the_second_came_from_elsewhere(
    report: Report,
) -> None:
    report("col_a", "per_1", indicators=[CLIENT, ["url", URL]])
    report("col_b", "per_2", indicators=[["ip", "91.240.118.67", "client"], ["url", URL]])
    assert {value for kind, value in active() if kind == "ip"} == {LANDING, LANDING6}
