"""Formats of outside sources: what counts, what is left out, what is refused; samples as publishers write them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from beffroi.watch.sources import errors
from beffroi.watch.sources.errors import SourceError
from beffroi.watch.sources.fetch import parse
from beffroi.watch.sources.formats import misp, rss, stix, text
from beffroi.watch.sources.formats.values import Found, of_text
from beffroi.watch.sources.handover import Ask
from hypothesis import given, settings
from hypothesis import strategies as st

NOW_S = 1_800_000_000
HASH = "a" * 64


def asked(format_: str = "plain", **options: Any) -> Ask:
    return Ask("1", "src_x", format_, **options)


def pairs(found: Found) -> list[tuple[str, str]]:
    return [(one.kind, one.value) for one in found.values]


@pytest.mark.parametrize(
    ("bare", "kind", "value"),
    [
        ("203.0.113.7", "ip", "203.0.113.7"),
        ("203.0.113.7:443", "ip", "203.0.113.7"),
        ("203.0.113.7/32", "ip", "203.0.113.7/32"),
        ("203.0.113.0/24", "cidr", "203.0.113.0/24"),
        ("2001:db8::7", "ip", "2001:db8::7"),
        ("2001:db8::/32", "cidr", "2001:db8::/32"),
        ("lure[.]example.net", "domain", "lure.example.net"),
        ("hxxps://lure.example/a", "url", "https://lure.example/a"),
        (HASH, "sha256", HASH),
        ("fraud@lure.example", "sender", "fraud@lure.example"),
        ("not-a-thing", None, ""),
        ("12:34", None, ""),
        ("../../etc/passwd", None, ""),
    ],
)
def test_a_bare_text_gets_the_kind_that_its_shape_says(bare: str, kind: str | None, value: str) -> None:
    found = of_text(bare)
    assert (found.kind, found.value) == (kind, value) if found else kind is None


def test_a_plain_list_as_ipsum_writes_it() -> None:
    found = text.plain(asked(), "# IPsum\n#\n77.90.185.20\t10\n77.239.124.102\t10\n\nnonsense\n; end\n")
    assert pairs(found) == [("ip", "77.90.185.20"), ("ip", "77.239.124.102")]
    assert found.invalid == 1


def test_a_table_as_urlhaus_writes_it() -> None:
    table = (
        "# comment\n"
        '"3701","2026-11-24 19:01:00","http://203.0.113.7:8080/a,b.sh","online","malware_download"\n'
        '"3702","2026-11-24 19:02:00","not a url","online","malware_download"\n"3703"\n'
    )
    found = text.table(asked(column="3"), table)
    assert pairs(found) == [("url", "http://203.0.113.7:8080/a,b.sh")]
    assert found.invalid == 2


def test_a_table_with_types_as_misp_exports_it_for_cert_fr() -> None:
    table = (
        "uuid,event_id,category,type,value,comment,to_ids\n"
        f'1,7,Network,domain,lure.example.net,"a, b",1\n2,7,Network,ip-dst|port,203.0.113.7|443,,1\n'
        f"3,7,Payload,filename|sha256,x.exe|{HASH},,1\n4,7,Payload,md5,0cc175b9c0f1b6a831c399e269772661,,1\n"
    )
    found = text.table(asked(column="value", type_column="type", header=True), table)
    assert pairs(found) == [("domain", "lure.example.net"), ("ip", "203.0.113.7"), ("sha256", HASH)]
    assert found.unsupported == 1


@pytest.mark.parametrize(
    ("options", "table"),
    [
        ({"column": "host", "header": True}, "name;date\nx;y\n"),
        ({"column": "host"}, "a,b\n"),
        ({"delimiter": "ab"}, "a,b\n"),
        ({"column": "1"}, '"never closed\n' * 3),
        ({"column": "1"}, '"' + "x" * 100_000 + '"'),
    ],
)
def test_a_table_that_is_not_what_was_chosen_is_refused(options: dict[str, Any], table: str) -> None:
    with pytest.raises(errors.Unreadable):
        text.table(asked(**options), table)


def test_a_hosts_file_lists_what_leads_nowhere() -> None:
    page = "127.0.0.1 localhost\n0.0.0.0 lure.example.net b.example.net # both\n::1 ip6-localhost\n192.0.2.1 x.fr\n"
    found = text.hosts(asked(), page)
    assert pairs(found) == [("domain", "lure.example.net"), ("domain", "b.example.net")]
    assert found.unsupported == 1


EVENT = {
    "Event": {
        "uuid": "5f4b8e2a-0000-4000-8000-000000000001",
        "Attribute": [
            {"type": "ip-dst", "value": "203.0.113.7", "to_ids": True},
            {"type": "ip-src", "value": "198.51.100.0/24", "to_ids": True},
            {"type": "domain|ip", "value": "lure.example.net|203.0.113.8", "to_ids": True},
            {"type": "url", "value": "https://lure.example.net/a", "to_ids": True},
            {"type": "domain", "value": "context.example.net", "to_ids": False},
            {"type": "domain", "value": "gone.example.net", "to_ids": True, "deleted": True},
            {"type": "md5", "value": "0" * 32, "to_ids": True},
            {"type": "ip-dst", "value": "not an address", "to_ids": True},
        ],
        "Object": [
            {"name": "file", "Attribute": [{"type": "sha256", "value": HASH, "to_ids": True}]},
            {
                "name": "file",
                "deleted": True,
                "Attribute": [{"type": "sha256", "value": "b" * 64, "to_ids": True}],
            },
        ],
    }
}


@pytest.mark.parametrize("shape", [EVENT, [EVENT], {"response": [EVENT]}])
def test_a_misp_event_gives_what_its_author_marked_for_detection(shape: object) -> None:
    found = misp.read(json.dumps(shape).encode())
    assert pairs(found) == [
        ("ip", "203.0.113.7"),
        ("cidr", "198.51.100.0/24"),
        ("domain", "lure.example.net"),
        ("ip", "203.0.113.8"),
        ("url", "https://lure.example.net/a"),
        ("sha256", HASH),
    ]
    assert (found.invalid, found.unsupported) == (1, 1)


def test_a_misp_manifest_names_events_newest_first_and_nothing_that_leads_elsewhere() -> None:
    one, two = "5f4b8e2a-0000-4000-8000-000000000001", "5f4b8e2a-0000-4000-8000-000000000002"
    data = {one: {"timestamp": "1700000000"}, two: {"timestamp": 1800000000}, "../../x": {"timestamp": 1}}
    assert misp.manifest(json.dumps(data).encode()) == [(two, 1800000000), (one, 1700000000)]


def indicator(pattern: str, number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        **fields,
    }


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        ("[ipv4-addr:value = '203.0.113.7']", ["203.0.113.7"]),
        ("[ipv4-addr:value = '198.51.100.0/24']", ["198.51.100.0/24"]),
        (
            "[domain-name:value='a.example.net' OR domain-name:value = 'b.example.net']",
            ["a.example.net", "b.example.net"],
        ),
        ("[url:value = 'https://a.example/x?q=\\'1\\'']", ["https://a.example/x?q='1'"]),
        (f"[file:hashes.'SHA-256' = '{HASH}']", [HASH]),
        (f"[file:hashes.SHA256 = '{HASH}']", [HASH]),
        ("[ipv4-addr:value IN ('203.0.113.7', '203.0.113.8')]", ["203.0.113.7", "203.0.113.8"]),
        (
            "[ipv4-addr:value = '203.0.113.7'] OR [ipv6-addr:value = '2001:db8::7']",
            ["203.0.113.7", "2001:db8::7"],
        ),
        ("[domain-name:value = 'a.example' AND network-traffic:dst_port = 443]", None),
        ("[domain-name:value = 'a.example'] FOLLOWEDBY [url:value = 'https://a.example/']", None),
        ("[domain-name:value != 'a.example']", None),
        ("[domain-name:value LIKE '%.example']", None),
        ("[domain-name:value MATCHES '.*']", None),
        ("[windows-registry-key:key = 'HKLM']", None),
        ("[domain-name:value = 'a.example'] WITHIN 5 SECONDS", None),
        ("[domain-name:value = 'a.example'", None),
        ("", None),
        ("[" * 10_000, None),
        ("[domain-name:value = '" + "\\" * 65_000, None),
    ],
)
def test_a_stix_pattern_counts_when_each_alternative_is_one_equality(
    pattern: str, values: list[str] | None
) -> None:
    found = stix.alternatives(pattern)
    assert (None if found is None else [value for _, value in found]) == values


def test_a_stix_bundle_withdraws_what_is_revoked_or_over_and_the_latest_version_counts() -> None:
    ip = "[ipv4-addr:value = '203.0.113.{}']"
    objects = [
        indicator(ip.format(1), 1, valid_until="2030-01-01T00:00:00Z"),
        indicator(ip.format(2), 2),
        indicator(ip.format(2), 2, modified="2026-02-01T00:00:00.000Z", revoked=True),
        indicator(ip.format(3), 3, valid_until="2026-06-01T00:00:00Z"),
        indicator(ip.format(4), 4, valid_until="no date"),
        indicator("rule x {}", 5, pattern_type="yara"),
        {"type": "malware", "id": "malware--1", "pattern": 7},
    ]
    found = stix.read(
        json.dumps({"type": "bundle", "id": "bundle--1", "objects": objects}).encode(), now_s=NOW_S
    )
    assert [(one.value, one.valid_until, one.withdrawn) for one in found.values] == [
        ("203.0.113.1", 1893456000, False),
        ("203.0.113.2", 0, True),
        ("203.0.113.3", 1780272000, True),
    ]
    assert (found.invalid, found.unsupported) == (1, 1)


RSS = """<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>CERT-FR</title>
<item><title>CERTFR-2026-ALE-001 : Vulnérabilité &amp; exploitation</title><link>https://www.cert.ssi.gouv.fr/alerte/1/</link>
<pubDate>Tue, 24 Nov 2026 10:00:00 +0100</pubDate></item>
<item><title>Elsewhere</title><link>javascript:alert(1)</link></item></channel></rss>"""


def test_news_inform_and_name_nothing() -> None:
    found = rss.read(RSS.encode())
    assert found.values == []
    assert [(one.title, one.link) for one in found.notes] == [
        ("CERTFR-2026-ALE-001 : Vulnérabilité & exploitation", "https://www.cert.ssi.gouv.fr/alerte/1/")
    ]


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c SYSTEM "file:///etc/passwd">]><rss><channel><item><title>&b;&c;</title></item></channel></rss>'
)


@pytest.mark.parametrize(
    ("format_", "data", "error"),
    [
        ("rss", LAUGHS.encode(), errors.Unreadable),
        ("rss", b"<rss>" + b"<a>" * 100 + b"</rss>", errors.TooDeep),
        ("rss", b"\xff\xfe<", errors.Unreadable),
        ("rss", b'<?xml version="1.0" encoding="ATF-8"?><rss/>', errors.Unreadable),
        ("plain", "203.0.113.7\n".encode("utf-16"), errors.NotText),
        ("plain", "é.example\n".encode("latin-1"), errors.NotText),
        ("plain", b"203.0.113.7\0\n", errors.NotText),
        ("plain", b"\n <!DOCTYPE html><html>Sign in</html>", errors.WebPage),
        ("misp", b"<html><body>Sign in</body></html>", errors.WebPage),
        ("misp", b'{"Event": ' + b"[" * 200_000, errors.TooDeep),
        ("misp", b'{"Event": {"x": ' + b'{"a":' * 200_000, errors.TooDeep),
        ("stix", b'{"type": "bundle", "objects": [{"pattern": ' + b"[" * 200_000, errors.TooDeep),
        ("misp", b'{"Event": {"Attribute": 7}}', errors.Unreadable),
        ("misp", b"", errors.Unreadable),
        ("stix", b'{"objects": []}', errors.Unreadable),
        ("stix", b'{"type": "bundle", "objects": {}}', errors.Unreadable),
        ("plain", b"\x1f\x8b" + b"damaged", errors.ArchiveUnusable),
        ("plain", b"PK\x03\x04damaged", errors.ArchiveUnusable),
    ],
)
def test_a_hostile_body_has_its_own_clear_error(format_: str, data: bytes, error: type[SourceError]) -> None:
    with pytest.raises(error):
        parse(asked(format_), data, None)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=400), st.sampled_from(["plain", "csv", "hosts", "misp", "stix", "rss"]))
def test_any_bytes_are_read_or_refused_with_an_error_of_ours(data: bytes, format_: str) -> None:
    try:
        parse(asked(format_, header=True), data, None)
    except SourceError:
        return


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False), st.sampled_from(["misp", "stix", "rss", "csv"]))
def test_a_sample_with_flipped_bytes_is_read_or_refused(rng: random.Random, format_: str) -> None:
    samples = {
        "misp": json.dumps(EVENT),
        "stix": json.dumps({"type": "bundle", "objects": [indicator("[ipv4-addr:value = '203.0.113.7']")]}),
        "rss": RSS,
        "csv": 'a,"b",c\n1,2,3\n',
    }
    data = bytearray(samples[format_].encode())
    for _ in range(3):
        data[rng.randrange(len(data))] = rng.randrange(256)
    try:
        parse(asked(format_), bytes(data), None)
    except SourceError:
        return
