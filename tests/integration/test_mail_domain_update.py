"""RFC 2136 against a real Knot: our records come in, what is not ours stays, a wrong key changes nothing."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest
from beffroi.mail.domains import records, update
from beffroi.mail.domains.records import Choices, PublicKey, Servers

from tests import fixtures_dns
from tests.fixtures_dns import CENTRE, Authority

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("knotd", path="/usr/sbin:/usr/bin") is None, reason="needs knot"),
]
DOMAIN = "mairie.example"
FIRST = Choices()
KEYS = [PublicKey("beffroi1", "A" * 392), PublicKey("beffroi2", "B" * 392)]
BEFORE = """
@ MX 5 mx.old.example.
@ TXT "v=spf1 include:spf.old.example -all"
@ TXT "site-verification=abc"
@ CAA 0 issue "other-ca.example"
www A 192.0.2.80
autoconfig A 192.0.2.81
"""
SERVER = update.Server(
    fixtures_dns.ADDRESS, fixtures_dns.KNOT_PORT, fixtures_dns.KEY_NAME, fixtures_dns.SECRET
)


@pytest.fixture
def knot() -> Iterator[Authority]:
    with fixtures_dns.authority({DOMAIN: BEFORE, "cloud.example": ""}) as found:
        yield found


def plan(choices: Choices = FIRST, servers: Servers = CENTRE) -> list[records.Record]:
    return records.plan(DOMAIN, servers, choices, KEYS)


def test_every_record_comes_in_and_what_is_not_ours_stays(knot: Authority) -> None:
    assert update.apply(SERVER, plan()) == [DOMAIN]
    for one in plan():
        answers = knot.ask(one.name, one.type)
        assert one.rdata in answers, (one.name, answers)
    texts = knot.ask(DOMAIN, "TXT")
    assert '"site-verification=abc"' in texts
    assert len(texts) == 2, "the old SPF is gone"
    assert knot.ask(DOMAIN, "MX") == ["10 mx.cloud.example."]
    assert sorted(knot.ask(DOMAIN, "CAA")) == ['0 issue "letsencrypt.org"', '0 issue "other-ca.example"']
    assert knot.ask(f"www.{DOMAIN}", "A") == ["192.0.2.80"]


def test_an_update_made_twice_changes_nothing(knot: Authority) -> None:
    update.apply(SERVER, plan())
    before = {one.key: sorted(knot.ask(*one.key)) for one in plan()}
    update.apply(SERVER, plan())
    assert {one.key: sorted(knot.ask(*one.key)) for one in plan()} == before


def test_pointers_to_the_domain_itself_make_no_zones_of_their_names() -> None:
    before = "@ A 192.0.2.80\nautoconfig CNAME @\n* CNAME @\n"
    with fixtures_dns.authority({DOMAIN: before, "cloud.example": ""}) as knot:
        for _ in range(2):
            assert update.apply(SERVER, plan()) == [DOMAIN]
        for one in plan():
            assert one.rdata in knot.ask(one.name, one.type), one.name
        assert knot.ask(f"www.{DOMAIN}", "CNAME") == [f"{DOMAIN}."]


def test_a_pointer_at_the_domain_itself_is_anothers_and_stays() -> None:
    name = f"nolay.{DOMAIN}"
    with fixtures_dns.authority({DOMAIN: "nolay CNAME site\nsite A 192.0.2.80\n"}) as knot:
        with pytest.raises(update.UpdateClash, match=f"{name} is a CNAME"):
            update.apply(SERVER, records.plan(name, CENTRE, FIRST, KEYS))
        assert knot.ask(name, "CNAME") == [f"site.{DOMAIN}."]
        assert knot.ask(f"_dmarc.{name}", "TXT") == []


@pytest.mark.parametrize("signed", [False, True])
def test_a_pointer_that_led_elsewhere_is_replaced(signed: bool) -> None:
    with fixtures_dns.authority({DOMAIN: "autoconfig CNAME www\nwww A 192.0.2.80\n"}, signed=signed) as knot:
        for front in ("portail.cloud.example", "autre.cloud.example"):
            update.apply(SERVER, plan(servers=replace(CENTRE, front=front)))
            assert knot.ask(f"autoconfig.{DOMAIN}", "CNAME") == [f"{front}."]


def test_keys_move_between_the_communes_zone_and_ours(knot: Authority) -> None:
    update.apply(SERVER, plan())
    ours = replace(CENTRE, dkim_zone="cloud.example")
    update.apply(SERVER, plan(servers=ours))
    own = records.own_records([DOMAIN], ours, {DOMAIN: KEYS})
    assert update.apply(SERVER, own) == ["cloud.example"]
    name = f"beffroi1._domainkey.{DOMAIN}"
    assert knot.ask(name, "CNAME") == [f"beffroi1.{DOMAIN}.cloud.example."]
    assert knot.ask(f"beffroi1.{DOMAIN}.cloud.example", "TXT") == [records.quoted(records.dkim(KEYS[0]))]
    update.apply(SERVER, plan())
    assert knot.ask(name, "TXT") == [records.quoted(records.dkim(KEYS[0]))]


@pytest.mark.parametrize(
    "server",
    [
        replace(SERVER, secret=base64.b64encode(b"w" * 32).decode()),
        replace(SERVER, key_name="stranger"),
        replace(SERVER, secret="not base64!"),
    ],
)
def test_a_wrong_key_is_refused_and_changes_nothing(knot: Authority, server: update.Server) -> None:
    with pytest.raises(update.UpdateRefused):
        update.apply(server, plan())
    assert knot.ask(DOMAIN, "MX") == ["5 mx.old.example."]


def test_a_zone_that_is_not_the_servers_is_refused(knot: Authority) -> None:
    with pytest.raises(update.UpdateRefused):
        update.apply(SERVER, records.plan("ailleurs.example", CENTRE, Choices(), KEYS))


def test_a_silent_server_is_said() -> None:
    with pytest.raises(update.UpdateUnanswered):
        update.apply(replace(SERVER, port=22799), plan())
