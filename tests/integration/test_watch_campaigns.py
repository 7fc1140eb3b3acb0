"""From sightings to decisions and back, on the database and with a real name server on the loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import dns.message
import dns.rrset
import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, NotAllowed, NotFound
from beffroi.lib.ids import new_id
from beffroi.watch import actions, queries
from beffroi.watch.models import Campaign, Sighting
from django.db import transaction
from pytest_django.fixtures import Settings

HOST = "colis-suivi-bourgogne.com"
URL = f"https://{HOST}/payer?c=1"
LANDING = "185.203.116.9"
LANDING6 = "2a0b:f4c0::99"
CLOUDFLARE = "104.16.1.1"
FAIL = {"spf": "fail", "dkim": "none", "dmarc": "fail"}
PASS = {"spf": "pass", "dkim": "pass", "dmarc": "pass", "link_mismatch": "true"}


class NameServer:
    """Answers from a table; ``silent``: never answers."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.asked: list[str] = []
        self.silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                data, peer = self._socket.recvfrom(4096)
            except OSError:
                return
            query = dns.message.from_wire(data)
            question = query.question[0]
            name, kind = str(question.name).rstrip("."), question.rdtype.name  # type: ignore[attr-defined]
            self.asked.append(name)
            if self.silent:
                continue
            answer = dns.message.make_response(query)
            if (name, kind) in self.zone:
                answer.answer.append(
                    dns.rrset.from_text(question.name, 60, "IN", kind, *self.zone[name, kind])
                )
            self._socket.sendto(answer.to_wire(), peer)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def names(database: str, config: Config, settings: Settings) -> Iterator[NameServer]:
    server = NameServer()
    server.zone[HOST, "A"] = [LANDING]
    server.zone[HOST, "AAAA"] = [LANDING6]
    settings.BEFFROI = replace(config, resolver_port=server.port)
    yield server
    server.close()


Report = Callable[..., str]


@pytest.fixture
def report(names: NameServer) -> Report:
    """``report("col_a", "per_1")``: someone presses the button, and the worker takes it in."""

    def press(
        collectivite_id: str,
        person_id: str,
        *,
        indicators: list[list[str]] | None = None,
        evidence: dict[str, object] | None = None,
        door: str = "mail",
        sighting_id: str = "",
    ) -> str:
        made = sighting_id or new_id("sig")
        with transaction.atomic():
            outbox.publish(
                "sighting:reported",
                {
                    "sighting_id": made,
                    "detector": "user_report",
                    "door": door,
                    "collectivite_id": collectivite_id,
                    "person_id": person_id,
                    "seen_at": clock.epoch_s(),
                    "indicators": [["url", URL]] if indicators is None else indicators,
                    "evidence": FAIL if evidence is None else evidence,
                    "message": new_id("msg"),
                },
                collectivite_id=collectivite_id,
            )
        run_pending("main")
        return made

    return press


def active() -> set[tuple[str, str]]:
    return set(Decision.objects.filter(state="active").values_list("kind", "value"))


def campaign() -> Campaign:
    return Campaign.objects.get()


def test_first_report_decides_nothing(report: Report) -> None:
    report("col_a", "per_1")
    assert active() == set()
    assert (campaign().state, campaign().communes, campaign().persons) == ("open", 1, 1)


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
    real = ["sender", "alerte@colis-suivi-bourgogne.com"]
    report("col_a", "per_1", indicators=[["url", URL], real], evidence=PASS)
    report("col_b", "per_2", indicators=[["url", URL], real], evidence=PASS)
    assert Decision.objects.get(kind="sender").action == "quarantine"


def test_evidence_of_a_box_is_no_machine_evidence(report: Report) -> None:
    claims = {"symbols": ["PHISHED_OPENPHISH", "CLAM_VIRUS"], "dmarc": "fail"}
    report("col_a", "per_1", evidence=claims, door="box")
    report("col_b", "per_2", evidence=claims, door="box")
    assert active() == set()


def test_listed_page_is_blocked_at_the_first_sighting(report: Report) -> None:
    report("col_a", "per_1", evidence={"symbols": ["PHISHED_OPENPHISH"]})
    assert active() == {("url", URL)}
    assert Decision.objects.get().rule == "one_proof"


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


def test_undone_campaign_is_not_revived_through_another(report: Report, administrator: Actor) -> None:
    report("col_a", "per_1")
    report("col_b", "per_2")
    actions.undo_campaign(actor=administrator, campaign=campaign())
    bridge = ["url", "https://autre-leurre.com/x"]
    report("col_c", "per_3", indicators=[bridge])
    report("col_d", "per_4", indicators=[["url", URL], bridge])
    report("col_e", "per_5", indicators=[["url", URL], bridge])
    assert active() == set()


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
