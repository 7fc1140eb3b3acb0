"""Facts about a message and the verdict on them: pure, without engines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.ids import made_at_s, new_id
from beffroi.mail import decoding
from beffroi.mail.engines import layout
from beffroi.mail.gate import facts as facts_module
from beffroi.mail.gate.facts import FactsMalformed, decode, observations
from beffroi.mail.gate.rules import judge
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Action, Batch, Entry
from beffroi_protocol.messages import encode as encode_message
from beffroi_protocol.table import DecisionTable
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures_mail_table import Asked

NOW = 1_800_000_000


def body(**changes: Any) -> bytes:
    base: dict[str, Any] = {
        "v": 1,
        "id": new_id("msg"),
        "message_id": "a@b",
        "sender": "Billing@Sender.Example.net",
        "visible_from": "chef@other.example.org",
        "recipients": ["Agent+x@beaune.test", "agent@beaune.test"],
        "client_ip": "91.240.118.66",
        "urls": [
            {"url": "https://Pay.Evil.example.com/F", "host": "pay.evil.example.com", "shown_host": "gouv.fr"}
        ],
        "attachments": [{"sha256": "A" * 64, "extension": "pdf", "size_bytes": 3}],
    }
    return json.dumps(base | changes).encode()


def table(*entries: tuple[str, str, Action]) -> DecisionTable:
    made = DecisionTable("mail")
    added = tuple(
        Entry(f"dec_{i}", normalise(kind, value), action, NOW + 60, "phishing")
        for i, (kind, value, action) in enumerate(entries)
    )
    batch = Batch(1, "mail", 0, 0, 1, NOW, NOW + 60, "", added)
    made.apply(batch, encode_message(batch))
    return made


def verdict(raw: bytes, *entries: tuple[str, str, Action]) -> str:
    made = table(*entries)
    return judge(observations(decode(raw)), Asked(made, NOW)).action


CASES = [
    ("url", "https://pay.evil.example.com/F", Action.BLOCK, "reject"),
    ("url", "https://pay.evil.example.com/other", Action.BLOCK, "none"),
    ("domain", "pay.evil.example.com", Action.BLOCK, "reject"),
    ("domain", "evil.example.com", Action.QUARANTINE, "quarantine"),
    ("domain", "vil.example.com", Action.BLOCK, "none"),
    ("domain", "sender.example.net", Action.BLOCK, "reject"),
    ("domain", "other.example.org", Action.BLOCK, "reject"),
    ("sender", "billing@sender.example.net", Action.BLOCK, "reject"),
    ("ip", "91.240.118.66", Action.BLOCK, "reject"),
    ("cidr", "91.240.118.0/24", Action.BLOCK, "reject"),
    ("sha256", "a" * 64, Action.BLOCK, "reject"),
    ("sha256", "b" * 64, Action.BLOCK, "none"),
    ("domain", "evil.example.com", Action.WARN, "none"),
]


@pytest.mark.parametrize(("kind", "value", "action", "expected"), CASES)
def test_verdict_follows_every_kind_of_indicator(
    kind: str, value: str, action: Action, expected: str
) -> None:
    assert verdict(body(), (kind, value, action)) == expected


def test_strictest_decision_wins() -> None:
    entries = ("domain", "evil.example.com", Action.QUARANTINE), ("sha256", "a" * 64, Action.BLOCK)
    assert verdict(body(), *entries) == "reject"


@pytest.mark.parametrize(
    ("envelope", "visible", "auth", "proved"),
    [
        ("a@evil.example", "a@evil.example", {"spf": "pass"}, {"a@evil.example"}),
        ("a@evil.example", "a@evil.example", {"dmarc": "pass"}, {"a@evil.example"}),
        ("a@evil.example", "compta@fournisseur.fr", {"spf": "pass"}, {"a@evil.example"}),
        ("a@evil.example", "compta@fournisseur.fr", {"spf": "pass", "dmarc": "fail"}, {"a@evil.example"}),
        ("a@evil.example", "compta@fournisseur.fr", {"dkim": "pass"}, set()),
        ("compta@fournisseur.fr", "a@evil.example", {"dmarc": "pass", "dkim": "pass"}, {"a@evil.example"}),
        (
            "b@bounce.evil.example",
            "A@evil.example",
            {"spf": "pass"},
            {"b@bounce.evil.example"},
        ),
        # Customers of a platform, and of a provider: whose name stands above or below theirs is somebody else.
        (
            "eve@client.plateforme.example",
            "contact@plateforme.example",
            {"spf": "pass"},
            {"eve@client.plateforme.example"},
        ),
        (
            "eve@fournisseur.example",
            "maire@mairie.fournisseur.example",
            {"spf": "pass"},
            {"eve@fournisseur.example"},
        ),
        (
            "contact@plateforme.example",
            "eve@client.plateforme.example",
            {"dmarc": "pass", "dkim": "pass"},
            {"eve@client.plateforme.example"},
        ),
        ("b@evil.example", "a@notevil.example", {"spf": "pass"}, {"b@evil.example"}),
        ("", "compta@fournisseur.fr", {"spf": "pass"}, set()),
        ("compta@fournisseur.fr", "not an address", {"dmarc": "pass"}, set()),
        ("compta@fournisseur.fr", "", {}, set()),
    ],
)
def test_a_check_proves_the_sender_it_speaks_for_and_nobody_else(
    envelope: str, visible: str, auth: dict[str, str], proved: set[str]
) -> None:
    """Who writes as a supplier that publishes no DMARC, by an envelope and a signature of their own."""
    told = decode(body(sender=envelope, visible_from=visible, auth=auth))
    assert set(facts_module.proved_senders(told)) == proved


def test_recipients_lose_their_detail_and_count_once() -> None:
    assert facts_module.recipients(decode(body())) == ["agent@beaune.test"]


def test_empty_lua_tables_are_lists_without_members() -> None:
    seen = observations(decode(body(urls={}, attachments={}, recipients={}, symbols={})))
    assert {o.indicator.kind for o in seen} == {Kind.IP, Kind.SENDER, Kind.DOMAIN}


def test_the_last_of_a_thousand_links_is_judged_and_what_is_too_much_is_said() -> None:
    links = [{"url": f"https://w.leurre{n}.com/a", "host": f"w.leurre{n}.com"} for n in range(999)]
    told = body(urls=[*links, {"url": "https://pay.evil.example.com/F", "host": "pay.evil.example.com"}])
    assert verdict(told, ("url", "https://pay.evil.example.com/F", Action.BLOCK)) == "reject"
    assert not facts_module.is_unparseable(decode(told), observations(decode(told)))
    deep = [
        {"url": f"https://{'a.' * 60}leurre{n}.com/", "host": f"{'a.' * 60}leurre{n}.com"} for n in range(99)
    ]
    much = decode(body(urls=deep))
    assert facts_module.is_unparseable(much, observations(much))


def test_a_link_through_a_search_engine_is_one_to_where_it_leads_on() -> None:
    """Blocked by the page, as at a place that many share: rspamd reads what stands behind it along with it."""
    wrapper = "https://www.google.com/url?q=https%3A%2F%2Fforms.example.com%2Fd%2F1&sa=D"
    urls = [
        {"url": wrapper, "host": "www.google.com"},
        {"url": "https://forms.example.com/d/1&sa=D", "host": "forms.example.com"},
    ]
    assert verdict(body(urls=urls), ("url", "https://forms.example.com/d/1", Action.BLOCK)) == "reject"
    scripted = body(urls=[{"url": "https://stockage.example.net/a.html#u=https://forms.example.com/d/1"}])
    assert verdict(scripted, ("url", "https://forms.example.com/d/1", Action.BLOCK)) == "reject"
    # A wrapper that is only shown is no evidence, nor is what it carries.
    seen = observations(decode(body(urls=[{"url": wrapper, "only_shown": True}])))
    assert {o.role for o in seen if "forms" in o.indicator.value} == {"shown"}


def test_files_in_attached_ones_are_asked_about_and_decoys_in_one_leave_out_none_of_the_next() -> None:
    digests = [f"{n:064x}" for n in range(1, 62)]
    attached = [
        {"sha256": "a" * 64, "carried": digests[:60]},
        {"sha256": "b" * 64, "carried": digests[60:]},
        {"sha256": "c" * 64, "carried": {}},
    ]
    told = body(attachments=attached)
    carried = [one.indicator.value for one in observations(decode(told)) if one.role == "carried"]
    assert len(carried) == facts_module.MAX_CARRIED and digests[60] in carried
    assert verdict(told, ("sha256", digests[60], Action.BLOCK)) == "reject"


def test_what_stands_in_a_code_is_told_once_in_its_one_spelling() -> None:
    urls = [
        {"url": "HTTPS://Pay.example.com/f", "in_code": True},
        {"url": "https://pay.example.com/f", "in_code": True},
        {"url": "no address", "in_code": True},
        {"url": "https://a.example.com/"},
    ]
    assert facts_module.in_codes(decode(body(urls=urls))) == ["https://pay.example.com/f"]


def test_a_link_that_grows_too_long_in_its_one_spelling_still_leads_to_its_host() -> None:
    urls = [{"url": "https://pay.evil.example.com/f?" + "é" * 1000}]
    assert verdict(body(urls=urls), ("domain", "evil.example.com", Action.BLOCK)) == "reject"


def test_parents_of_a_link_are_never_reported_as_evidence() -> None:
    roles = {o.indicator.value: o.role for o in observations(decode(body())) if o.role.startswith("link")}
    assert roles["pay.evil.example.com"] == "link"
    assert roles["evil.example.com"] == "link_parent"


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b"\xff", b'{"v":1,"id":"msg_x"}', b'{"v":"1","id":1}', b"[" * 9000]
)
def test_malformed_facts_are_refused(raw: bytes) -> None:
    with pytest.raises(FactsMalformed):
        decode(raw)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (body(sender=["secret"]), "$.sender"),
        (body(urls=[{"url": {"secret": 1}}]), "$.urls[0].url"),
        (body(symbols={"secret": {"secret": 1}}), "$.symbols[...]"),
        (body(subject="x")[:-1] + b',"helo":"secret\xe9"}', "JSON"),
        (b"secret", "JSON"),
        (body(id="secret"), "id"),
    ],
)
def test_what_is_told_of_malformed_facts_is_a_place_and_no_value(raw: bytes, told: str) -> None:
    with pytest.raises(FactsMalformed) as error:
        decode(raw)
    assert str(error.value) == f"The facts about a message do not decode: {told}"


@settings(deadline=None, max_examples=200)
@given(st.text(), st.text(), st.text(), st.text())
def test_no_value_of_a_sender_breaks_the_reading_of_facts(url: str, host: str, sender: str, ip: str) -> None:
    seen = observations(decode(body(urls=[{"url": url, "host": host}], sender=sender, client_ip=ip)))
    assert all(normalise(o.indicator.kind, o.indicator.value) == o.indicator for o in seen)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_no_header_breaks_the_reader_or_reorders_its_line(raw: bytes) -> None:
    shown = decoding.header_text(raw)
    assert len(shown) <= decoding.MAX_HEADER_CHARS
    assert not any(ord(c) < 32 or 0x202A <= ord(c) <= 0x202E for c in shown)


def test_mailgate_loads_without_django() -> None:
    code = "import sys, beffroi.mail.gate.app; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_name_of_quarantine_is_another_one_in_each_installation(tmp_path: Path) -> None:
    names = [layout.quarantine_folder(Config(state=tmp_path / name)) for name in ("a", "b")]
    assert len({*names}) == 2
    assert names[0] == layout.quarantine_folder(Config(state=tmp_path / "a"))
    assert all(len(name.partition("/")[0]) == len("beffroi-") + 32 for name in names)


def test_an_identifier_tells_when_it_was_made() -> None:
    with clock.shifted(3600):
        assert abs(made_at_s(new_id("msg")) - clock.epoch()) < 60


@pytest.mark.parametrize(
    ("header", "in_the_journal"),
    [
        ("<a@b>", "<a@b>"),
        ("(copieur) <scan@copieur>", "<scan@copieur>"),
        ("< scan\n 12@copieur >", "<scan12@copieur>"),
        ('<"scan 12"@copieur>', "<scan 12@copieur>"),
        ("<num\u00e9ris\u00e9@copieur>", "<num\ufffdris\ufffd@copieur>"),
        ("<sans arobase> <scan@copieur>", "<scan@copieur>"),
        ("<(x)b@c>", "<b@c>"),
        ("<a@(x)c>", "<a@c>"),
        ("<a@c(x)>", "<a@c>"),
        ("<a.(x)b@c>", "<a.b@c>"),
        ("<[a]@c>", "<[a]@c>"),
        ("<a@[1.2.3.4]>", "<a@[1.2.3.4]>"),
        ("<a@c(x)d> <e@f>", "<e@f>"),
        ('<"a(x)b"@c>', "<a(x)b@c>"),
        ('<"a@b"@c>', "<a@b@c>"),
        ("<a(\\)x)@c>", "<a@c>"),
        ("<@c>", "<@c>"),
        ("<a..b@c>", "<a..b@c>"),
        ('<"a\\"b"@c>', '<a"b@c>'),
        ("<<a@b>", "<<a@b>"),
        ("<a@c:1>", "<a@c:1>"),
        ("(<a@c>) <e@f>", "<a@c>"),
        ("<a((x)(y))@c>", "<a@c>"),
    ],
)
def test_a_message_id_that_breaks_the_rules_is_the_same_in_the_header_and_in_the_journal(
    header: str, in_the_journal: str
) -> None:
    assert facts_module.is_named(header)
    assert facts_module.hash_of_message_id(header) == facts_module.hash_of_message_id(in_the_journal)
    assert facts_module.hash_of_message_id(header) != facts_module.hash_of_message_id("<autre@copieur>")


@pytest.mark.parametrize(
    "header",
    [
        "<a(x)b@c>",
        "<a@b(x)c>",
        "<a(x@c>",
        "<a((x)y)b@c>",
        '<a"x"@c>',
        "<a b(x)@c>",
        "<a (x) b@c>",
        "<(x)a@c:1>",
        "<(x)a@b@c>",
        "<a,b(x)@c>",
        "<(x)a@c..d>",
        "<(x)a..b@c>",
        "<(x)a.@c>",
        "<a@c",
    ],
)
def test_a_message_id_in_which_dovecot_finds_none_is_none(header: str) -> None:
    assert not facts_module.is_named(header)


@pytest.mark.parametrize("sign", ["<@(", "<", "<a.", '<"', "<(\\(", "<(", "<a(x)", '<"\\"'])
def test_a_header_of_many_brackets_is_read_in_one_go(sign: str) -> None:
    assert not facts_module.is_named(sign * 300_000)
    assert not facts_module.is_named(sign * 300_000 + "(")
