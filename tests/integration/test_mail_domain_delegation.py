"""Delegation against real servers: one Knot for the zone above and the provider, another one for the Département."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
from beffroi.core.communes.models import Domain
from beffroi.core.events import Event
from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.domains import actions, check, consumers, delegation, queries, records, update
from beffroi.mail.domains.asking import Asker
from beffroi.mail.domains.models import DomainCheck
from beffroi.mail.domains.records import Choices, PublicKey, Servers
from beffroi.mail.domains.results import Result
from django.test import override_settings

from tests import fixtures_dns
from tests.conftest import Commune
from tests.fixtures_dns import ADDRESS, Authority

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("knotd", path="/usr/sbin:/usr/bin") is None, reason="needs knot"),
]
DOMAIN, PROVIDER = "mairie.example", "127.0.0.2"
OURS, OLD = ("ns1.example.net", "ns2.example.net"), "ns.example.org"
CENTRE = Servers(
    mx="mx.example.net",
    front="portail.example.net",
    imaps_port=993,
    submission_port=587,
    reports="r@example.net",
)
KEYS = [PublicKey("beffroi1", "A" * 392), PublicKey("beffroi2", "B" * 392)]
PLAN = records.plan(DOMAIN, CENTRE, Choices(), KEYS)
CUT = list(dict.fromkeys(one.name for one in delegation.delegable(DOMAIN, PLAN)))
WAY = delegation.Way(fixtures_dns.KNOT_PORT, private=True)
SUBJECT = check.Subject(
    DOMAIN,
    CENTRE,
    Choices(),
    KEYS,
    smtp_port=22789,
    name_servers=OURS,
    dns=WAY,
)
SERVER = update.Server(ADDRESS, fixtures_dns.KNOT_PORT, fixtures_dns.KEY_NAME, fixtures_dns.SECRET)
CLOUD = f"ns1 A {ADDRESS}\nns2 A {ADDRESS}\nmx A {ADDRESS}\nportail A {ADDRESS}\n"
OUTSIDE = f"ns A {PROVIDER}\n"
SITE = "www A 192.0.2.80\n"


def named(name: str, hosts: tuple[str, ...]) -> str:
    return "".join(f"{name}. NS {one}.\n" for one in hosts)


@contextmanager
def world(above: str, provider: str | None, ours: tuple[str, ...]) -> Iterator[Authority]:
    """``above``: lines of the zone example; ``provider``: of the domain there; ``ours``: zones that the Département's
    server holds. Gives that server."""
    outside = {"example": above, "example.org": OUTSIDE}
    if provider is not None:
        outside[DOMAIN] = provider
    with ExitStack() as stack:
        inside = {"example.net": CLOUD, **dict.fromkeys(ours, "")}
        knot = stack.enter_context(fixtures_dns.authority(inside, servers=OURS))
        other = stack.enter_context(fixtures_dns.authority(outside, address=PROVIDER, servers=(OLD,)))
        # A resolver follows the delegation: whom the zone above names is asked for the domain.
        first = (knot, other) if DOMAIN in ours and OURS[0] in above else (other, knot)
        stack.enter_context(fixtures_dns.resolver(*first))
        yield knot


def found() -> dict[str, Result]:
    asker = Asker(fixtures_dns.ADDRESS, fixtures_dns.UNBOUND_PORT)
    return {one.item: one for one in check.check(SUBJECT, asker)}


def test_a_whole_domain_is_delegated_written_and_read_back() -> None:
    with world(named(DOMAIN, OURS), None, (DOMAIN,)) as knot:
        assert update.held(SERVER, PLAN) == PLAN
        update.apply(SERVER, update.held(SERVER, PLAN))
        results = found()
        assert (results["delegation"].state, results["delegation"].code) == ("ok", "zone")
        assert results["mx"].state == results["dkim:beffroi1"].state == results["dmarc"].state == "ok"
        assert knot.ask(DOMAIN, "MX") == ["10 mx.example.net."]


def test_names_below_the_domain_are_delegated_and_the_provider_keeps_the_rest() -> None:
    asked = delegation.parts(DOMAIN, PLAN, OURS)
    provider = SITE + "".join(f"{one.name}. {one.type} {one.rdata}\n" for one in asked)
    with world(named(DOMAIN, (OLD,)), provider, tuple(CUT)) as knot:
        held = update.held(SERVER, PLAN)
        assert sorted({one.name for one in held}) == sorted(CUT)
        assert sorted(update.apply(SERVER, held)) == sorted(CUT)
        assert knot.ask(f"_dmarc.{DOMAIN}", "TXT") == ['"v=DMARC1; p=none; rua=mailto:r@example.net"']
        results = found()
        assert (results["delegation"].state, results["delegation"].code) == ("ok", "names")
        for item in (
            "mx",
            "spf",
            "dkim:beffroi1",
            "dkim:beffroi2",
            "dmarc",
            "mta_sts",
            "tls_rpt",
            "autoconfig",
        ):
            assert results[item].state == "ok", results[item]


@pytest.mark.parametrize(
    ("above", "provider", "ours", "expected"),
    [
        (named(DOMAIN, (OLD,)), SITE, (), ("none", "elsewhere", OLD)),
        (named(DOMAIN, (*OURS, OLD)), None, (DOMAIN,), ("warn", "mixed", OLD)),
        (named(DOMAIN, OURS), None, (), ("bad", "lame", f"{OURS[0]}: {DOMAIN}")),
        (named(DOMAIN, (OLD,)), named(CUT[0], OURS), (CUT[0],), ("warn", "part", " / ".join(sorted(CUT[1:])))),
        (
            named(DOMAIN, (OLD,)),
            "".join(named(one, OURS) for one in CUT),
            tuple(CUT[1:]),
            ("bad", "lame", f"{OURS[0]}: {CUT[0]}"),
        ),
    ],
)  # fmt: skip
def test_what_is_not_in_place_is_said(
    above: str, provider: str | None, ours: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    with world(above, provider, ours):
        asker = Asker(fixtures_dns.ADDRESS, fixtures_dns.UNBOUND_PORT)
        one = delegation.look(DOMAIN, CUT, OURS, asker, WAY)
    assert (one.state, one.code, one.seen) == expected


def test_nobody_at_a_private_address_is_asked_for_a_zone() -> None:
    with world(named(DOMAIN, OURS), None, (DOMAIN,)):
        asker = Asker(fixtures_dns.ADDRESS, fixtures_dns.UNBOUND_PORT)
        way = delegation.Way(fixtures_dns.KNOT_PORT)
        assert delegation.look(DOMAIN, CUT, OURS, asker, way) == delegation.Found("unknown", "unanswered")


def test_a_server_without_a_zone_of_the_domain_takes_nothing() -> None:
    with world(named(DOMAIN, (OLD,)), SITE, ()), pytest.raises(update.UpdateRefused):
        update.held(SERVER, PLAN)


@pytest.mark.usefixtures("database")
def test_a_delegated_domain_follows_its_keys_by_itself(beaune: Commune, config: Config) -> None:
    domain = Domain.objects.get(name=beaune.domain)
    (config.secrets / update.KEY_FILE).write_text(fixtures_dns.SECRET)
    ours = replace(
        config,
        dns_update_server=f"{ADDRESS}@{fixtures_dns.KNOT_PORT}",
        dns_update_key=fixtures_dns.KEY_NAME,
    )
    told = Event(1, "mail:dkim_changed", domain.collectivite_id, {"domain_id": domain.id}, clock.now())
    with fixtures_dns.authority({domain.name: ""}, servers=OURS) as knot, override_settings(BEFFROI=ours):
        actions.ensure_keys(actor=consumers.SYSTEM, domain=domain)
        consumers.publish_delegated(told)
        assert knot.ask(f"_dmarc.{domain.name}", "TXT") == [], "no check saw the delegation"
        DomainCheck.objects.create(
            domain_id=domain.id,
            collectivite_id=domain.collectivite_id,
            day=clock.now().date(),
            items={"delegation": ["ok", "zone"]},
        )
        consumers.publish_delegated(told)
        keys = [one for one in queries.plan(domain) if "._domainkey." in one.name]
        assert keys
        assert all(knot.ask(one.name, one.type) for one in keys)
        assert knot.ask(f"_dmarc.{domain.name}", "TXT")
        assert knot.ask(domain.name, "MX") == [], "what moves mail is a person's"


def test_pointers_stay_with_the_provider() -> None:
    """A CNAME at the top of a zone is no zone."""
    asked = delegation.parts(
        DOMAIN, records.plan(DOMAIN, replace(CENTRE, dkim_zone="keys.example.net"), Choices(), KEYS), OURS
    )
    cut = {one.name for one in asked if one.type == "NS"}
    assert f"beffroi1._domainkey.{DOMAIN}" not in cut and f"_dmarc.{DOMAIN}" in cut
    assert not cut & {one.name for one in asked if one.type != "NS"}


@pytest.mark.parametrize("wrong", ["ns1", "192.0.2.1 ns1_.example", "ns1.example,ns2.example", "-a.example"])
def test_a_setting_that_names_no_host_is_refused(wrong: str) -> None:
    with pytest.raises(SettingInvalid):
        delegation.name_servers(replace(Config(), dns_name_servers=wrong))
