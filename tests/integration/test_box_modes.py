"""Router or bridge, found out with real systemd-networkd, real DHCP and real cables between an operator and a PC."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures_box_network import BOX, FAR, FAR6, FAR_PORT, OP, PC, Site, ip, site, until
from tests.lan_frames import card, lease_wanted

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]
PRIVATE, PUBLIC = "192.168.1.1/24", "185.22.33.1/24"


@pytest.fixture
def place() -> Iterator[Site]:
    if not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs br_netfilter")
    with site() as one:
        yield one


@pytest.mark.parametrize(("router", "pc"), [("p0", "p1"), ("p1", "p0")])
def test_behind_a_router_with_private_addresses_the_box_is_a_bridge_whatever_the_sockets(
    place: Site, router: str, pc: str
) -> None:
    place.plug(router=router, pc=pc)
    place.give(PRIVATE)
    found = place.choose()
    assert found["proved"] and not found["trouble"], found
    assert (found["plan"]["mode"], found["plan"]["wan"], found["plan"]["lan"]) == ("bridge", router, pc)
    place.pc_asks()
    address = place.pc.addresses("e0")[0]
    assert address.startswith("192.168.1."), "the PC's address is the operator's, as without the box"
    assert place.pc_reaches_the_internet()
    assert not place.comes_in(address), "nobody comes in"
    assert "fdb_max_learned 8192" in place.box.run("ip", "-d", "link", "show", "br0"), (
        "forged cards fill no memory"
    )


def test_with_one_public_address_the_box_is_a_router_and_gives_the_lan_addresses(place: Site) -> None:
    place.plug(router="p1", pc="p0")
    place.give(PUBLIC, pool=2)
    found = place.choose()
    assert found["proved"], (found, place.log())
    assert (found["plan"]["mode"], found["plan"]["wan"]) == ("router", "p1")
    place.pc_asks()
    assert place.pc.addresses("e0")[0].startswith("192.168.2")
    assert place.pc_reaches_the_internet()


@pytest.mark.parametrize(("network", "mode"), [(PRIVATE, "bridge"), (PUBLIC, "router")])
@pytest.mark.parametrize(("port", "proved"), [(FAR_PORT, True), (FAR_PORT + 1, False)], ids=["there", "gone"])
def test_a_way_is_proved_over_ipv6_where_the_centre_has_no_other(
    place: Site, network: str, mode: str, *, port: int, proved: bool
) -> None:
    (place.state / "box.toml").write_text(f'ports = ["p0", "p1"]\nlan_probe = "[{FAR6}]:{port}"\n')
    place.plug(router="p0", pc="p1")
    place.give(network, pool=2 if mode == "router" else 50, prefix6="2a0c:e300:7::/64")
    found = place.choose()
    assert found["proved"] is proved, (found, place.log())
    if proved:
        assert found["plan"]["mode"] == mode
    assert "bfprobe" not in place.box.run("ip", "link")


def test_where_the_operator_gives_ipv6_alone_the_box_is_a_bridge_and_people_work(place: Site) -> None:
    (place.state / "box.toml").write_text(f'ports = ["p0", "p1"]\nlan_probe = "[{FAR6}]:{FAR_PORT}"\n')
    place.plug(router="p0", pc="p1")
    place.op.configure(
        l0_network="[Match]\nName=l0\n[Network]\nAddress=2a0c:e300:7::1/64\nIPv6SendRA=yes\nIPv6AcceptRA=no\n"
        "[IPv6Prefix]\nPrefix=2a0c:e300:7::/64\n"
    )
    found = place.choose()
    assert found["proved"] and found["plan"]["mode"] == "bridge", (found, place.log())
    place.pc.configure(e0_network="[Match]\nName=e0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=yes\n")
    code = f"import socket; socket.create_connection(({FAR6!r}, {FAR_PORT}), 2)"
    reaches = place.pc.inside("/usr/bin/python3", "-c", code)
    until(lambda: subprocess.run(reaches, capture_output=True, check=False).returncode == 0, "the PC is cut")
    assert place.choose()["proved"] and place.restarts() == 1


def test_a_bridge_in_a_network_without_ipv6_is_proved_by_its_address(place: Site) -> None:
    (place.state / "box.toml").write_text(f'ports = ["p0", "p1"]\nlan_probe = "[{FAR6}]:{FAR_PORT}"\n')
    place.plug(router="p0", pc="p1")
    place.give(PRIVATE)
    found = place.choose()
    assert found["proved"] and found["plan"]["mode"] == "bridge", (found, place.log())


def test_a_machine_is_named_as_it_called_itself_when_it_took_its_address(place: Site) -> None:
    place.start_bus()
    place.plug(router="p1", pc="p0")
    place.give(PUBLIC, pool=2)
    assert place.choose()["plan"]["mode"] == "router"
    place.pc_asks("poste-accueil")
    address = place.pc.addresses("e0")[0]
    [shown] = json.loads(place.pc.run("ip", "-json", "link", "show", "dev", "e0"))
    code = (
        "import sys; from beffroi_box.neighbours import name_of\n"
        "print(*(repr(name_of(*pair.split(','))) for pair in sys.argv[1:]))"
    )
    pairs = (
        f"{address},{shown['address']}", f"{address},",
        f"fe80::1,{shown['address']}",  # its other addresses are found by its card
        f"{address},02:00:00:00:00:01",  # the address is another machine's by now
        "192.168.213.254,",
    )  # fmt: skip
    named = place.box.run("/usr/bin/python3", "-c", code, *pairs).split()
    assert named == ["'poste-accueil'"] * 3 + ["''"] * 2, place.log()


def test_what_an_earlier_software_wrote_otherwise_is_written_again_once(place: Site) -> None:
    place.plug(router="p0", pc="p1")
    place.give(PUBLIC, pool=2)
    assert place.choose()["plan"]["mode"] == "router"
    path = place.box.directory / "network" / "50-beffroi-p1.network"
    text = path.read_text()
    path.write_text(text.replace("MaxLeaseTimeSec=1800\n", ""))
    for _ in range(2):
        assert place.choose()["proved"]
        assert path.read_text() == text and place.restarts() == 2
    path.write_bytes(b"\xff")
    assert place.choose()["proved"] and path.read_text() == text


def test_where_the_town_halls_own_server_gives_the_addresses_the_internet_is_behind_their_router(
    place: Site,
) -> None:
    """The operator's router gives none: who answers DHCP stands in the LAN."""
    place.plug(router="p1", pc="p0")
    place.op.configure(l0_network="[Match]\nName=l0\n[Network]\nAddress=192.168.1.1/24\nIPv6AcceptRA=no\n")
    place.pc.configure(
        e0_network="[Match]\nName=e0\n[Network]\nAddress=192.168.1.2/24\nGateway=192.168.1.1\nDHCPServer=yes\n"
        "IPv6AcceptRA=no\n[DHCPServer]\nPoolOffset=50\nPoolSize=50\nEmitRouter=yes\nRouter=192.168.1.1\nEmitDNS=no\n"
        "PersistLeases=no\n"
    )
    until(lambda: place.pc.addresses("e0") and place.op.addresses("l0"), "not up")
    found = place.choose()
    assert found["proved"] and found["plan"] == {**found["plan"], "mode": "bridge", "wan": "p1"}, (
        found, place.log(),
    )  # fmt: skip
    assert place.pc_reaches_the_internet()
    assert not place.comes_in("192.168.1.2"), "nobody comes in"


def test_a_town_hall_with_fixed_addresses_goes_on_and_the_box_is_given_one_by_hand(place: Site) -> None:
    place.box.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=2")  # as systemd has it
    place.plug(router="p0", pc="p1")
    for machine, link, address, way in (
        (place.op, "l0", "1", ""),
        (place.pc, "e0", "2", "Gateway=192.168.1.1\n"),
    ):
        network = f"[Network]\nAddress=192.168.1.{address}/24\nIPv6AcceptRA=no\n{way}"
        machine.configure(**{f"{link}_network": f"[Match]\nName={link}\n{network}"})
    until(lambda: place.pc.addresses("e0") and place.op.addresses("l0"), "not up")
    found = place.choose()
    assert (found["plan"]["mode"], found["trouble"]) == ("bridge", "no_dhcp"), found
    assert place.pc_reaches_the_internet()
    assert place.page_opens(), "it says what is missing"
    began = place.restarts()
    assert place.choose()["trouble"] == "no_dhcp"
    assert place.restarts() == began, "nothing is tried while people work"

    by_hand = place.box.directory / "network" / "50-beffroi-br0.network.d"
    by_hand.mkdir()
    (by_hand / "address.conf").write_text("[Network]\nAddress=192.168.1.3/24\nGateway=192.168.1.1\n")
    (place.state / "network.json").unlink()  # another box
    place.plug(router="p1", pc="p0")
    until(lambda: place.pc.addresses("e0") and place.op.addresses("l0"), "not up")
    found = place.choose()
    assert found["proved"] and found["plan"]["mode"] == "bridge", (found, place.log())
    assert place.pc_reaches_the_internet() and place.page_opens()


@pytest.mark.parametrize(("network", "mode", "link"), [(PRIVATE, "bridge", "br0"), (PUBLIC, "router", "p0")])
def test_where_the_operator_translates_to_ipv4_is_heard_and_refused_as_any_other_such_address(
    place: Site, network: str, mode: str, link: str
) -> None:
    place.start_bus()
    place.plug(router="p0", pc="p1")
    announced = (
        "64:ff9b::/96",
        "2a0c:e300:64::/96",
        "2001:4860:4860::/64",
    )  # the last one holds a public resolver
    place.give(network, prefix6="2a0c:e300:7::/64", translated=announced)
    assert place.choose()["plan"]["mode"] == mode
    heard = f"from beffroi_box.places import translations; print(*translations({link!r}))"
    until(lambda: "64::" in place.box.run("/usr/bin/python3", "-c", heard), "nothing is heard")
    loads = (
        "from beffroi_box.ruleset import Site, ruleset\nfrom beffroi_protocol.messages import Policy\n"
        f"{heard}\nsite = Site('p0', 'p1', ('185.10.20.1',), 8443, translations=translations({link!r}))\n"
        f"import subprocess; text = ruleset(Policy(mode={mode!r}), site)\n"
        "subprocess.run(['nft', '-f', '-'], input=text, text=True, check=True)"
    )
    assert "2001:4860" not in place.box.run("/usr/bin/python3", "-c", loads)
    refused = place.box.run("nft", "list", "set", "inet", "beffroi", "stands_for")
    assert "2a0c:e300:64::/96" in refused and "64:ff9b::/96" in refused


def test_a_plan_that_is_not_proved_gives_way_to_the_next(place: Site) -> None:
    """The operator gives one address only: the box gets it, a PC behind a bridge would get none."""
    place.plug(router="p0", pc="p1")
    place.give(PRIVATE, pool=1)
    found = place.choose()
    assert found["proved"] and found["plan"]["mode"] == "router", (found, place.log())
    place.pc_asks()
    assert place.pc_reaches_the_internet()


def test_proofs_of_a_bridge_take_one_address_from_the_operator_however_many_there_are(place: Site) -> None:
    """One for the box, one for the proof: each one more would be missing for a PC, for a day."""
    place.plug(router="p0", pc="p1")
    place.give(PRIVATE, pool=2)
    assert place.choose()["proved"]
    code = "from beffroi_box.bridgeprobe import bridged_machine_reaches as r; "
    for _ in range(3):
        asked = code + f"print(r('br0', '{FAR}:{FAR_PORT}', 6.0))"
        assert place.box.run("/usr/bin/python3", "-c", asked).strip() == "True"


def test_cables_exchanged_later_are_noticed(place: Site) -> None:
    place.plug(router="p0", pc="p1")
    place.give(PRIVATE)
    assert place.choose()["plan"]["wan"] == "p0"
    place.plug(router="p1", pc="p0")
    place.give(PRIVATE)
    found = place.choose()
    assert found["proved"] and found["plan"]["wan"] == "p1", (found, place.log())
    place.pc_asks()
    assert place.pc_reaches_the_internet()


def test_a_disk_that_takes_nothing_any_more_leaves_the_network_in_force(place: Site) -> None:
    place.plug(router="p0", pc="p1")
    place.give(PRIVATE)
    assert place.choose()["plan"]["wan"] == "p0"
    place.plug(router="p1", pc="p0")
    place.give(PRIVATE)
    place.box.run("mount", "-o", "remount,bind,ro", "/etc/systemd/network")
    assert not place.choose()["proved"]
    place.box.run("kill", "-0", (place.state / "networkd.pid").read_text())
    assert place.restarts() == 1, "what cannot be written is not begun"
    place.plug(router="p0", pc="p1")
    place.give(PRIVATE)
    place.pc_asks()
    assert place.pc_reaches_the_internet(), "it is a bridge as before"
    assert place.choose()["proved"]


def test_both_cables_in_one_network_are_never_bridged(place: Site) -> None:
    place.plug(router="p0", pc="p1")
    ip(f"-n {BOX} link del p1")
    ip(f"link add l1 netns {OP} type veth peer name p1 netns {BOX}")
    ip(f"-n {OP} link add sw type bridge")
    for link in ("l0", "l1"):
        ip(f"-n {OP} link set {link} master sw up")
    ip(f"-n {OP} link set sw up")
    ip(f"-n {BOX} link set p1 up")
    found = place.choose()
    assert found["trouble"] == "same_network" and found["plan"] is None, found


@pytest.mark.parametrize(("network", "pool"), [(PRIVATE, 50), (PUBLIC, 2)], ids=["bridge", "router"])
def test_when_the_operator_is_away_what_was_proved_stays(place: Site, network: str, pool: int) -> None:
    place.plug(router="p0", pc="p1")
    place.give(network, pool=pool)
    proved = place.choose()["plan"]
    place.op.stop_networkd()
    ip(f"-n {OP} addr flush dev l0")
    found = place.choose()
    assert found["plan"] == proved and not found["proved"] and found["trouble"] == "no_dhcp"
    assert place.restarts() == 1, "and is not taken apart"
    place.give(network, pool=pool)
    assert place.choose()["proved"]


def test_an_operator_who_takes_to_the_network_of_the_lan_gets_the_box_to_choose_another(place: Site) -> None:
    place.plug(router="p0", pc="p1")
    place.give(PUBLIC, pool=2)
    assert place.choose()["plan"]["lan_network"] == "192.168.213.1/20"
    place.plug(router="p0", pc="p1")  # another box of the operator's
    place.give("192.168.213.254/24")
    found = place.choose()
    assert found["proved"] and found["plan"]["lan_network"] == "10.213.0.1/20", (found, place.log())
    place.pc_asks()
    assert place.pc.addresses("e0")[0].startswith("10.213.")
    assert place.pc_reaches_the_internet()


@pytest.mark.parametrize(("network", "pool", "mode"), [(PRIVATE, 50, "bridge"), (PUBLIC, 2, "router")])
@pytest.mark.parametrize("before", [False, True], ids=["new", "proved before"])
def test_while_the_centre_alone_is_away_people_work_and_no_other_plan_is_tried(
    place: Site, network: str, pool: int, mode: str, *, before: bool
) -> None:
    place.plug(router="p0", pc="p1")
    place.give(network, pool=pool)
    settings = place.state / "box.toml"
    reached = settings.read_text()
    if before:
        assert place.choose()["proved"]
    settings.write_text(
        f'{reached}centre = "https://boitiers.example:{FAR_PORT + 1}"\ncentre_addresses = ["{FAR}"]\n'
    )
    found = place.choose()
    assert (found["plan"]["mode"], found["proved"], found["trouble"]) == (mode, False, "unproved"), found
    assert place.restarts() == 1, "what is likeliest stays"
    place.pc_asks()
    assert place.pc_reaches_the_internet()
    place.choose()
    assert place.restarts() == 1, "nothing is tried while people work"
    settings.write_text(reached)
    assert place.choose()["proved"]


def test_the_probe_of_a_bridge_tells_a_way_out_from_none(place: Site) -> None:
    place.plug(router="p0", pc="p1")
    place.give(PRIVATE)
    assert place.choose()["plan"]["mode"] == "bridge"
    code = "import sys; from beffroi_box.bridgeprobe import bridged_machine_reaches as r; "
    for target, reached in ((f"{FAR}:{FAR_PORT}", True), (f"{FAR}:1", False)):
        asked = code + f"print(r('br0', {target!r}, 6.0))"
        assert place.box.run("/usr/bin/python3", "-c", asked).strip() == str(reached), target
    policy = "from beffroi_box.bridgeprobe import lan_gets_out as r; "
    asked = policy + f"print(r('br0', 'p0', '{FAR}:1', 6.0))"
    assert place.box.run("/usr/bin/python3", "-c", asked).strip() == "False"


@pytest.fixture
def router(place: Site) -> Site:
    place.plug(router="p0", pc="p1")
    place.give(PUBLIC, pool=2)
    assert place.choose()["plan"]["mode"] == "router"
    return place


def load_policy(place: Site, mode: str) -> None:
    loads = (
        "import subprocess\nfrom beffroi_box.ruleset import Site, ruleset\n"
        "from beffroi_box.wanguard import lift_rules\nfrom beffroi_protocol.messages import Policy\n"
        f"site = Site('p0', 'p1', ('185.10.20.1',), 8443, masquerade={mode == 'router'})\n"
        f"text = ruleset(Policy(mode={mode!r}), site) + lift_rules()\n"
        "subprocess.run(['nft', '-f', '-'], input=text, text=True, check=True)"
    )
    place.box.run("/usr/bin/python3", "-c", loads)


@pytest.mark.parametrize("policy", [True, False], ids=["policy", "first rules"])
@pytest.mark.parametrize("how", ["one card", "one flow", "many cards"])
def test_a_machine_that_asks_for_addresses_without_end_leaves_some_to_the_others(
    router: Site, how: str, *, policy: bool
) -> None:
    if policy:
        load_policy(router, "router")
    [shown] = json.loads(router.box.run("ip", "-4", "-json", "addr", "show", "dev", "p1"))
    at = shown["addr_info"][0]
    hosts = list(ipaddress.ip_interface(f"{at['local']}/{at['prefixlen']}").network.hosts())
    (line, mac), (door, box) = card(PC, "e0"), card(BOX, "p1")
    if policy:
        router.box.run("nft", "add", "element", "inet", "beffroi", "residents", f"{{ {mac.hex(':')} }}")
    own, everybody = str(hosts[-1]) if how == "one flow" else "", b"\xff" * 6
    with line, door:
        if own:  # a flow that the box answers
            line.send(everybody + mac + lease_wanted(mac, own))
            line.send(box + mac + lease_wanted(mac, own, own))
        for number, address in enumerate(hosts):
            one = b"\x06" + number.to_bytes(5)
            source = one if how == "many cards" else mac
            line.send((box if own else everybody) + source + lease_wanted(one, str(address), own))
            if number % 20 == 0:
                time.sleep(0.02)  # what its socket has no room for is no request
    leases = "/var/lib/systemd/network/dhcp-server-lease/p1"
    assert 0 < len(json.loads(router.box.run("cat", leases))["Leases"]) < 600
    ip(f"-n {PC} link add e1 link e0 type macvlan mode bridge")
    other = "[Match]\nName=e1\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n"
    router.pc.configure(e1_network=other, e0_network="[Match]\nName=e0\n[Network]\nLinkLocalAddressing=no\n")
    until(lambda: router.pc.addresses("e1"), "another machine gets no address", 30)
    assert router.pc_reaches_the_internet()
    if policy:
        told = router.box.run("nft", "list", "set", "inet", "beffroi", "leasers")
        assert (mac.hex(":") in told) == (how != "many cards")


@pytest.mark.parametrize("policy", [True, False], ids=["policy", "first rules"])
def test_behind_a_bridge_one_card_takes_a_part_of_the_operators_addresses(
    place: Site, *, policy: bool
) -> None:
    place.plug(router="p0", pc="p1")
    place.give(PRIVATE, pool=100)
    assert place.choose()["plan"]["mode"] == "bridge"
    line, mac = card(PC, "e0")
    if policy:
        load_policy(place, "bridge")
        place.box.run("nft", "add", "element", "inet", "beffroi", "residents", f"{{ {mac.hex(':')} }}")
    with line:
        for number in range(10, 110):
            one = b"\x06" + number.to_bytes(5)
            line.send(b"\xff" * 6 + mac + lease_wanted(one, f"192.168.1.{number}"))
            time.sleep(0.01)
    ip(f"-n {PC} link add e1 link e0 type macvlan mode bridge")
    place.pc.configure(e1_network="[Match]\nName=e1\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n")
    until(lambda: place.pc.addresses("e1"), "another machine gets no address", 30)
    if policy:
        assert mac.hex(":") in place.box.run("nft", "list", "set", "inet", "beffroi", "leasers")


def test_no_machine_keeps_an_address_for_long_however_long_it_wants(router: Site) -> None:
    wants = "[Match]\nName=e0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n[DHCPv4]\nSendOption=51:uint32:86400\n"
    router.pc.configure(e0_network=wants)
    until(lambda: router.pc.addresses("e0"), "no address")
    shown = json.loads(router.pc.run("ip", "-4", "-json", "addr", "show", "dev", "e0"))
    assert 1700 < shown[0]["addr_info"][0]["valid_life_time"] <= 1800
