"""What a box hands to the kernel: nft text for the policy."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from beffroi_box.bulkrules import GENERATION, bulk_rules, next_generation
from beffroi_box.errors import PolicyInvalid
from beffroi_box.lanprobe import FAR_ADDRESS, FAR_ADDRESS6, probe_target, split_target
from beffroi_box.openings import OPENED
from beffroi_box.ruleset import Site, ruleset
from beffroi_box.tallies import ANSWERED, COUNTED
from beffroi_box.wanguard import PIECES
from beffroi_protocol.messages import InboundRule, Policy
from beffroi_protocol.openings import Opening
from beffroi_protocol.relaying import Device, Relay
from hypothesis import given, settings
from hypothesis import strategies as st

replaced = msgspec.structs.replace
SITE = Site("wan", "lan", ("185.10.20.1", "2a0c:e300:1::1"), 8443, forwarders=("185.10.20.53@5353",))


def chain(text: str, name: str) -> list[str]:
    """The rules of the last definition of a chain."""
    body = text.rsplit(f"chain {name} {{", 1)[1].split("\n  }", 1)[0]
    return [line.strip() for line in body.splitlines() if line.strip()]


def test_running_flows_are_cut_because_the_block_stands_before_established() -> None:
    text = ruleset(Policy(), SITE)
    for name, deny in (
        ("from_lan", "jump deny_out"), ("from_wan", "jump deny_in"), ("input_", "jump deny"), ("output_", "jump deny"),
    ):  # fmt: skip
        rules = chain(text, name)
        assert rules.index(deny) < rules.index("ct state established,related accept"), name
    assert chain(text, "forward_") == [
        PIECES, 'iifname "lan" goto from_lan', 'iifname "wan" goto from_wan', "jump deny", "goto forwarded",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "wan", "lan"),
    [
        ("router", 'iifname "wan"', 'iifname "lan"'),
        ("bridge", "meta mark and 0x3 == 0x1", "meta mark and 0x3 == 0x2"),
    ],
)
def test_the_far_end_is_asked_for_and_both_ends_of_what_comes_from_elsewhere(
    mode: str, wan: str, lan: str
) -> None:
    text = ruleset(Policy(mode=mode), SITE)
    assert chain(text, "deny") == [
        f"{lan} goto deny_out", f"{wan} goto deny_in", "jump deny_in", "goto deny_out",
    ]  # fmt: skip
    for way, side in (("in", "saddr"), ("out", "daddr")):
        assert chain(text, f"deny_{way}") == [
            *(
                f"{family} {side} != @hot{version} {family} {side} != @cold{version} goto bulk_{way}"
                for family, version in (("ip", 4), ("ip6", 6))
            ),
            *(f"meta nfproto ipv{version} goto blocked_{way}{version}" for version in (4, 6)),
        ]


def test_what_is_listed_passes_if_the_box_needs_it_or_an_exception_names_it() -> None:
    text = ruleset(Policy(), SITE)
    for name in ("blocked_in", "blocked_out"):
        for family, version in (("ip", 4), ("ip6", 6)):
            unkept = (
                f"{family} {way} != @{kind}{version}"
                for kind in ("keep", "spare")
                for way in ("saddr", "daddr")
            )
            assert chain(text, f"{name}{version}") == [f"{' '.join(unkept)} goto {name}"]


def test_before_connections_only_repetitions_from_outside_are_judged_and_by_the_same_rules() -> None:
    text = ruleset(Policy(), SITE)
    mark = 'iifname "bfprobe0" meta mark set meta mark or 0x8'
    assert chain(text, "early_") == ['iifname "wan" goto again', mark]
    assert mark not in ruleset(Policy(mode="bridge"), SITE)
    assert chain(text, "again") == [
        f"{family} saddr . meta l4proto . th dport @tried{version}_in jump deny_in"
        for family, version in (("ip", 4), ("ip6", 6))
    ]


@pytest.mark.parametrize("policy", [Policy(), Policy(mode="bridge"), Policy(enforce=False)])
def test_no_policy_touches_a_deny_set(policy: Policy) -> None:
    text = ruleset(policy, SITE)
    for verb in ("flush", "add element", "delete element", "delete"):
        for name in ("hot4", "hot6", "cold4", "cold6"):
            assert f"{verb} set inet beffroi {name}" not in text
            assert f"{verb} inet beffroi {name}" not in text
    assert "delete table inet" not in text and "flush table" not in text and "flush ruleset" not in text


@pytest.mark.parametrize(
    ("centre", "target"),
    [
        ((), ""),
        (("185.61.20.5",), "185.61.20.5:8445"),
        (("2a0c:e300::5", "185.61.20.5"), "185.61.20.5:8445"),
        (("2a0c:e300::5", "2a0c:e300::6"), "[2a0c:e300::5]:8445"),
    ],
)
def test_the_lan_is_proved_over_ipv6_where_the_centre_has_no_other(
    centre: tuple[str, ...], target: str
) -> None:
    assert probe_target(centre, 8445) == target
    assert not target or split_target(target) == (next((c for c in centre if "." in c), "2a0c:e300::5"), 8445)


def test_the_probe_keeps_its_own_address_nowhere() -> None:
    for policy, hidden in ((Policy(), True), (Policy(mode="bridge"), False)):
        for family, address, version in (("ip", FAR_ADDRESS, 4), ("ip6", FAR_ADDRESS6, 6)):
            text = ruleset(policy, replace(SITE, probe_version=version))
            rule = f'{family} saddr {address} oifname "wan" masquerade'
            assert (rule in chain(text, "source_")) is hidden
            assert "destroy chain inet beffroi leaving_" in text
            if not hidden:  # in a bridge the probe has an address of the LAN, and no packet meets these rules
                assert "chain leaving_ {" not in text
                continue
            hook, *rules = chain(text, "leaving_")
            assert "hook postrouting" in hook
            kept = [r for r in rules if f"{family} " in r and address in r]
            assert len(kept) == len(rules) == 2  # each packet meets them: one family's alone
            assert all(r.endswith("counter name probe_kept drop") for r in kept)


def test_observation_logs_and_lets_pass() -> None:
    enforced, observed = ruleset(Policy(), SITE), ruleset(Policy(enforce=False), SITE)
    assert chain(enforced, "blocked_in")[-1] == "drop"
    assert chain(enforced, "blocked_out")[-2:] == [
        "meta l4proto tcp reject with tcp reset",
        "reject with icmpx admin-prohibited",
    ]
    for name in ("blocked_in", "blocked_out"):
        assert chain(observed, name)[-1] == "return"


def test_an_attempt_is_logged_once_and_answers_to_what_was_cut_are_none() -> None:
    for way, side in (("in", "saddr"), ("out", "daddr")):
        first, *rules = chain(ruleset(Policy(), SITE), f"tried_{way}")
        assert first == "ct direction reply return"
        known, rules = rules[:2], rules[2:]
        end = "goto callers" if way == "out" else "return"
        assert all(rule.endswith(f"_{way} {end}") for rule in known)
        if way == "out":
            rules, remembered = rules[:4], rules[4:]
            assert len(remembered) == 2 and not any("log" in rule or "counter" in rule for rule in remembered)
        assert len(rules) == 4
        for rule in rules:
            assert f" {side} . " in rule and "add @" in rule and "log group 5" in rule
            assert rule.index("add @") < rule.index(f"counter name attempts_{way}") < rule.index("limit rate")


def test_the_box_itself_reaches_its_centre_names_and_time_only() -> None:
    rules = chain(ruleset(Policy(centre_addresses=("185.10.21.1",)), SITE), "output_")
    assert rules == [
        "oif lo accept",
        "tcp flags & rst == rst fib saddr type != local accept",
        "jump deny",
        "ct state established,related accept",
        "meta l4proto { icmp, ipv6-icmp } accept",
        "meta l4proto { tcp, udp } th dport 53 accept",
        "udp dport { 67, 68, 123, 546, 547 } accept",
        "ip daddr @centre4 tcp dport 8443 accept",
        "ip6 daddr @centre6 tcp dport 8443 accept",
        "ip daddr 185.10.20.53 meta l4proto { tcp, udp } th dport 5353 accept",
        "reject with icmpx admin-prohibited",
    ]


def test_centre_and_forwarders_are_kept_whatever_the_policy_names() -> None:
    text = ruleset(Policy(centre_addresses=("185.10.21.1",)), SITE)
    keep = "add element inet beffroi keep4 { 185.10.20.1/32, 185.10.20.53/32, 185.10.21.1/32 }"
    assert keep in text
    assert "add element inet beffroi keep6 { 2a0c:e300:1::1/128 }" in text
    assert "add element inet beffroi centre4 { 185.10.20.1/32, 185.10.21.1/32 }" in text


def test_dns_of_the_lan_goes_to_the_box_and_encrypted_dns_is_refused() -> None:
    text = ruleset(Policy(), SITE)
    dot = [rule for rule in chain(text, "forwarded") if "th dport 853" in rule]
    assert len(dot) == 2 and all(rule.endswith("reject") for rule in dot)
    assert any("th dport 53 counter name dns_redirected redirect to :53" in r for r in chain(text, "dns_"))
    assert not any("dport 53" in rule for rule in chain(ruleset(Policy(redirect_dns=False), SITE), "dns_"))
    assert "@doh4 meta" not in text and "@doh4 meta" in ruleset(Policy(refuse_doh=True), SITE)
    assert "@doh4 meta" not in ruleset(Policy(refuse_doh=True), SITE, observing=True)


OPENING = Opening("tcp", 8443, "192.168.213.50", ("203.0.113.0/24", "2001:db8::/48"), 1_790_000_000)


def test_an_opening_leads_a_router_to_one_machine_of_the_lan_and_a_bridge_translates_nothing() -> None:
    begins = "ip saddr { 203.0.113.0/24 } tcp dport 8443 meta time < 1790000000"
    leads = f"ip daddr 192.168.213.50 {begins} ct mark set ct mark or 0x40"
    text = ruleset(Policy(openings=(OPENING,)), SITE)
    assert chain(text, "sent_on") == [
        f'iifname "wan" fib daddr type local {begins} dnat ip to 192.168.213.50'
    ]
    assert f'iifname "wan" oifname "lan" {leads}' in chain(text, "forwarded"), "never back to the internet"
    assert "2001:db8" not in "".join(chain(text, "sent_on")), "nothing translates between the families"
    bridge = ruleset(Policy(mode="bridge", openings=(OPENING,)), SITE)
    assert chain(bridge, "sent_on") == [] and f"meta mark and 0x3 == 0x1 {leads}" in chain(
        bridge, "forwarded"
    )
    six = replaced(OPENING, machine="2a0c:e300:2::2")
    text = ruleset(Policy(openings=(six,)), SITE)
    assert chain(text, "sent_on") == [] and any("ip6 daddr 2a0c" in r for r in chain(text, "forwarded"))


def test_each_packet_of_what_came_in_by_an_opening_is_compared_with_what_is_open_now() -> None:
    for openings in ((), (OPENING,)):
        text = ruleset(Policy(openings=openings), SITE)
        for name in ("from_lan", "from_wan"):
            rules = chain(text, name)
            assert rules.index("ct mark and 0x40 != 0 jump opened") < rules.index(
                "ct state established,related accept"
            )
        *still, last = chain(text, "opened")
        assert last == "drop" and len(still) == len(openings)


FULL = Policy(
    inbound_tcp_ports=(80,),
    inbound=(InboundRule("tcp", 443, ("203.0.113.0/24", "2001:db8::/48")), InboundRule("udp", 51820)),
    honeyports=(23, 3389),
    leak_bytes_hour=1,
)


def test_what_no_rule_lets_in_is_refused_and_counted_and_only_observation_lets_it_pass() -> None:
    rules = chain(ruleset(FULL, SITE), "forwarded")
    let_in = [
        r.removeprefix('iifname "wan" ') for r in rules if r.startswith('iifname "wan"') and "dport" in r
    ]
    assert let_in == [
        "tcp dport { 80 } accept",
        "ip saddr { 203.0.113.0/24 } tcp dport 443 accept",
        "ip6 saddr { 2001:db8::/48 } tcp dport 443 accept",
        "udp dport 51820 accept",
    ]
    assert rules[-1] == "jump refuse" and chain(ruleset(FULL, SITE), "refuse")[-1].endswith("drop")
    observing = chain(ruleset(FULL, SITE, observing=True), "forwarded")
    assert observing[-2:] == ['iifname "wan" meta l4proto { tcp, udp } accept', "jump refuse"]
    first = chain(ruleset(FULL, SITE, observing=True), "from_wan")[0]
    assert first == "jump deny_in", "listed ones are refused while it observes, too"


def test_a_port_that_is_let_in_is_no_trap_and_the_trap_is_open_to_what_was_redirected_only() -> None:
    names = chain(ruleset(FULL, SITE), "dns_")
    trap = 'iifname "wan" tcp dport { 23, 3389 } redirect to :23400'
    assert names.index('iifname "wan" udp dport 51820 return') < names.index(trap)
    inward = chain(ruleset(FULL, SITE), "input_")
    assert any(r.startswith("ct status dnat tcp dport { 23400, 23401 }") for r in inward)
    assert not any("23400" in r for r in chain(ruleset(Policy(), SITE), "input_"))


def test_a_source_refused_for_a_while_is_so_for_flows_that_it_begins() -> None:
    rules = chain(ruleset(Policy(), SITE), "strangers")
    assert rules[:2] == ["ct direction reply return", "ip saddr @local4 counter name local_refused drop"]
    for name, jump in (
        ("from_wan", "ct direction original jump strangers"), ("input_", 'iifname "wan" jump strangers'),
    ):  # fmt: skip
        inward = chain(ruleset(Policy(), SITE), name)
        assert inward.index(jump) < inward.index("ct state established,related accept")


def test_a_generation_of_the_bulk_sets_is_never_one_that_a_connection_may_still_carry() -> None:
    assert next_generation(0, 1000) == 1000 << 8
    assert next_generation(1000 << 8, 1001) == 1001 << 8
    assert next_generation(1000 << 8, 1000) == next_generation(1001 << 8, 900) - (1 << 8) == 1001 << 8
    last = GENERATION >> 8
    assert next_generation(last << 8, last) == next_generation(last << 8, last + 1) == 1 << 8, (
        "0 is no generation"
    )
    assert next_generation(5 << 8, last + 10) == 9 << 8


@given(st.integers(0, 1 << 24), st.integers(0, 1 << 30))
def test_a_generation_lies_within_its_bits_and_is_not_the_former(former: int, eighths: int) -> None:
    mark = next_generation(former << 8 & GENERATION, eighths)
    assert mark & GENERATION == mark != 0 and mark != former << 8 & GENERATION
    assert GENERATION & (COUNTED | ANSWERED | OPENED) == 0 and OPENED & (COUNTED | ANSWERED) == 0


def test_only_a_connection_of_which_no_end_is_listed_is_let_pass_for_the_generation() -> None:
    text = bulk_rules([(4, 24), (4, 32)], "b", 0x300)
    rules = [line.removeprefix("add rule inet beffroi ") for line in text.splitlines() if "add rule" in line]
    sets = [("& 255.255.255.0 ", "bulk4_24_b"), ("", "bulk4_32_b")]
    free = {s: " ".join(f"ip {s} {mask}!= @{name}" for mask, name in sets) for s in ("saddr", "daddr")}
    passed = "ct mark & 0xffffff00 == 0x300 return"
    for chain_, side, way in (("bulk_in", "saddr", "in"), ("bulk_out", "daddr", "out")):
        assert [r for r in rules if r.startswith(chain_)] == [
            f"{chain_} ct state established {passed}",
            f"{chain_} {free[side]} goto bulk_passed",
            f"{chain_} meta nfproto ipv4 goto blocked_{way}4",
        ]
    assert [r for r in rules if r.startswith("bulk_passed")] == [
        "bulk_passed ct state related return",
        f"bulk_passed {passed}",
        f"bulk_passed {free['saddr']} {free['daddr']} ct mark set ct mark & 0xff | 0x300",
    ]
    assert "add rule" not in bulk_rules([], "a", 0x300)


def test_late_answers_are_no_scan() -> None:
    *counted, _ = chain(ruleset(Policy(), SITE), "refuse")
    assert len(counted) == 4
    assert all("== syn " in r or r.startswith("udp dport < 32768 ") for r in counted)


def test_bridge_mode_marks_the_direction_before_the_same_rules() -> None:
    text = ruleset(Policy(mode="bridge", inbound_tcp_ports=(443, 80)), SITE)
    assert chain(text, "direction") == [
        "meta protocol { 8021q, 8021ad } drop",
        "ether type 8021ad drop",
        'iifname "wan" meta mark set 0x1',
        'iifname { "lan", "bfprobe0" } meta mark set 0x2',
        "vlan id 1-4095 meta mark set meta mark or 0x4",
        "meta protocol 0x8864 meta mark set meta mark or 0x4",
        "meta mark 0x1 jump hear",
        "meta mark 0x2 jump posing",
    ]
    assert chain(text, "dns_")[0] == "meta mark and 0x4 != 0 accept"
    assert PIECES not in chain(text, "forward_"), "a bridge has no route"
    assert "meta mark and 0x3 == 0x1 tcp dport { 80, 443 } accept" in chain(text, "forwarded")
    assert not any('iifname "wan"' in "\n".join(chain(text, name)) for name in ("forward_", "forwarded"))
    assert "chain direction" not in ruleset(Policy(), SITE)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(mode="hub"),
        Policy(inbound_tcp_ports=(0,)),
        Policy(inbound_tcp_ports=(70000,)),
        Policy(allow_addresses=("example.org",)),
        Policy(allow_addresses=("fe80::1%eth0",)),
        Policy(centre_addresses=("2001:db8::7%} \ninclude #",)),
        Policy(honeyports=(0,)),
        Policy(canary_names=("impots.gouv.fr",)),
        Policy(canary_names=("fr",)),
        Policy(canary_names=("a" * 64 + ".exemple.fr",)),
        Policy(inbound=(InboundRule("icmp", 1),)),
        Policy(inbound=(InboundRule("tcp", 1, ("1.2.3.4 } accept; #",)),)),
        Policy(allow_addresses=("1.2.3.4 }; flush ruleset; #",)),
        *(
            Policy(openings=(replaced(OPENING, **bad),))
            for bad in (
                {"protocol": "icmp"},
                {"port": 0},
                {"machine": "192.168.1.7 accept"},
                {"machine": "127.0.0.1"},
                {"machine": "camera"},
                {"machine": "192.168.1.0/24"},
                {"machine": "fe80::7%lan"},
                {"sources": ()},
                {"sources": ("1.2.3.4 } accept; #",)},
                {"until": -1},
            )
        ),
        Policy(centre_addresses=("",)),
    ],
)
def test_a_policy_that_is_no_policy_never_becomes_text(policy: Policy) -> None:
    with pytest.raises(PolicyInvalid):
        ruleset(policy, SITE)


@given(text=st.text(max_size=40))
@settings(deadline=None)
def test_whatever_an_address_of_the_policy_says_only_prefixes_become_text(text: str) -> None:
    try:
        rules = ruleset(Policy(allow_addresses=(text,)), SITE)
    except PolicyInvalid:
        return
    assert ruleset(Policy(), SITE).count("\n") + 1 == rules.count("\n")


def test_the_relay_is_open_to_the_lan_alone_and_only_while_the_policy_wants_it() -> None:
    relay = Relay("c@x.test", "mx.x.test", (Device("192.168.1.50", "Copieur"),), ("@x.test",), port=2587)
    for mode, lan in (("router", 'iifname "lan"'), ("bridge", "meta mark and 0x3 == 0x2")):
        text = ruleset(Policy(mode=mode, relay=relay), SITE)
        named = [rule for rule in text.splitlines() if "{ 25, 587 }" in rule]
        assert len(named) == 2 and all(rule.strip().startswith((lan, 'iifname { "lan"')) for rule in named)
        rules = chain(text, "input_")
        accepted = next(at for at, rule in enumerate(rules) if "{ 25, 587 }" in rule)
        assert accepted > rules.index("jump deny")
        assert "ip daddr @centre4 tcp dport 2587 accept" in chain(text, "output_")
        plain = ruleset(Policy(mode=mode), SITE)
        assert "587" not in plain
