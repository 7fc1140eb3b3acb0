"""The plan and the names of a scenario, and the figures of its report."""

from __future__ import annotations

import ipaddress

import pytest
from beffroi_lab import __main__ as lab
from beffroi_lab import names, plan
from beffroi_lab.names import Sender, Zone
from beffroi_lab.report import Report, percentiles
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.protected import reason_protected
from dnslib import QTYPE, RCODE, DNSRecord


def test_fewer_than_three_communes_are_no_scenario() -> None:
    with pytest.raises(ValueError, match="3 to 20"):
        plan.make(2)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [("--history-days", "-1"), ("--history-days", "x"), ("--partition-s", "-5"), ("--partition-s", "nan")],
)
def test_what_no_run_can_do_is_said_before_it(
    option: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = "attacks" if option == "--partition-s" else "immunity"
    with pytest.raises(SystemExit) as refused:
        lab.main([scenario, f"{option}={wrong}"])
    assert refused.value.code == 2
    assert f"argument {option}: 0 to " in capsys.readouterr().err


@pytest.mark.parametrize("communes", [3, 8, plan.MAX_COMMUNES])
def test_every_address_of_the_plan_is_inside_the_counted_scenario(communes: int) -> None:
    made = plan.make(communes)
    nets = [ipaddress.ip_network(n) for n in (*made.known_v4, *made.known_v6)]
    pairs = [plan.DNS, plan.ATTACKER_LANDING, plan.ATTACKER_SENDER, plan.ATTACKER_OTHER, plan.INNOCENT]
    pairs += [plan.CENTRE, plan.CENTRE_GATEWAY, plan.DEPARTEMENT, plan.DEPARTEMENT_GATEWAY]
    pairs += [p for c in made.communes for p in (c.wan, c.wan_gateway, c.lan, c.pc)]
    for address in (ipaddress.ip_address(a) for pair in pairs for a in pair.both):
        assert any(address in net for net in nets if net.version == address.version), address


def test_the_attackers_addresses_may_be_blocked_and_are_global() -> None:
    for pair in (plan.ATTACKER_LANDING, plan.ATTACKER_SENDER, plan.ATTACKER_OTHER):
        for address in pair.both:
            assert ipaddress.ip_address(address).is_global
            assert reason_protected(normalise(Kind.IP, address)) == ""


def _ask(zone: Zone, name: str, kind: str) -> DNSRecord:
    return zone.resolve(DNSRecord.question(name, kind), None)


def test_the_dns_answers_the_scenario_and_nothing_else() -> None:
    lines = names.zone(
        plan.make(3),
        hostile=["page.piege-zz1.com"],
        innocent=["www.impots.gouv.fr"],
        senders=[Sender("envoi-zz1.com", True, "QUJD" * 90), Sender("forge-zz1.com", False)],
    )
    zone = Zone(lines)
    assert str(_ask(zone, "page.piege-zz1.com", "A").rr[0].rdata) == plan.ATTACKER_LANDING.v4
    assert str(_ask(zone, "PAGE.piege-zz1.com", "AAAA").rr[0].rdata) == plan.ATTACKER_LANDING.v6
    assert str(_ask(zone, "www.impots.gouv.fr", "A").rr[0].rdata) == plan.INNOCENT.v4
    assert plan.ATTACKER_SENDER.v4 in str(_ask(zone, "envoi-zz1.com", "TXT").rr[0].rdata)
    assert "ip4" not in str(_ask(zone, "forge-zz1.com", "TXT").rr[0].rdata)
    assert _ask(zone, "lab._domainkey.envoi-zz1.com", "TXT").rr
    assert QTYPE[_ask(zone, "mairie-nolay.fr", "MX").rr[0].rtype] == "MX"
    assert _ask(zone, "example.com", "A").header.rcode == RCODE.NXDOMAIN
    empty = _ask(zone, "piege-zz1.com", "A")
    assert empty.header.rcode == RCODE.NOERROR and not empty.rr


def test_a_hostile_list_cannot_take_the_centres_own_name() -> None:
    zone = Zone(names.zone(plan.make(3), hostile=[names.CENTRE_NAMES[0]], innocent=[], senders=[]))
    assert str(_ask(zone, names.CENTRE_NAMES[0], "A").rr[0].rdata) == plan.CENTRE.v4


def test_percentiles_are_of_measured_values_by_nearest_rank() -> None:
    assert percentiles([]) == {"p50": None, "p99": None, "max": None}
    assert percentiles([30, 10, 20]) == {"p50": 20, "p99": 30, "max": 30}


def test_a_proof_that_was_not_seen_makes_the_run_fail() -> None:
    report = Report()
    assert report.prove("a", True, "x") and report.ok
    assert not report.prove("b", False, "not seen") and not report.ok
    assert report.as_object()["failures"] == ["b: not seen"]
