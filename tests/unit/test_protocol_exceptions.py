"""Local exceptions: what they open, for whom, and what they never open."""

from __future__ import annotations

import ipaddress

import pytest
from beffroi_protocol import layers
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, BulkList, Entry, Snapshot
from beffroi_protocol.table import DecisionTable, overlay
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1_000


def entry(number: int, kind: Kind, value: str, action: Action, expires_at: int = NOW + 60) -> Entry:
    return Entry(f"dec_{number}", Indicator(kind, value), action, expires_at)


def table(channel: str, *entries: Entry, lists: tuple[BulkList, ...] = ()) -> DecisionTable:
    made = DecisionTable(channel)
    made.apply(Snapshot(1, channel, 1, 1, NOW, NOW + 600, "", entries, lists), b"")
    return made


CASES = [
    # blocked,                         allowed,                           asked,              opened
    (("domain", "evil.com"), ("domain", "evil.com"), ("domain", "evil.com"), True),
    (("domain", "evil.com"), ("domain", "evil.com"), ("domain", "a.b.evil.com"), True),
    (("domain", "b.evil.com"), ("domain", "evil.com"), ("domain", "a.b.evil.com"), True),
    (("domain", "evil.com"), ("domain", "b.evil.com"), ("domain", "a.b.evil.com"), True),
    (("domain", "evil.com"), ("domain", "b.evil.com"), ("domain", "evil.com"), False),
    (("domain", "evil.com"), ("domain", "b.evil.com"), ("domain", "c.evil.com"), False),
    (("domain", "evil.com"), ("domain", "vil.com"), ("domain", "evil.com"), False),
    (("ip", "51.15.0.9"), ("ip", "51.15.0.9"), ("ip", "51.15.0.9"), True),
    (("cidr", "51.15.0.0/24"), ("ip", "51.15.0.9"), ("ip", "51.15.0.9"), True),
    (("cidr", "51.15.0.0/24"), ("ip", "51.15.0.9"), ("ip", "51.15.0.8"), False),
    (("ip", "51.15.0.9"), ("cidr", "51.15.0.0/24"), ("ip", "51.15.0.9"), True),
    (("ip", "51.15.0.9"), ("cidr", "51.15.0.0/29"), ("ip", "51.15.0.9"), False),
    (("ip", "2001:db8::9"), ("cidr", "2001:db8::/64"), ("ip", "2001:db8::9"), True),
    (("url", "https://evil.com/a"), ("url", "https://evil.com/a"), ("url", "https://evil.com/a"), True),
    (("url", "https://evil.com/a"), ("domain", "evil.com"), ("url", "https://evil.com/a"), False),
    (("sender", "x@evil.com"), ("sender", "x@evil.com"), ("sender", "x@evil.com"), True),
    (("sender", "x@evil.com"), ("domain", "evil.com"), ("sender", "x@evil.com"), False),
]


def ask(asked: tuple[str, str], tables: list[DecisionTable]) -> Entry | None:
    kind, value = Kind(asked[0]), asked[1]
    if kind is Kind.IP:
        return layers.match_address(value, tables, now=NOW)
    if kind is Kind.DOMAIN:
        return layers.match_name(value, tables, now=NOW)
    return layers.match(Indicator(kind, value), tables, now=NOW)


@pytest.mark.parametrize(("blocked", "allowed", "asked", "opened"), CASES, ids=str)
@pytest.mark.parametrize("where", ["mail", "mail@col_a"])
def test_an_exception_opens_what_it_covers_and_nothing_above(
    blocked: tuple[str, str], allowed: tuple[str, str], asked: tuple[str, str], opened: bool, where: str
) -> None:
    block = entry(1, Kind(blocked[0]), blocked[1], Action.BLOCK)
    allow = entry(2, Kind(allowed[0]), allowed[1], Action.ALLOW)
    base = table("mail", *((block,) if where == "mail" else ()))
    own = table("mail@col_a", allow, *((block,) if where != "mail" else ()))
    assert ask(asked, [base, table("mail@col_a", *(e for e in own if e is block))]) is block
    assert (ask(asked, [base, own]) is None) is opened


def test_an_exception_ends_by_itself() -> None:
    base = table("mail", entry(1, Kind.IP, "51.15.0.9", Action.BLOCK))
    own = table("mail@col_a", entry(2, Kind.IP, "51.15.0.9", Action.ALLOW, expires_at=NOW))
    assert layers.match_address("51.15.0.9", [base, own], now=NOW) is not None


def test_for_all_one_thing_may_pass_never_a_range_or_a_suffix_and_no_list() -> None:
    one = entry(1, Kind.IP, "51.15.0.9", Action.ALLOW)
    wide = (
        entry(2, Kind.CIDR, "51.15.0.0/23", Action.ALLOW),
        entry(3, Kind.CIDR, "::/0", Action.ALLOW),
        entry(4, Kind.CIDR, "2a0e:b106::/47", Action.ALLOW),
        entry(5, Kind.DOMAIN, "co.uk", Action.ALLOW),
    )
    bulk = BulkList("all.ip", Kind.IP, "0" * 64, 10, 1, Action.ALLOW)
    for channel, refused in (("box", wide), ("mail", wide), ("box@col_a", ())):
        made = DecisionTable(channel)
        change = made.apply(Snapshot(1, channel, 1, 1, NOW, NOW + 60, "", (one, *wide), (bulk,)), b"")
        assert set(made) == {one, *wide} - set(refused)
        assert change.refused == refused
        assert change.lists_refused == (bulk,)
        assert made.lists == {}


def test_observed_entries_refuse_nothing_and_the_strictest_of_the_others_counts() -> None:
    at = "51.15.0.9"
    base = table("mail", entry(1, Kind.IP, at, Action.WARN), entry(2, Kind.CIDR, "51.15.0.0/24", Action.WARN))
    assert layers.match_address(at, [base], now=NOW) is None
    quarantine, block = entry(3, Kind.IP, at, Action.QUARANTINE), entry(4, Kind.IP, at, Action.BLOCK)
    assert layers.match_address(at, [base, table("mail@a", quarantine)], now=NOW) is quarantine
    assert layers.match_address(at, [table("mail", quarantine), table("mail@a", block)], now=NOW) is block


values = st.one_of(
    st.tuples(st.just(Kind.IP), st.integers(0, 7).map(lambda n: f"51.15.0.{n}")),
    st.tuples(st.just(Kind.CIDR), st.integers(0, 3).map(lambda n: f"51.15.0.{4 * (n // 2)}/{30 - n % 2}")),
    st.tuples(st.just(Kind.DOMAIN), st.sampled_from(["evil.com", "a.evil.com", "b.a.evil.com", "other.com"])),
)
asked_values = st.one_of(
    st.integers(0, 7).map(lambda n: ("ip", f"51.15.0.{n}")),
    st.sampled_from(["evil.com", "a.evil.com", "c.evil.com", "other.com"]).map(lambda n: ("domain", n)),
)
local_entries = st.dictionaries(
    st.sampled_from(["col_a", "col_b", "col_c"]),
    st.lists(st.tuples(values, st.sampled_from([Action.ALLOW, Action.BLOCK]), st.booleans()), max_size=4),
)


@given(
    st.lists(values, max_size=6), local_entries, asked_values, st.sampled_from(["col_a", "col_b", "col_c"])
)
@settings(deadline=None)
def test_an_exception_never_weakens_another_commune(
    blocked: list[tuple[Kind, str]],
    local: dict[str, list[tuple[tuple[Kind, str], Action, bool]]],
    asked: tuple[str, str],
    commune: str,
) -> None:
    """Whatever the others allow, a commune's answer is the one it would have if it were alone."""
    base = table("mail", *(_canonical(n, one, Action.BLOCK) for n, one in enumerate(blocked)))
    overlays = {
        owner: table(
            overlay("mail", owner),
            *(
                _canonical(100 + n, one, action, NOW + (60 if alive else 0))
                for n, (one, action, alive) in enumerate(found)
            ),
        )
        for owner, found in local.items()
    }
    alone = [base, *(t for owner, t in overlays.items() if owner == commune)]
    answer = ask(asked, alone)
    assert _reference(asked, alone) == (answer is not None)
    # A commune that says nothing itself is as safe as the base channel makes it.
    if commune not in overlays:
        assert (ask(asked, [base]) is None) == (answer is None)


def _canonical(number: int, one: tuple[Kind, str], action: Action, expires_at: int = NOW + 60) -> Entry:
    kind, value = one
    if kind is Kind.CIDR:
        value = str(ipaddress.ip_network(value, strict=False))
    return entry(number, kind, value, action, expires_at)


def _reference(asked: tuple[str, str], tables: list[DecisionTable]) -> bool:
    """The definition, entry by entry, without any index."""
    covering = [e for t in tables for e in t if e.expires_at > NOW and _covers(e.indicator, asked)]
    return any(e.action is Action.BLOCK for e in covering) and not any(
        e.action is Action.ALLOW for e in covering
    )


def _covers(indicator: Indicator, asked: tuple[str, str]) -> bool:
    if asked[0] == "domain":
        same = indicator.kind is Kind.DOMAIN
        return same and (asked[1] == indicator.value or asked[1].endswith("." + indicator.value))
    return indicator.kind in (Kind.IP, Kind.CIDR) and ipaddress.ip_address(asked[1]) in ipaddress.ip_network(
        indicator.value
    )
