"""The check of a mail domain against real servers: Knot signs the zones, unbound validates, the answers get a word."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.lib.config import Config
from beffroi.mail.domains import check, meeting, records, rpki, scores, update
from beffroi.mail.domains.asking import Asker
from beffroi.mail.domains.records import Choices, PublicKey
from beffroi.mail.domains.results import Result

from tests import fixtures_dns
from tests.fixtures_dns import CENTRE, Authority
from tests.integration.test_mail_domain_hellos import Version, context, made, secured, smtp

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("knotd", path="/usr/sbin:/usr/bin") is None, reason="needs knot"),
]
DOMAIN = "mairie.example"
KEYS = [PublicKey("beffroi1", "A" * 392), PublicKey("beffroi2", "B" * 392)]
CHOICES = Choices(dmarc="reject")
SUBJECT = check.Subject(DOMAIN, CENTRE, CHOICES, KEYS, frozenset({"beffroi2"}), smtp_port=22789)
CLOUD = (
    "mx A 127.0.0.1\nportail A 127.0.0.1\nmx6 A 127.0.0.1\nmx6 AAAA ::1\nroute A 9.9.9.9\n"
    '9.9.9.9.origin TXT "64500 | 9.9.9.0/24 | FR | ripencc |"\n'
)
SERVER = update.Server(
    fixtures_dns.ADDRESS, fixtures_dns.KNOT_PORT, fixtures_dns.KEY_NAME, fixtures_dns.SECRET
)


@pytest.fixture(scope="module")
def world() -> Iterator[Authority]:
    zones = {DOMAIN: "www A 192.0.2.80\n", "cloud.example": CLOUD}
    with (
        fixtures_dns.authority(zones, signed=True) as knot,
        fixtures_dns.resolver(knot, validating=True),
    ):
        yield knot


@pytest.fixture
def knot(world: Authority) -> Authority:
    """Everything published as it should be."""
    planned = records.plan(DOMAIN, CENTRE, CHOICES, KEYS)
    # What a test before left at these names goes.
    world.change(DOMAIN, *((one.name, kind, "") for one in planned for kind in ("TXT", "CNAME", "CAA", "MX")))
    update.apply(SERVER, [*planned, *records.own_records([DOMAIN], CENTRE, {})])
    return world


def found(subject: check.Subject = SUBJECT) -> dict[str, Result]:
    asker = Asker(fixtures_dns.ADDRESS, fixtures_dns.UNBOUND_PORT)
    return {one.item: one for one in check.check(subject, asker)}


def test_a_domain_published_by_our_own_update_is_in_order(knot: Authority) -> None:
    results = found()
    wrong = {name: one.code for name, one in results.items() if one.state in ("bad", "warn")}
    assert wrong == {"mx_ipv6": "absent", "ns_ipv6": "absent"}
    for name in (
        "mx",
        "spf",
        "dkim:beffroi1",
        "dkim:beffroi2",
        "dmarc",
        "reports",
        "mta_sts",
        "mta_sts_host",
    ):
        assert results[name].state == "ok", results[name]
    assert results["dnssec"].state == "ok", "the resolver validated the signature of Knot"
    assert results["dnssec_mx"].state == "ok"
    assert results["starttls"].code == "silent", "nothing listens there: not known, not wrong"


@pytest.mark.parametrize(
    ("change", "item", "expected"),
    [
        ((DOMAIN, "MX", ""), "mx", ("bad", "absent")),
        ((DOMAIN, "MX", "10 mx.old.example."), "mx", ("bad", "elsewhere")),
        ((DOMAIN, "TXT", ""), "spf", ("bad", "absent")),
        ((DOMAIN, "TXT", '"v=spf1 include:old.example -all"'), "spf", ("bad", "without_us")),
        ((DOMAIN, "TXT", '"v=spf1 mx ?all"'), "spf", ("bad", "open")),
        ((DOMAIN, "TXT", '"v=spf1 mx ip4:192.0.2.1 -all"'), "spf", ("warn", "differs")),
        ((f"beffroi1._domainkey.{DOMAIN}", "TXT", ""), "dkim:beffroi1", ("bad", "absent")),
        ((f"beffroi2._domainkey.{DOMAIN}", "TXT", ""), "dkim:beffroi2", ("warn", "absent")),
        ((f"beffroi1._domainkey.{DOMAIN}", "TXT", '"v=spf1 mx -all"'), "dkim:beffroi1", ("bad", "absent")),
        (
            (f"beffroi1._domainkey.{DOMAIN}", "TXT", f'"v=DKIM1; k=rsa; p={"A" * 200}"'),
            "dkim:beffroi1",
            ("bad", "cut"),
        ),
        ((f"beffroi1._domainkey.{DOMAIN}", "TXT", '"v=DKIM1; p=CCCC"'), "dkim:beffroi1", ("bad", "differs")),
        ((f"_dmarc.{DOMAIN}", "TXT", ""), "dmarc", ("bad", "absent")),
        ((f"_dmarc.{DOMAIN}", "TXT", '"v=DMARC1; sp=none; p=reject"'), "dmarc", ("warn", "p_not_first")),
        ((f"_dmarc.{DOMAIN}", "TXT", '"v=DMARC1; p=reject"'), "dmarc", ("warn", "no_reports")),
        ((f"_dmarc.{DOMAIN}", "TXT", '"v=DMARC1; rua=mailto:a@b.example"'), "dmarc", ("bad", "no_policy")),
        (
            (
                f"_dmarc.{DOMAIN}",
                "TXT",
                '"v=DMARC1; p=quarantine; pct=20; rua=mailto:rapports@cloud.example"',
            ),
            "dmarc_strong",
            ("warn", "weak"),
        ),
        ((f"_mta-sts.{DOMAIN}", "TXT", '"v=STSv1; id=old;"'), "mta_sts", ("warn", "differs")),
        ((f"autoconfig.{DOMAIN}", "CNAME", "www.mairie.example."), "autoconfig", ("warn", "elsewhere")),
        ((f"_imaps._tcp.{DOMAIN}", "SRV", "0 1 143 mx.cloud.example."), "srv_imaps", ("warn", "differs")),
        ((DOMAIN, "CAA", '0 issue "other.example"'), "caa", ("bad", "without_us")),
    ],
)
def test_each_fault_gets_its_diagnosis(
    knot: Authority, change: tuple[str, str, str], item: str, expected: tuple[str, str]
) -> None:
    knot.change(DOMAIN, change)
    result = found()[item]
    assert (result.state, result.code) == expected, result


def test_every_diagnosis_has_words(knot: Authority) -> None:
    from beffroi.portal import domain_words

    knot.change(DOMAIN, (DOMAIN, "MX", ""), (DOMAIN, "TXT", ""), (f"_dmarc.{DOMAIN}", "TXT", ""))
    for one in found().values():
        words = domain_words.line(one.item, one.state, one.code, one.seen)
        assert words.said != one.code, one
        assert words.label != one.item or words.label.isupper(), one
        assert words.todo or one.state == "ok", one


def test_a_missing_key_is_missing_where_a_wildcard_answers_for_every_name(knot: Authority) -> None:
    key = f"beffroi1._domainkey.{DOMAIN}"
    knot.add(DOMAIN, DOMAIN, "TXT", '"site-verification=a b"')
    knot.add(DOMAIN, f"*.{DOMAIN}", "CNAME", f"{DOMAIN}.")
    try:
        knot.change(DOMAIN, (key, "TXT", ""), (f"beffroi2._domainkey.{DOMAIN}", "TXT", ""))
        missing = found()
        assert (missing["dkim:beffroi1"].state, missing["dkim:beffroi1"].code) == ("bad", "absent")
        assert (missing["dkim:beffroi2"].state, missing["dkim:beffroi2"].code) == ("warn", "absent")
        for data in ('"v=DKIM1; p=CCCC"', '"site-verification=a b"'):
            knot.add(DOMAIN, key, "TXT", data)
        assert found()["dkim:beffroi1"].code == "several", "a key and something else at one name"
    finally:
        knot.change(DOMAIN, (f"*.{DOMAIN}", "CNAME", ""))


def test_two_policies_are_none(knot: Authority) -> None:
    name = f"_dmarc.{DOMAIN}"
    knot.change(DOMAIN, (name, "TXT", '"v=DMARC1; p=none"'))
    update_more = '"v=DMARC1; p=reject"'
    knot.add(DOMAIN, name, "TXT", update_more)
    assert found()["dmarc"].code == "several"


def test_spf_that_asks_more_than_ten_questions_is_found(knot: Authority) -> None:
    many = " ".join(f"a:h{number}.cloud.example" for number in range(10))
    knot.change(DOMAIN, (DOMAIN, "TXT", f'"v=spf1 mx {many} -all"'))
    assert (found()["spf_lookups"].code, found()["spf_lookups"].seen) == ("too_many", "11")


def test_an_include_that_includes_itself_ends(knot: Authority) -> None:
    knot.change(DOMAIN, (DOMAIN, "TXT", f'"v=spf1 mx include:{DOMAIN} -all"'))
    assert found()["spf_lookups"].state == "ok"


def test_null_bytes_are_shown_as_signs_that_every_database_keeps(knot: Authority) -> None:
    knot.change(DOMAIN, (DOMAIN, "TXT", '"v=spf1 mx\\000 -all"'))
    assert found()["spf"].seen == "v=spf1 mx\N{REPLACEMENT CHARACTER} -all"


def test_a_silent_resolver_says_nothing_of_the_domain() -> None:
    [only] = check.check(SUBJECT, Asker(fixtures_dns.ADDRESS, 22788))
    assert (only.item, only.state) == ("resolver", "unknown")


def test_keys_in_our_own_zone_are_found_through_the_pointer(knot: Authority) -> None:
    ours = replace(CENTRE, dkim_zone="cloud.example")
    update.apply(SERVER, records.plan(DOMAIN, ours, CHOICES, KEYS))
    update.apply(SERVER, records.own_records([DOMAIN], ours, {DOMAIN: KEYS}))
    results = found(replace(SUBJECT, servers=ours))
    assert results["dkim:beffroi1"].state == results["dkim:beffroi2"].state == "ok"


def test_scores_count_what_can_be_seen_from_here_and_name_no_level_without_the_rest(knot: Authority) -> None:
    told = {name: (one.state, one.code) for name, one in found().items()}
    rpnt = scores.rpnt("mairie.fr", told)
    assert {name for name, one in rpnt.points.items() if one} == {"1.2", "2.4", "2.5", "2.6", "2.7"}
    assert rpnt.level == ""
    assert rpnt.points["2.8"] is None
    assert scores.rpnt("mairie.example", told).points["1.2"] is False
    nl = scores.internet_nl(told)
    assert nl.points["dmarc_strong"] is True
    assert nl.points["ns_ipv6"] is False
    assert nl.points["rpki_mx"] is None
    theirs = scores.internet_nl({**told, "mx": ("bad", "elsewhere")})
    assert theirs.points["dnssec_mx"] is None, "what is known of our server says nothing of another's"


def test_two_name_servers_must_answer_over_ipv6(knot: Authority) -> None:
    asker = Asker(fixtures_dns.ADDRESS, fixtures_dns.UNBOUND_PORT)
    assert meeting.name_servers(asker, DOMAIN).code == "absent"
    for name in ("ns1", "ns2"):
        knot.change(DOMAIN, (f"{name}.{DOMAIN}", "AAAA", "::1"))
    knot.add(DOMAIN, DOMAIN, "NS", f"ns2.{DOMAIN}.")
    subject = replace(SUBJECT, dns_port=fixtures_dns.KNOT_PORT, private=True)
    assert found(subject)["ns_ipv6"].state == "ok"
    silent = found(replace(subject, dns_port=22788))["ns_ipv6"]
    assert (silent.state, silent.code) == ("warn", "silent")
    closed = found(replace(subject, private=False))["ns_ipv6"]
    assert (closed.code, closed.seen) == ("silent", "0/2"), "no zone makes the centre ask its own network"
    for name in ("ns1", "ns2"):
        knot.change(DOMAIN, (f"{name}.{DOMAIN}", "AAAA", ""))


def test_a_server_that_answers_over_ipv4_alone_is_told_from_one_that_answers_over_both(
    knot: Authority, tmp_path: Path
) -> None:
    pem = made(tmp_path, "rsa:2048")
    good, old = context(pem, "ECDHE+AESGCM"), context(pem, "ECDHE+AES:@SECLEVEL=0", Version.TLSv1)
    asker = Asker(fixtures_dns.ADDRESS, fixtures_dns.UNBOUND_PORT)
    with smtp(secured(good)) as port:
        server = meeting.Server("mx6.cloud.example", port)
        alone = {one.item: one for one in meeting.meet(server, asker)}
        assert (alone["mx_ipv6"].code, alone["mx_ipv6"].seen) == ("refused", "::1")
        with smtp(secured(old), address="::1", port=port):
            both = {one.item: one for one in meeting.meet(server, asker)}
    assert both["mx_ipv6"].state == "ok"
    assert (alone["starttls"].state, alone["tls_versions"].state) == ("ok", "ok")
    assert both["tls_versions"].seen == "TLSv1.0, TLSv1.1 (::1)", "the worst of its addresses counts"


@pytest.mark.parametrize(
    ("csv", "origins", "expected"),
    [
        ("AS64500,9.9.9.0/24,24,ripe,1", "origin.cloud.example", ("ok", "ok")),
        ("AS64501,9.9.9.0/24,24,ripe,1", "origin.cloud.example", ("bad", "invalid")),
        ("AS64500,9.9.0.0/16,16,ripe,1", "origin.cloud.example", ("bad", "invalid")),
        ("AS64500,9.9.8.0/24,24,ripe,1", "origin.cloud.example", ("warn", "absent")),
        ("AS64500,9.9.9.0/24,24,ripe,1", "", ("unknown", "no_origin")),
        ("", "", ("unknown", "no_validator")),
    ],
)
def test_rpki_is_what_the_local_validator_and_the_announcement_say(
    knot: Authority, tmp_path: Path, csv: str, origins: str, expected: tuple[str, str]
) -> None:
    asker = Asker(fixtures_dns.ADDRESS, fixtures_dns.UNBOUND_PORT)
    (tmp_path / "csv").write_text(csv)
    sources = rpki.Sources(str(tmp_path / "csv") if csv else "", origins)
    results = {one.item: one for one in rpki.look(DOMAIN, "route.cloud.example", asker, sources)}
    assert (results["rpki_mx"].state, results["rpki_mx"].code) == expected
    if csv:
        assert results["rpki_ns"].code == "no_address", "its name servers stand on loopback"
        os.utime(tmp_path / "csv", (0, 0))
        assert {one.code for one in rpki.look(DOMAIN, "route.cloud.example", asker, sources)} == {"stale"}
        away = rpki.Sources(str(tmp_path / "none"), origins)
        assert {one.code for one in rpki.look(DOMAIN, "route.cloud.example", asker, away)} == {"unreadable"}


def test_the_command_prints_each_line_and_json_alike(
    knot: Authority, state: Path, config: Config, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    from beffroi.cli import check as command

    knot.change(DOMAIN, (DOMAIN, "MX", ""))
    resolver = f"{fixtures_dns.ADDRESS}@{fixtures_dns.UNBOUND_PORT}"
    assert command.main(["domain", DOMAIN, "--resolver", resolver, "--state", str(state)]) == 1
    out = capsys.readouterr().out
    assert "n’est pas inscrit ici" in out
    assert "Aucun serveur n’est indiqué\xa0: personne ne peut écrire à la commune." in out
    assert command.main(["domain", DOMAIN, "--resolver", resolver, "--json", "--state", str(state)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert next(one for one in told["results"] if one["item"] == "mx")["code"] == "absent"
    assert told["rpnt"]["points"]["2.4"] is False
