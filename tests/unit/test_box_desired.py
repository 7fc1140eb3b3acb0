"""What a box decides to refuse: policy, tables and the protected floor in, kernel sets and names out."""

from __future__ import annotations

from random import Random

import pytest
from beffroi_box import desired as desired_module
from beffroi_box.desired import Delta, Desired, Own, extras_of, lives_ms
from beffroi_box.ruleset import HOT_SIZE
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.messages import Action, Entry, Policy
from beffroi_protocol.protected import Floor
from beffroi_protocol.table import Change
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 1_800_000_000
LATER = NOW + 3600
OWN = Own(names=("boitiers.cotedor.fr",), networks=("185.10.20.1", "185.11.30.0/24", "2a0c:e300:2::/64"))
POLICY = Policy(
    centre_addresses=("185.10.21.1",),
    centre_names=("portail.cotedor.fr",),
    protected_names=("beaune.fr",),
    protected_networks=("45.83.66.0/24",),
)


def entry(
    kind: Kind, value: str, *, name: str = "", end: int = LATER, action: Action = Action.BLOCK
) -> Entry:
    return Entry(name or f"dec_{value}", Indicator(kind, value), action, end)


def change(
    *added: Entry, removed: tuple[Entry, ...] = (), reset: bool = False, channel: str = "box"
) -> Change:
    return Change(channel, 1, 1, added, removed, reset)


def new() -> Desired:
    return Desired(Floor(*extras_of(POLICY, OWN)))


ENFORCED = [
    (Kind.IP, "45.83.64.7", "hot"),
    (Kind.IP, "2a0e:b107:10::7", "hot"),
    (Kind.CIDR, "45.83.65.0/24", "nets"),
    (Kind.CIDR, "2a0e:b107:11::/48", "nets"),
    (Kind.DOMAIN, "colis-suivi-livraison.com", "names"),
]


@pytest.mark.parametrize(("kind", "value", "where"), ENFORCED)
def test_an_entry_ends_in_the_set_of_its_kind(kind: Kind, value: str, where: str) -> None:
    desired = new()
    delta = desired.change(change(entry(kind, value)), now=NOW)
    held = {name: dict(getattr(desired, name)) for name in ("hot", "nets", "names")}
    assert held == {"hot": {}, "nets": {}, "names": {}} | {where: {value: LATER}}
    assert (delta.kernel, delta.names, delta.refused) == (where != "names", where == "names", [])


REFUSED = [
    (Kind.DOMAIN, "gouv.fr", "the State"),
    (Kind.DOMAIN, "impots.gouv.fr", "a name of the State"),
    (Kind.DOMAIN, "fr", "a public suffix"),
    (Kind.DOMAIN, "boitiers.cotedor.fr", "the centre's name"),
    (Kind.DOMAIN, "cotedor.fr", "the name above the centre's"),
    (Kind.DOMAIN, "portail.cotedor.fr", "a name of the centre in the policy"),
    (Kind.DOMAIN, "mail.beaune.fr", "below a protected name of the policy"),
    (Kind.IP, "185.10.20.1", "the centre"),
    (Kind.IP, "185.10.21.1", "the centre's address in the policy"),
    (Kind.IP, "185.11.30.77", "an address of the LAN"),
    (Kind.IP, "2a0c:e300:2::abcd", "an IPv6 address of the LAN"),
    (Kind.IP, "45.83.66.1", "a protected network of the policy"),
    (Kind.IP, "192.168.1.1", "a private address"),
    (Kind.IP, "127.0.0.1", "loopback"),
    (Kind.CIDR, "185.10.20.0/24", "a prefix around the centre"),
    (Kind.CIDR, "0.0.0.0/0", "everything"),
    (Kind.CIDR, "45.83.0.0/16", "a prefix that is too wide"),
    (Kind.CIDR, "2a0e:b107::/32", "an IPv6 prefix that is too wide"),
    (Kind.IP, "045.83.64.7", "another spelling, which an engine could read as another address"),
    (Kind.IP, "::ffff:45.83.64.7", "an IPv4 address dressed as IPv6"),
    (Kind.DOMAIN, "Colis-Suivi.com", "capitals"),
    (Kind.DOMAIN, "evil.com\nlocal-zone", "a line feed, which would be a line of Unbound's configuration"),
    (Kind.IP, "not an address", "no address"),
]


@pytest.mark.parametrize(("kind", "value", "why"), REFUSED, ids=[why for _, _, why in REFUSED])
def test_a_protected_or_odd_entry_is_refused_and_told(kind: Kind, value: str, why: str) -> None:
    desired = new()
    bad, good = entry(kind, value), entry(Kind.IP, "45.83.64.7")
    delta = desired.change(change(bad, good), now=NOW)
    assert [told for told, _ in delta.refused] == [bad], why
    assert delta.refused[0][1]
    assert desired.hot == {"45.83.64.7": LATER} and not desired.nets and not desired.names


def test_entries_of_other_actions_and_ended_entries_are_not_enforced() -> None:
    desired = new()
    delta = desired.change(
        change(
            entry(Kind.IP, "45.83.64.7", action=Action.WARN),
            entry(Kind.IP, "45.83.64.8", end=NOW),
            entry(Kind.SHA256, "a" * 64),
        ),
        now=NOW,
    )
    assert not desired.hot and not delta.kernel and not delta.refused


def test_an_address_listed_twice_stays_until_its_last_entry_goes() -> None:
    desired = new()
    one = entry(Kind.IP, "45.83.64.7", name="dec_1")
    two = entry(Kind.IP, "45.83.64.7", name="dec_2", end=LATER + 60)
    desired.change(change(one), now=NOW)
    assert desired.change(change(two, channel="box@col_1"), now=NOW).hot_add == {"45.83.64.7": LATER + 60}
    assert not desired.change(change(removed=(one,)), now=NOW).hot_remove
    assert desired.change(change(removed=(two,), channel="box@col_1"), now=NOW).hot_remove == {"45.83.64.7"}


def test_a_snapshot_replaces_its_own_channel_only() -> None:
    desired = new()
    desired.change(change(entry(Kind.IP, "45.83.64.7"), entry(Kind.DOMAIN, "a-b.com")), now=NOW)
    desired.change(change(entry(Kind.IP, "45.83.64.8"), channel="box@col_1"), now=NOW)
    delta = desired.change(change(entry(Kind.IP, "45.83.64.9"), reset=True), now=NOW)
    assert desired.hot.keys() == {"45.83.64.8", "45.83.64.9"}
    assert (delta.hot_remove, delta.names_remove) == ({"45.83.64.7"}, {"a-b.com"})


def test_prefixes_are_given_to_the_kernel_without_overlaps() -> None:
    desired = new()
    delta = desired.change(
        change(*(entry(Kind.CIDR, n) for n in ("45.83.64.0/24", "45.83.64.0/25", "45.83.65.0/24"))), now=NOW
    )
    assert delta.networks == ("45.83.64.0/23",)


def test_entries_end_without_a_word_from_the_centre() -> None:
    desired = new()
    desired.change(
        change(
            entry(Kind.IP, "45.83.64.7"), entry(Kind.CIDR, "45.83.65.0/24"), entry(Kind.DOMAIN, "a-b.com")
        ),
        now=NOW,
    )
    assert desired.expire(now=LATER - 1) == Delta()
    delta = desired.expire(now=LATER)
    assert (delta.hot_remove, delta.networks, delta.names_remove) == ({"45.83.64.7"}, (), {"a-b.com"})


def test_a_policy_that_protects_more_releases_what_it_protects() -> None:
    desired = new()
    desired.change(change(entry(Kind.DOMAIN, "dijon.fr"), entry(Kind.IP, "45.83.64.7")), now=NOW)
    floor = Floor(*extras_of(Policy(protected_names=("dijon.fr",)), OWN))
    delta = desired.set_floor(floor, now=NOW)
    assert delta.names_remove == {"dijon.fr"} and desired.hot == {"45.83.64.7": LATER}
    assert [told.indicator.value for told, _ in delta.refused] == ["dijon.fr"]


def test_a_policy_that_protects_something_unreadable_is_refused() -> None:
    with pytest.raises(IndicatorInvalid):
        Floor(*extras_of(Policy(protected_networks=("everything",)), OWN))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("45.83.64.7", "dec_45.83.64.7"),
        ("45.83.65.200", "dec_45.83.65.0/24"),
        ("2a0e:b107:11:5::1", "dec_2a0e:b107:11::/48"),
        ("45.83.67.1", ""),
        ("::1", ""),
    ],
)
def test_the_record_of_a_blocked_packet_names_its_entry(address: str, found: str) -> None:
    desired = new()
    desired.change(change(*(entry(kind, value) for kind, value, _ in ENFORCED)), now=NOW)
    entry_found = desired.entry_for_address(address)
    assert (entry_found.id if entry_found else "") == found


def test_kernel_timeouts_are_never_zero() -> None:
    assert lives_ms({"a": NOW + 2, "b": NOW - 5}, now=NOW) == {"a": 2000, "b": 1000}


VALUES = (
    *(entry(Kind.IP, f"45.83.64.{n}", name=f"dec_a{n}") for n in range(4)),
    *(entry(Kind.CIDR, f"45.83.64.{n}/30", name=f"dec_c{n}") for n in (0, 4)),
    *(entry(Kind.DOMAIN, f"site-{n}.com", name=f"dec_d{n}") for n in range(3)),
    entry(Kind.DOMAIN, "gouv.fr"),
)
STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["box", "box@col_1"]), st.sets(st.sampled_from(VALUES))),
    max_size=8,
)


@given(steps=STEPS)
@settings(deadline=None)
def test_small_changes_lead_where_a_fresh_start_leads(steps: list[tuple[bool, str, set[Entry]]]) -> None:
    """Kernel and resolver, fed with deltas only, end as if everything had been loaded at once."""
    desired, hot, names = new(), dict[str, int](), set[str]()
    networks: tuple[str, ...] = ()
    held: dict[str, set[Entry]] = {"box": set(), "box@col_1": set()}
    for adds, channel, entries in steps:
        mine = tuple(sorted(entries))
        held[channel] = held[channel] | entries if adds else held[channel] - entries
        delta = desired.change(
            change(*mine, channel=channel) if adds else change(removed=mine, channel=channel), now=NOW
        )
        hot = {a: e for a, e in {**hot, **delta.hot_add}.items() if a not in delta.hot_remove}
        names = (names | delta.names_add) - delta.names_remove
        networks = networks if delta.networks is None else delta.networks
    fresh = new()
    for channel, entries in held.items():
        fresh.change(change(*sorted(entries), channel=channel), now=NOW)
    assert (hot, names, networks) == (fresh.hot, set(fresh.names), fresh.networks())
    assert "gouv.fr" not in names
    assert all(normalise(Kind.DOMAIN, n).value == n for n in names)


ADDRESSES = [f"45.83.64.{n}" for n in range(1, 9)]
MOST = 4


def told(delta: Delta, kernel: dict[str, int]) -> None:
    """What the kernel holds after it, as ``Kernel.change`` does it."""
    for address in delta.hot_remove:
        kernel.pop(address, None)
    kernel.update(delta.hot_add)


@given(
    st.lists(st.tuples(st.sampled_from(ADDRESSES), st.sampled_from([0, 1, 2, 3])), max_size=25), st.randoms()
)
@settings(deadline=None, max_examples=60)
def test_beyond_what_the_kernel_holds_the_latest_are_enforced_and_nothing_is_forgotten(
    history: list[tuple[str, int]], chance: Random
) -> None:
    assert desired_module.MOST_ADDRESSES < HOT_SIZE
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(desired_module, "MOST_ADDRESSES", MOST)
        desired, kernel, wanted, now = new(), dict[str, int](), dict[str, int](), NOW
        for address, hours in history:
            made = entry(Kind.IP, address, end=NOW + hours * 3600)
            if hours:
                is_news = wanted.get(address) != made.expires_at
                wanted[address] = made.expires_at
                told(desired.change(change(made), now=now), kernel)
                assert address in kernel or made.expires_at <= now or not is_news, (
                    "what came last is enforced"
                )
            elif address in wanted:
                del wanted[address]
                told(desired.change(change(removed=(made,)), now=now), kernel)
            if chance.random() < 0.5:
                now += 1000
                told(desired.expire(now=now), kernel)
                wanted = {one: end for one, end in wanted.items() if end > now}
                told(desired.set_floor(Floor(*extras_of(POLICY, OWN)), now=now), kernel)
            assert kernel == desired.hot
            active = {one: end for one, end in wanted.items() if end > now}
            assert {one: end for one, end in (desired.hot | desired.left_out).items() if end > now} == active
            assert len(kernel) == min(MOST, len(desired.hot | desired.left_out))


def test_the_first_address_without_room_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desired_module, "MOST_ADDRESSES", MOST)
    desired = new()
    whole = change(*(entry(Kind.IP, address) for address in ADDRESSES[:6]))
    delta = desired.change(whole, now=NOW)
    assert [(one.indicator.value, why) for one, why in delta.refused] == [
        (ADDRESSES[0], desired_module.NO_ROOM)
    ]
    assert list(desired.hot) == ADDRESSES[2:6] and list(desired.left_out) == ADDRESSES[:2]
    assert not desired.change(change(entry(Kind.IP, ADDRESSES[7])), now=NOW).refused
    delta = desired.change(change(removed=(entry(Kind.IP, ADDRESSES[7]),)), now=NOW)
    assert (delta.hot_add, delta.hot_remove) == ({ADDRESSES[2]: LATER}, {ADDRESSES[7]})
