"""The real agent, kernel, dnsdist and Unbound between a LAN and an internet, dual stack, with real packets."""

from __future__ import annotations

import json
import signal
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import msgspec
import pytest
from beffroi_protocol.facts import EntryRefused, FlowsBlocked, NamesRefused, PolicyRolledBack
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Action, Entry, Policy
from beffroi_protocol.signing import ROLE_ROOT, Signer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import town_hall_network
from tests.town_hall import TownHall, entry, good_policy, needs_network
from tests.town_hall_network import (
    BOX,
    CENTRE_PORT,
    ECHO_PORT,
    EVIL,
    EVIL6,
    GOOD,
    LAN,
    LAN_BOX,
    LISTED,
    NET,
    REFUSED,
    UNLISTED,
    WAN_NET,
    connect,
    connects,
    echoes,
    family,
    inside,
    look_up,
    run,
    socket_in,
)
from tests.waiting import until

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network


@pytest.mark.parametrize("evil", [EVIL, EVIL6])
def test_an_address_is_refused_to_the_lan_and_open_again_when_the_decision_ends(
    hall: TownHall, evil: str
) -> None:
    assert connects(LAN, evil)
    ids = hall.block(evil)
    assert not connects(LAN, evil) and connects(LAN, GOOD)
    hall.unblock(*ids)
    assert connects(LAN, evil)


def test_a_prefix_is_refused_whole(hall: TownHall) -> None:
    hall.block("45.83.64.0/28", "2a0e:b107:10::/64")
    assert not connects(LAN, EVIL) and not connects(LAN, GOOD) and not connects(LAN, EVIL6)


@pytest.mark.parametrize("evil", [EVIL, EVIL6])
def test_a_blocked_address_comes_in_nowhere(hall: TownHall, evil: str) -> None:
    pc = hall.pc[":" in evil]

    def comes_in() -> bool:
        with socket_in(NET, family(evil), socket.SOCK_STREAM) as client:
            client.bind((evil, 0))
            try:
                client.connect((pc, ECHO_PORT))
            except OSError:
                return False
            return echoes(client)

    assert comes_in(), "the policy opens this port"
    hall.block(evil)
    assert not comes_in()


@pytest.mark.parametrize("form", ["64:ff9b::", "64:ff9b:1::", "2002:{}:{}::1", "2001:0:{}:{}::1"])
def test_a_blocked_address_is_reached_by_no_address_of_ipv6_that_stands_for_it(
    hall: TownHall, form: str
) -> None:
    """An operator's NAT64 or a relay of 6to4 leads on to it."""
    high, low = struct.unpack(">HH", socket.inet_aton(EVIL))
    stands = form.format(f"{high:x}", f"{low:x}") if "{" in form else f"{form}{high:x}:{low:x}"
    run("ip", "-n", NET, "addr", "add", f"{stands}/128", "dev", "lo", "nodad")
    try:
        hall.block(EVIL)
        assert not connects(LAN, stands)
        if "ff9b" in form:  # where phones live by the operator's NAT64, somebody says so
            opened = Entry("exc_1", normalise(Kind.CIDR, f"{form}/96"), Action.ALLOW, hall.centre.now() + 60)
            version = hall.centre.publish(opened)
            until(lambda: hall.centre.enforced(version), "not enforced")
            assert connects(LAN, stands)
    finally:
        run("ip", "-n", NET, "addr", "del", f"{stands}/128", "dev", "lo")


def test_no_machine_makes_a_tunnel_that_nobody_asked_for(hall: TownHall) -> None:
    def refused() -> int:
        shown = run(*inside(BOX, "nft", "-j", "list", "counter", "inet", "beffroi", "stands_for"))
        return int(json.loads(shown)["nftables"][1]["counter"]["packets"])

    before = refused()
    with socket_in(LAN, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPV6) as six_in_four:
        six_in_four.sendto(bytes(40), (GOOD, 0))
    with socket_in(LAN, socket.AF_INET, socket.SOCK_DGRAM) as teredo:
        teredo.sendto(b"?", (GOOD, 3544))
    until(lambda: refused() == before + 2, "both went out")


@pytest.mark.parametrize("evil", [EVIL, EVIL6])
def test_a_flow_that_already_runs_is_cut(hall: TownHall, evil: str) -> None:
    client = connect(LAN, evil)
    other = connect(LAN, GOOD)
    assert client is not None and other is not None
    with client, other:
        hall.block(evil)
        assert not echoes(client) and echoes(other)


def test_an_entry_ends_by_itself(hall: TownHall) -> None:
    hall.block(EVIL, life_s=2)
    assert not connects(LAN, EVIL)
    until(lambda: connects(LAN, EVIL), "the kernel's own timer ends it")


def test_an_end_beyond_what_the_kernel_counts_keeps_no_other_decision_out(hall: TownHall) -> None:
    hall.block(EVIL, life_s=250_000_000_000)
    hall.block(EVIL6)
    assert not connects(LAN, EVIL) and not connects(LAN, EVIL6)


def test_listed_names_are_refused_with_all_below_them(hall: TownHall) -> None:
    ids = hall.block(LISTED)
    assert look_up(LAN, LISTED, LAN_BOX) == REFUSED
    assert look_up(LAN, f"www.{LISTED}", LAN_BOX) == REFUSED
    assert look_up(LAN, UNLISTED, LAN_BOX) == 0
    assert look_up(LAN, LISTED, GOOD) == REFUSED, "a resolver set by hand is answered by the box"
    hall.unblock(*ids)
    assert look_up(LAN, LISTED, LAN_BOX) == 0


def test_names_are_refused_from_the_first_answer_of_a_restarted_resolver(hall: TownHall) -> None:
    hall.block(LISTED)
    hall.kill("dnsdist")
    hall.start_dnsdist()
    assert look_up(LAN, LISTED, LAN_BOX) == REFUSED


def test_names_published_while_the_resolver_was_down_are_refused_from_its_first_answer(
    hall: TownHall,
) -> None:
    hall.kill("dnsdist")
    hall.block(LISTED, EVIL)
    assert not connects(LAN, EVIL), "addresses do not wait for the resolver"
    until(lambda: hall.status()["resolver_trouble"], "nothing is said")
    hall.start_dnsdist()
    assert look_up(LAN, LISTED, LAN_BOX) == REFUSED
    until(lambda: not hall.status()["resolver_trouble"], "it is back")


def test_blocked_flows_and_names_arrive_as_facts_without_lan_addresses(hall: TownHall) -> None:
    flow, name = hall.block(EVIL6, LISTED)
    hall.centre.facts.clear()
    assert not connects(LAN, EVIL6)
    look_up(LAN, LISTED, LAN_BOX)
    facts = hall.centre.facts

    def found[F: (FlowsBlocked, NamesRefused)](kind: type[F], of: str) -> list[F]:
        return [f for f in facts.values() if isinstance(f, kind) and f.entry_id == of]

    until(lambda: found(FlowsBlocked, flow), "no fact of the flow")
    until(lambda: found(NamesRefused, name), "no fact of the name")
    fact = found(FlowsBlocked, flow)[0]
    assert (fact.indicator.value, fact.direction, fact.protocol, fact.port) == (
        EVIL6,
        "out",
        "tcp",
        ECHO_PORT,
    )
    assert not any(pc in repr(facts) for pc in hall.pc)


def reaches_centre() -> bool:
    """From the LAN: blocking the centre would stand in the forward chain too."""
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        return client.connect_ex((WAN_NET, CENTRE_PORT)) == 0


PROTECTED = ["impots.gouv.fr", WAN_NET, LAN_BOX, "185.11.30.0/24", "boitiers.cotedor.fr"]


@pytest.mark.parametrize("value", PROTECTED)
def test_an_entry_that_names_something_protected_is_refused_and_told(hall: TownHall, value: str) -> None:
    ids = hall.block(value, EVIL)
    until(
        lambda: any(isinstance(f, EntryRefused) and f.entry_id == ids[0] for f in hall.centre.facts.values()),
        "",
    )
    assert look_up(LAN, "impots.gouv.fr", LAN_BOX) == 0
    assert reaches_centre()
    assert not connects(LAN, EVIL), "the sound entry of the same batch is enforced"


def test_forged_replayed_and_unknown_batches_change_nothing(hall: TownHall) -> None:
    hall.block(EVIL)
    before = hall.elements()
    centre = hall.centre
    replayed = centre.log[-2][2]
    bad = entry(GOOD, centre.now() + 3600)
    batch = centre.batch(centre.version + 1, added=(bad,))
    genuine = centre.signer.line(batch)
    stranger = Ed25519PrivateKey.generate()
    cases = {
        Signer(stranger).line(batch): "key.unknown",
        Signer(stranger, kid=centre.signer.kid).line(batch): "signature.invalid",
        Signer(centre.feed, role=ROLE_ROOT, kid=centre.signer.kid).line(batch): "signature.invalid",
        genuine.replace(GOOD.encode(), b"45.83.64.8"): "signature.invalid",
        replayed: "feed.replayed",
        centre.signer.line(msgspec.structs.replace(batch, v=99)): "message.version_unknown",
        b"hello": "message.malformed",
    }
    for line, code in cases.items():
        centre.say(line)
        until(lambda code=code: hall.status()["refused"] == code, f"{code}: {hall.status()}")
        assert hall.elements() == before
    assert connects(LAN, GOOD)
    hall.block(GOOD)
    assert not connects(LAN, GOOD), "the feed goes on"


def _rollback_of(hall: TownHall, version: int) -> PolicyRolledBack:
    """What the box tells of this policy, as soon as it does."""

    def told() -> list[PolicyRolledBack]:
        facts = hall.centre.facts.values()
        return [f for f in facts if isinstance(f, PolicyRolledBack) and f.policy_version == version]

    until(told, f"no fact: {hall.log()}")
    return told()[0]


def _takes(hall: TownHall, policy: Policy) -> None:
    version = hall.centre.set_policy(policy)
    until(lambda: hall.centre.policy_versions[-1] == version, f"not proved: {hall.log()}")


def _rolls_back_while(hall: TownHall, cut: AbstractContextManager[None]) -> None:
    """A good policy cannot be proved while the LAN is cut off, and is afterwards."""
    kept = hall.centre.policy_versions[-1]
    with cut:
        _rollback_of(hall, hall.centre.set_policy(good_policy()))
    assert hall.centre.policy_versions[-1] == kept
    _takes(hall, good_policy())


@contextmanager
def _undone(do: Sequence[str], undo: Sequence[str], *, stdin: str = "") -> Iterator[None]:
    run(*do, stdin=stdin)
    try:
        yield
    finally:
        run(*undo)


def test_a_policy_that_cuts_the_lan_off_is_rolled_back_and_a_deny_entry_of_that_time_stays(
    hall: TownHall,
) -> None:
    assert connects(LAN, EVIL)
    centre, kept = hall.centre, hall.centre.policy_versions[-1]
    bad = centre.set_policy(good_policy(bridge=True))
    tables = inside(BOX, "nft", "list", "tables")
    until(lambda: "bridge beffroi" in run(*tables), "the policy is tried")
    hall.block(EVIL)
    assert _rollback_of(hall, bad).kept_version == kept and centre.policy_versions[-1] == kept
    assert "bridge beffroi" not in run(*tables)
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)
    _takes(hall, good_policy())


def test_while_the_centre_takes_no_connection_no_policy_is_proved(hall: TownHall) -> None:
    """Over the one that stands the policy comes all the same."""
    chain = (
        f"chain c {{\n type filter hook output priority 0;\n tcp dport {CENTRE_PORT} ct state new drop\n }}\n"
    )
    nft = inside(BOX, "nft")
    cut = _undone(
        (*nft, "-f", "-"), (*nft, "delete", "table", "inet", "cut"), stdin=f"table inet cut {{\n {chain} }}\n"
    )
    kept = hall.centre.policy_versions[-1]
    with cut:
        bad = hall.centre.set_policy(good_policy())
        until(lambda: f"policy {bad} rolled back" in hall.log(), "the policy is tried")
    assert _rollback_of(hall, bad).reason == "the centre was not reached"
    assert hall.centre.policy_versions[-1] == kept
    _takes(hall, good_policy())


def test_a_policy_that_names_another_centre_cuts_the_box_from_none(hall: TownHall) -> None:
    _takes(hall, good_policy(centre_addresses=("185.10.99.1",)))
    hall.kill("agent")
    hall.start_agent()
    hall.connected()
    _takes(hall, good_policy())


def test_who_forges_the_name_of_the_centre_makes_nothing_unblockable(
    hall: TownHall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers of somebody on the line name a server of theirs beside the centre."""
    monkeypatch.setattr(town_hall_network, "FORGED", [EVIL])
    listed = lambda name: run(*inside(BOX, "nft", "list", "set", "inet", "beffroi", name))  # noqa: E731
    until(lambda: EVIL in listed("centre4"), "the box asks nobody")
    hall.block(EVIL)
    assert not connects(LAN, EVIL) and EVIL not in listed("keep4") and WAN_NET in listed("keep4")


def test_a_policy_that_cuts_the_lan_is_rolled_back(hall: TownHall) -> None:
    """The box reaches its centre, yet nobody in the town hall would: the box's own LAN probe tells."""
    without, again = (("ip", "-n", NET, "addr", verb, f"{GOOD}/32", "dev", "lo") for verb in ("del", "add"))
    _rolls_back_while(hall, _undone(without, again))


@pytest.fixture
def by_default(hall: TownHall) -> Iterator[TownHall]:
    """The settings of a real box: they name nothing that the LAN must reach."""
    text = (hall.state / "box.toml").read_text()
    kept = [line for line in text.splitlines(keepends=True) if not line.startswith("lan_probe")]
    try:
        _with_settings(hall, "".join(kept))
        yield hall
    finally:
        _with_settings(hall, text)


def _with_settings(hall: TownHall, text: str) -> None:
    (hall.state / "box.toml").write_text(text)
    hall.kill("agent", signal.SIGTERM)
    hall.start_agent()
    hall.connected()


def test_a_policy_that_cuts_the_lan_is_rolled_back_by_default_too(by_default: TownHall) -> None:
    """Another program's rule cuts what is forwarded to the centre; the box itself reaches it."""
    chain = 'chain c {\n type filter hook forward priority -200;\n iifname "bfprobe0" drop\n }\n'
    nft = inside(BOX, "nft")
    cut = _undone(
        (*nft, "-f", "-"), (*nft, "delete", "table", "inet", "cut"), stdin=f"table inet cut {{\n {chain} }}\n"
    )
    _rolls_back_while(by_default, cut)


def test_a_refusal_of_the_centre_loses_no_acknowledgement(hall: TownHall) -> None:
    centre = hall.centre
    centre.refuse_with = 503
    version = centre.publish(entry(EVIL, centre.now() + 3600))
    until(lambda: not connects(LAN, EVIL), "enforced all the same")
    time.sleep(0.3)
    assert not centre.enforced(version)
    centre.refuse_with = 0
    until(lambda: centre.enforced(version), "told again")


def test_the_agent_needs_less_than_60_mib(hall: TownHall) -> None:
    memory = hall.memory_kib()
    assert memory["Pss"] < 60 * 1024, memory
