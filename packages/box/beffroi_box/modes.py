"""Router or bridge: chosen by what is plugged where. Pure: what was seen in, plans and files for systemd-networkd out.

Router:  the box has the operator's address and gives the LAN a network of its own.
Bridge:  nothing changes for anybody: the machines keep the addresses of the operator's router, and the box can be
         pulled out; it takes one address for itself.
Choice:  a plan is only a proposal: ``network.py`` proves it, or tries the next one.
Source:  systemd.network(5), systemd.netdev(5); docs/internals/box.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

import msgspec

from beffroi_box.look import Offer, Seen
from beffroi_box.pagerules import PAGE_ADDRESS

BRIDGE = "br0"
PREFIX = "50-beffroi-"
_MOST_CARDS = 8192
"""That a bridge remembers: who forges them would fill the box's memory. What it does not know goes out at the other
port all the same, since there are two."""
_PAGE_NETWORK = f"{PAGE_ADDRESS}/20"
_LANS = (_PAGE_NETWORK, "10.213.0.1/20", "172.29.213.1/20")
"""More addresses than machines can take within LEASE_S (``crowdrules.LEASES``): who asks without end leaves some."""
_PAGE_BEHIND = "192.168.213.2/32"
"""Not the page's own: a bridge takes from the wire only what the rules send to another address than was written to."""
_ANSWERS = f"""
[RoutingPolicyRule]
Family=ipv4
From={_PAGE_BEHIND}
Table=213

[Route]
Destination=0.0.0.0/0
Scope=link
Table=213
"""
"""In whatever network the machines are, the page's answers find them; what the box itself begins goes its own way."""
LEASE_S = 1800
"""As short as a PC renews without notice: the server keeps its leases in memory (deploy/deb/leases.conf), and after a
power cut may give an address anew that a machine still has."""


class Plan(msgspec.Struct, frozen=True):
    """``lan_network``: the box's address on the LAN with its prefix length; of a bridge, where nobody gives one."""

    mode: str
    wan: str
    lan: str
    lan_network: str = ""

    @property
    def own_interface(self) -> str:
        return BRIDGE if self.mode == "bridge" else self.lan


def plans(seen: Mapping[str, Seen], *, last: Plan | None, wanted: str = "") -> list[Plan]:
    """Return what may be tried, the likeliest first; empty where nothing must be tried.

    ``last``: the plan that proved itself before. ``wanted``: the mode that a person set, "" for none.
    """
    ports = list(seen)
    if len(ports) < 2 or trouble(seen):
        return []
    found: list[Plan] = []
    for wan, lan in _uplinks(seen, last):
        modes = _modes(seen[wan], seen[lan], last if last and last.wan == wan else None)
        if wanted:
            modes = [wanted, *(mode for mode in modes if mode != wanted)]
        found += [_plan(mode, wan, lan, seen[wan]) for mode in modes]
    return found


def trouble(seen: Mapping[str, Seen]) -> str:
    """Return a code: why nothing may be tried; "" when something may.

    Two ports in the same network must never become a bridge: frames would go round for ever.
    """
    if sum(port.carrier for port in seen.values()) == 0:
        return "no_cable"
    if any(port.loop for port in seen.values()):
        return "same_network"
    return ""


def unproved(seen: Mapping[str, Seen]) -> str:
    """Return a code: why no plan could be proved, as far as one sees it on the wires."""
    return "unproved" if gives_addresses(seen) else "no_dhcp"


def gives_addresses(seen: Mapping[str, Seen]) -> bool:
    return any(port.offer is not None for port in seen.values())


def contradicts(seen: Mapping[str, Seen], plan: Plan) -> bool:
    """The router is behind the other port: somebody exchanged the cables. Or it gives addresses of the network that
    the box itself gives the LAN: another operator's router."""
    ways = _ways(seen)
    exchanged = plan.lan in ways and plan.wan in seen and plan.wan not in ways
    offer = seen[plan.wan].offer if plan.wan in seen else None
    if exchanged or offer is None or not plan.lan_network:
        return exchanged
    return not _free(plan.lan_network, offer) and any(_free(one, offer) for one in _LANS)


def _ways(seen: Mapping[str, Seen]) -> set[str]:
    """The ports with a router behind them: where the one that DHCP names answers, else where one is offered."""
    found = {name for name, port in seen.items() if port.gateway}
    return found or {name for name, port in seen.items() if port.offers_a_way}


def _uplinks(seen: Mapping[str, Seen], last: Plan | None) -> list[tuple[str, str]]:
    """Pairs (wan, lan), the likeliest first. Behind the WAN is a router; a cable without one is better than none. Where
    no router shows itself, it is on the side where fewer machines are."""

    ways = _ways(seen)

    def rank(name: str) -> tuple[bool, bool, bool, bool, int]:
        port = seen[name]
        offer = port.offer
        public = offer is not None and _public(offer.address)
        return (
            name not in ways,
            not public,
            not port.carrier,
            last is None or last.wan != name,
            len(port.hosts),
        )

    ranked = sorted(seen, key=rank)
    first, second = ranked[0], ranked[1]
    pairs = [(first, second)]
    # Only where the other port could be the one: a server of the town hall may give addresses too.
    if second in ways or first not in ways:
        pairs.append((second, first))
    return pairs


def _modes(wan: Seen, lan: Seen, last: Plan | None) -> list[str]:
    if wan.offer is None:
        # A router would have no address itself. Whatever worked with fixed ones goes on.
        return [last.mode if last is not None else "bridge"]
    if last is not None:
        first = last.mode
    else:
        network = ipaddress.ip_interface(wan.offer.network).network
        strangers = [host for host in lan.hosts if ipaddress.ip_address(host) not in network]
        friends = len(lan.hosts) - len(strangers)
        first = "router" if _public(wan.offer.address) or len(strangers) > friends else "bridge"
    return [first, "router" if first == "bridge" else "bridge"]


def _plan(mode: str, wan: str, lan: str, seen: Seen) -> Plan:
    if mode == "bridge":
        # Without an offer the page would have no address. Where there is one, it may be another boîtier's.
        return Plan(mode, wan, lan, "" if seen.offer is not None else _PAGE_BEHIND)
    free = (one for one in _LANS if seen.offer is None or _free(one, seen.offer))
    return Plan(mode, wan, lan, next(free, _PAGE_NETWORK))


def _free(network: str, offer: Offer) -> bool:
    """Whether the operator gives no address of it."""
    return not ipaddress.ip_interface(network).network.overlaps(ipaddress.ip_interface(offer.network).network)


def _public(address: str) -> bool:
    """Global, or the operator's own (RFC 6598): one address for the whole town hall."""
    parsed = ipaddress.ip_address(address)
    return parsed.is_global or parsed in ipaddress.ip_network("100.64.0.0/10")


def files(plan: Plan, wan_mac: str = "") -> dict[str, str]:
    """Return the files of systemd-networkd by name. Names of interfaces come from the kernel.

    ``wan_mac``: of the WAN's card. A bridge has the same, so that an operator who gives one address to one card sees
    one card, whatever the mode.
    """
    made = _bridge_files(plan, wan_mac) if plan.mode == "bridge" else _router_files(plan)
    head = "# Written by beffroi-box network; changes are lost.\n"
    return {PREFIX + name: head + text for name, text in made.items()}


def _bridge_files(plan: Plan, wan_mac: str) -> dict[str, str]:
    port = "[Network]\nBridge={bridge}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no\n"
    own = f"MACAddress={wan_mac}\n" if wan_mac else ""
    return {
        # No spanning tree: a port would stay shut for half a minute; two cables to one switch are seen before.
        f"{BRIDGE}.netdev": f"[NetDev]\nName={BRIDGE}\nKind=bridge\n{own}\n[Bridge]\nSTP=no\nForwardDelaySec=0\n"
        f"MulticastSnooping=no\nFDBMaxLearned={_MOST_CARDS}\n",
        f"{BRIDGE}.network": _match(BRIDGE)
        + _asks()
        + "ConfigureWithoutCarrier=yes\n"
        + (f"Address={plan.lan_network}\n{_ANSWERS}" if plan.lan_network else "")
        + _client(),
        **{f"{name}.network": _match(name) + port.format(bridge=BRIDGE) for name in (plan.wan, plan.lan)},
    }


def _router_files(plan: Plan) -> dict[str, str]:
    lan = f"""[Network]
Address={plan.lan_network}
ConfigureWithoutCarrier=yes
DHCPServer=yes
IPv6SendRA=yes
DHCPPrefixDelegation=yes
IPv6AcceptRA=no
LLDP=no

[DHCPServer]
EmitDNS=yes
DNS=_server_address
DefaultLeaseTimeSec={LEASE_S}
MaxLeaseTimeSec={LEASE_S}

[IPv6SendRA]
EmitDNS=yes
DNS=_link_local
"""
    return {
        f"{plan.wan}.network": _match(plan.wan) + _asks() + _client(),
        f"{plan.lan}.network": _match(plan.lan) + lan,
    }


def _match(name: str) -> str:
    return f"[Match]\nName={name}\n\n"


def _asks() -> str:
    return "[Network]\nDHCP=yes\nIPv6AcceptRA=yes\nLinkLocalAddressing=ipv6\nLLDP=no\n"


def _client() -> str:
    """The box tells neither its name nor asks for more than an address; its own Unbound resolves."""
    return (
        "\n[DHCPv4]\nClientIdentifier=mac\nSendHostname=no\nUseDNS=no\nUseNTP=yes\nUseHostname=no\n"
        "\n[DHCPv6]\nUseDNS=no\nSendHostname=no\n\n[IPv6AcceptRA]\nUseDNS=no\nUsePREF64=yes\n"
    )


def settings(plan: Plan) -> dict[str, object]:
    """Return the box's settings that follow from the plan (``network.toml``)."""
    return {
        "mode": plan.mode,
        "wan": plan.wan,
        "lan": plan.lan,
        "management": BRIDGE if plan.mode == "bridge" else "",
        "masquerade": plan.mode == "router",
    }
