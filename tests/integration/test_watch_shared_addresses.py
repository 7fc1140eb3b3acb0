"""Addresses that serve several names on the database: blocked by name only, unless a person says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from beffroi.core.decisions import lists, shared, warning_lists
from beffroi.core.decisions.models import Decision, IndicatorList, SharedAddress
from beffroi.core.identity import sign_ins
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, SignIn
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.mail.models import MailMessage, MailObservation
from beffroi.watch import actions, queries, shared_addresses
from beffroi.watch.models import Campaign, CampaignIndicator
from beffroi_protocol.protected_lists import PUBLIC_SERVICES

from tests.conftest import Commune
from tests.fixtures_traps import SCANNER, trap
from tests.fixtures_watch import (
    FAIL,
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


def test_an_address_that_serves_a_member_too_is_blocked_by_name_only(
    report: Report, names: NameServer, make_commune: Callable[..., Commune]
) -> None:
    make_commune("Beaune", "beaune.test")
    names.zone["www.beaune.test", "A"] = [LANDING]
    assert (shared_addresses.refresh(), names.asked) == (0, [])  # nobody's site
    make_commune("Saulieu", "mairie-saulieu.fr")
    names.zone["www.mairie-saulieu.fr", "A"] = [LANDING]
    assert shared_addresses.refresh() == 1
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert ("domain", HOST) in active()
    assert ("ip", LANDING) not in active()
    assert ("ip", LANDING6) in active()
    refused = {(r["value"], r["code"]) for r in campaign().refusals}
    assert (LANDING, "address_shared") in refused
    with clock.shifted(8 * 86400):
        names.zone.clear()
        assert shared_addresses.refresh() == 0
    assert not SharedAddress.objects.exists()


@pytest.mark.usefixtures("names")
def test_an_address_that_serves_a_member_is_not_blocked_for_what_it_does_either() -> None:
    shared.note("www.mairie-saulieu.fr", [SCANNER])
    trap("col_a")
    trap("col_b")
    assert active() == set()
    assert {(r["value"], r["code"]) for r in campaign().refusals} == {(SCANNER, "address_shared")}


@pytest.mark.usefixtures("names")
def test_a_clock_that_jumps_forward_makes_no_address_forgotten() -> None:
    shared.note("www.mairie-saulieu.fr", [SCANNER])
    with clock.jumped(40 * 86400):
        shared_addresses.refresh()
        trap("col_a")
        trap("col_b")
        assert active() == set()
    assert SharedAddress.objects.count() == 1


@pytest.mark.usefixtures("names")
def test_a_block_ends_when_the_address_turns_out_to_serve_a_member() -> None:
    trap("col_a")
    trap("col_b")
    assert active() == {("ip", SCANNER)}
    shared.note("www.mairie-saulieu.fr", [SCANNER])
    assert active() == set()
    assert Decision.objects.get().end_reason == "address_shared"
    trap("col_c")
    assert active() == set()


@pytest.mark.usefixtures("names")
def test_a_person_is_told_whom_an_address_serves_and_may_block_it(administrator: Actor) -> None:
    shared.note("www.mairie-saulieu.fr", [SCANNER])
    trap("col_a")
    assert queries.shared_of(campaign()) == {SCANNER: "www.mairie-saulieu.fr"}
    actions.confirm_campaign(actor=administrator, campaign=campaign())
    assert active() == set()
    actions.confirm_campaign(actor=administrator, campaign=campaign(), also_shared=True)
    assert active() == {("ip", SCANNER)}
    shared.note("mairie-saulieu.fr", [SCANNER])
    assert active() == {("ip", SCANNER)}


@pytest.mark.usefixtures("database")
def test_lists_hold_no_address_that_serves_a_member(system: Actor) -> None:
    shared.note("www.mairie-saulieu.fr", [SCANNER])
    made = lists.publish_list(
        actor=system, name="t", kind="ip", values=[SCANNER, "185.203.116.7"], source="x", licence="x"
    )
    assert (made.kept, made.protected) == (1, 1)
    with pytest.raises(lists.ListEmpty):
        lists.publish_list(
            actor=system, name="r", kind="cidr", values=["185.203.116.0/24"], source="x", licence="x"
        )
    assert IndicatorList.objects.count() == 1


def test_mail_servers_of_members_and_of_protected_names_are_known(
    names: NameServer, make_commune: Callable[..., Commune]
) -> None:
    make_commune("Saulieu", "mairie-saulieu.fr")
    names.zone["mairie-saulieu.fr", "MX"] = ["5 mx1.hoster.example.net."]
    names.zone["mx1.hoster.example.net", "A"] = [LANDING]
    assert shared_addresses.refresh() == 1
    assert shared.served([LANDING]) == {LANDING: "mx1.hoster.example.net"}
    assert {"ac-dijon.fr"} <= set(PUBLIC_SERVICES)
    for name in PUBLIC_SERVICES:
        names.zone[name, "MX"] = ["10 mail.example.net."]
    names.zone["mail.example.net", "AAAA"] = [LANDING6]
    assert shared_addresses.refresh() == 2


def test_a_lure_on_a_shared_host_is_blocked_by_name_only(report: Report, names: NameServer) -> None:
    hosted = sorted(warning_lists._hosting())[0]
    names.zone[HOST, "A"] = [hosted]
    for number, host in enumerate(("bar.example.com", "boulangerie.example.net")):
        names.zone[host, "A"] = []
        names.zone[host, "AAAA"] = [LANDING6]
        report("col_z", f"per_{number}", indicators=[["url", f"https://{host}/x"]])
    report("col_a", "per_1", indicators=[["url", f"https://{HOST}/payer?c=1"]])
    report("col_b", "per_2", indicators=[["url", f"https://{HOST}/payer?c=1"]])
    assert ("domain", HOST) in active()
    assert {kind for kind, _ in active()} == {"domain", "url"}
    own = CampaignIndicator.objects.get(kind="domain", value=HOST).campaign
    refused = {(r["value"], r["code"]) for r in own.refusals}
    assert refused == {(hosted, "address_crowded"), (LANDING6, "address_crowded")}


def mail_came(address: str, sender: str, *, days: int) -> None:
    """A mail that this host handed in, as mailgate keeps it."""
    at = clock.now() - timedelta(days=days)
    message = MailMessage.objects.create(
        id=new_id("msg"), received_at=at, message_id="", sender=sender, client_ip=address, verdict="{}"
    )
    MailObservation.objects.create(message_id=message.id, kind="ip", value=address, role="client")


def signed_in(commune: Commune, address: str, *, days: int) -> None:
    sign_ins.record(Membership.objects.get(person_id=commune.agent.id), address)
    SignIn.objects.filter(address=address).update(day=(clock.now() - timedelta(days=days)).date())


def lure(report: Report) -> set[tuple[str, str]]:
    """Two honest people of two communes report it; return the addresses that are blocked with it."""
    report("col_a", "per_1")
    report("col_b", "per_2")
    assert ("domain", HOST) in active()
    return {one for one in active() if one[0] == "ip"}


def test_who_owns_a_lure_s_name_cannot_point_it_at_a_provider_s_mail_servers(
    report: Report, names: NameServer
) -> None:
    names.zone[HOST, "A"] = ["80.12.242.9", "80.12.242.10", "185.203.116.9"]
    mail_came("80.12.242.9", "a@orange.example", days=8)
    for sender in ("b@b.example.net", "c@c.example.org", "d@d.example.com"):
        mail_came("80.12.242.10", sender, days=1)
    mail_came("185.203.116.9", f"colis@{HOST}", days=1)  # the lure itself
    assert lure(report) == {("ip", "185.203.116.9"), ("ip", LANDING6)}


def test_who_owns_a_lure_s_name_cannot_point_it_at_a_town_hall(
    report: Report, names: NameServer, beaune: Commune
) -> None:
    names.zone[HOST, "A"] = ["92.184.100.7", "185.203.116.9"]
    signed_in(beaune, "92.184.100.7", days=7)
    signed_in(beaune, "185.203.116.9", days=0)  # by the lure, with a password that it was told
    assert lure(report) == {("ip", "185.203.116.9"), ("ip", LANDING6)}


def test_a_link_to_an_address_blocks_nobody_who_lives_there(report: Report, beaune: Commune) -> None:
    """The author of a mail writes the address of a town hall, or of a provider's mail server, beside the lure's."""
    town_hall, provider, trap = "92.184.100.7", "80.12.242.9", "185.203.116.77"
    signed_in(beaune, town_hall, days=7)
    mail_came(provider, "a@orange.example", days=8)
    links = [["url", URL], *(["url", f"http://{one}/x"] for one in (town_hall, provider, trap))]
    report("col_a", "per_1", indicators=links)
    report("col_b", "per_2", indicators=links)
    assert {value for kind, value in active() if kind == "ip"} == {trap, LANDING, LANDING6}
    assert {(r["value"], r["code"]) for r in campaign().refusals} == {
        (town_hall, "address_crowded"),
        (provider, "address_crowded"),
    }


def test_the_host_that_hands_a_lure_in_is_blocked_though_it_sent_mail_before(report: Report) -> None:
    """A correspondent's server was taken over: that it handed the lure in was seen, not told."""
    mail_came(LANDING, "a@correspondant.example", days=8)
    told = {**FAIL, "client_ip": LANDING}
    for commune, person in (("col_a", "per_1"), ("col_b", "per_2")):
        report(
            commune,
            person,
            indicators=[["ip", LANDING, "client"], ["url", f"http://{LANDING}/x"]],
            evidence=told,
        )
    assert ("ip", LANDING) in active()


def test_a_page_that_someone_of_a_town_hall_opened_does_not_cut_the_town_hall_off(
    report: Report, beaune: Commune
) -> None:
    """A page of the web makes browsers connect to the traps of two others. Guessing passwords still counts."""
    town_hall = "92.184.100.7"
    signed_in(beaune, town_hall, days=7)
    for commune in ("col_a", "col_b", "col_c"):
        trap(commune, address=town_hall)
        trap(commune, address=SCANNER)
    assert active() == {("ip", SCANNER)}
    left = Campaign.objects.get(indicators__value=town_hall)
    assert [(r["value"], r["code"]) for r in left.refusals] == [(town_hall, "address_crowded")]
    guessed = {"login_accounts": "9", "login_communes": "3"}
    report("", "", door="login", indicators=[["ip", town_hall]], evidence=guessed)
    assert ("ip", town_hall) in active()
