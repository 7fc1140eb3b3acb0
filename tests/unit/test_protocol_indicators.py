"""One canonical spelling: hostile spellings of one thing compare equal, and nothing ambiguous passes."""

from __future__ import annotations

import re

import pytest
from beffroi_protocol import indicators
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, is_canonical, normalise, registered_names
from hypothesis import given, settings
from hypothesis import strategies as st

SPELLINGS = [
    ("domain", "CÔTEDOR.fr.", "xn--ctedor-ixa.fr"),
    ("domain", "evil。com", "evil.com"),
    ("domain", "ｅｖｉｌ.com", "evil.com"),
    ("domain", "faß.de", "xn--fa-hia.de"),  # not fass.de, which is another's
    ("domain", "_dmarc.evil.com", "_dmarc.evil.com"),
    ("ip", "::FFFF:1.2.3.4", "1.2.3.4"),
    ("ip", "2001:0DB8::0001", "2001:db8::1"),
    ("cidr", "1.2.3.4/24", "1.2.3.0/24"),
    ("cidr", "1.2.3.0/255.255.255.0", "1.2.3.0/24"),
    ("cidr", "::ffff:1.2.3.0/120", "1.2.3.0/24"),
    ("sender", "<Facture@EVIL.com>", "facture@evil.com"),
    ("sha256", "A" * 64, "a" * 64),
    ("url", "HTTP://u:p@Evil.COM:80/a/../b/%7euser?q=%2f#f", "http://evil.com/b/~user?q=%2F"),
    ("url", "http://evil.com\\@mairie.fr/", "http://evil.com/@mairie.fr/"),
    ("url", "http://mairie.fr@evil.com/", "http://evil.com/"),
    ("url", "http://evil%2ecom/", "http://evil.com/"),
    ("url", "https:evil.com/x", "https://evil.com/x"),
    ("url", "https:///evil.com/x", "https://evil.com/x"),
    ("url", "ht\ntps://ev\til.com/x", "https://evil.com/x"),
    ("url", "http://evil.com", "http://evil.com/"),
    ("url", "http://evil.com?x=1", "http://evil.com/?x=1"),
    ("url", "http://evil.com//b", "http://evil.com//b"),
    ("url", "http://evil.com/%2e%2e/x", "http://evil.com/x"),
    ("url", "http://evil.com/a b/é", "http://evil.com/a%20b/%C3%A9"),
    ("url", "http://3232235777/x", "http://192.168.1.1/x"),
    ("url", "http://0300.0250.1.1/x", "http://192.168.1.1/x"),
    ("url", "http://0x7f.1/", "http://127.0.0.1/"),
    ("url", "http://１.２.３.４/", "http://1.2.3.4/"),
    ("url", "http://[::FFFF:1.2.3.4]/", "http://1.2.3.4/"),
    ("url", "https://evil.com:8443/", "https://evil.com:8443/"),
]
REFUSED = [
    ("domain", ""),
    ("domain", "fr"),
    ("domain", "a..fr"),
    ("domain", "a.fr.."),
    ("domain", "-a.fr"),
    ("domain", "1.2.3.4"),
    ("domain", "a.0x1"),
    ("domain", "a b.fr"),
    ("domain", "a\x00.fr"),
    ("domain", "a\ud800.fr"),
    ("domain", "a\u200db.fr"),
    ("domain", "x" * 64 + ".fr"),
    ("domain", "x." * 127 + "fr"),
    ("ip", "1.2.3"),
    ("ip", "01.2.3.4"),
    ("ip", "１.2.3.4"),
    ("ip", "fe80::1%eth0"),
    ("ip", "example.com"),
    ("cidr", "1.2.3.0/33"),
    ("cidr", "1.2.3.0/0.255.0.255"),
    ("cidr", "fe80::%eth0/64"),
    ("url", "ftp://evil.com/"),
    ("url", "javascript:alert(1)"),
    ("url", "http://evil.com:99999/"),
    ("url", "http://[fe80::1%25eth0]/"),
    ("url", "http://[v1.x]/"),
    ("url", "http://evil%00.com/"),
    ("url", "http://evil%ff.com/"),
    ("url", "http:///"),
    ("url", "http://evil.com/\ud800"),
    ("url", "http://1.2.3.4.5/"),
    ("url", "http://evil.com/" + "é" * 1000),
    ("sender", "evil.com"),
    ("sender", "@evil.com"),
    ("sender", "a\u202eb@evil.com"),
    ("sender", "a\x7fb@evil.com"),
    ("sender", "a\ud800@evil.com"),
    ("sha256", "a" * 63),
    ("sketch", "xyz"),
    ("reporter", "a"),
]


@pytest.mark.parametrize(("kind", "given_value", "canonical"), SPELLINGS)
def test_spellings_of_one_thing_become_one(kind: str, given_value: str, canonical: str) -> None:
    assert normalise(kind, given_value) == Indicator(Kind(kind), canonical)


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_what_readers_would_read_differently_is_refused(kind: str, value: str) -> None:
    with pytest.raises(IndicatorInvalid):
        normalise(kind, value)


def test_a_network_of_one_address_is_that_address() -> None:
    assert normalise("cidr", "1.2.3.4/32") == normalise("ip", "1.2.3.4")
    assert normalise("cidr", "2001:db8::1/128") == normalise("ip", "2001:db8::1")


def test_parents_come_longest_first() -> None:
    assert registered_names("a.b.c") == ["a.b.c", "b.c", "c"]


texts = st.one_of(
    st.text(max_size=60),
    st.from_regex(r"https?:[/\\]{0,3}[a-zA-Z0-9.%@:\[\]\\]{1,30}[/?#]?[a-z./%?#&é ]{0,20}", fullmatch=True),
    st.from_regex(r"[a-zßéＡ。.0-9-]{1,20}", fullmatch=True),
    st.ip_addresses().map(str),
)


@given(st.sampled_from(list(Kind)), texts)
@settings(deadline=None, max_examples=500)
def test_normalising_twice_changes_nothing(kind: Kind, text: str) -> None:
    try:
        once = normalise(kind, text)
    except IndicatorInvalid:
        return
    assert normalise(once.kind, once.value) == once
    assert is_canonical(once)
    assert once.value.isascii() or kind is Kind.SENDER


_PIECES = st.sampled_from(
    ["a", "x-1", "-", "0x", "0xa", "12", "xn--e1a", "A", "_dmarc", "é", "", "a" * 63, "a" * 64, "com"]
)


@given(st.lists(_PIECES, min_size=1, max_size=6).map(".".join) | st.text("a0x-_.", max_size=12))
@settings(max_examples=500)
def test_what_is_taken_for_canonical_at_a_glance_is_what_the_long_way_leaves_as_it_is(text: str) -> None:
    def long_way() -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(indicators, "_CANONICAL_NAME", re.compile(r"(?!)"))
            return normalise(Kind.DOMAIN, text).value

    try:
        expected = long_way()
    except IndicatorInvalid:
        with pytest.raises(IndicatorInvalid):
            normalise(Kind.DOMAIN, text)
        return
    assert normalise(Kind.DOMAIN, text).value == expected
    assert (len(text) <= 253 and bool(indicators._CANONICAL_NAME.fullmatch(text))) is (text == expected)


@given(st.text("a.", max_size=12))
def test_registered_names_are_the_name_and_its_parents(name: str) -> None:
    labels = name.split(".")
    assert registered_names(name) == [".".join(labels[i:]) for i in range(len(labels))]
