"""The packet rules of a box as nft text. Pure: policy and own facts in, one transaction's text out.

Shape:   the deny sets (hot4, hot6, cold4, cold6) and the chains of the bulk lists are only declared here,
         never emptied: applying or rolling back a policy rewrites chains and small sets, and cannot touch a deny
         entry. So whoever cuts the link during a probe wins nothing.
Order:   block in both directions stands before ``ct established``: a block cuts flows that already run. What the box
         needs and what a local exception names passes it, lists included (``denyrules``).
Tallies: small dynamic sets count new flows by remote, refused ports, bytes sent: the agent reads and empties them
         (``tallies``). A full one counts no more; it never refuses a packet.
Counts:  a refused packet is counted; the first one of an attempt (remote, protocol, port, within
         ``tallies.ATTEMPT_S``) is counted apart and logged. A repetition is neither, and answers to what was cut
         (``ct direction reply``) are no attempt.
Fails:   the rules live in the kernel and outlive the agent; nothing here depends on it.
Input:   policy values are signed, and still checked before they become text (nft reads a bad address as a name).
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Policy
from beffroi_protocol.openings import is_sound
from beffroi_protocol.protected import reason_protected

from beffroi_box.bridgerules import ELSEWHERE, bridge_rules
from beffroi_box.crowdrules import CROWD_CHAINS, NEIGHBOURS, crowd_declared, crowd_rules
from beffroi_box.denyrules import (
    DENY_CHAINS,
    deny_rules,
    standing_declared,
    standing_elements,
    standing_rules,
)
from beffroi_box.doh import DOH_NETWORKS
from beffroi_box.errors import PolicyInvalid
from beffroi_box.inspectrules import inspect_rules
from beffroi_box.lanprobe import INTERFACE, LEAVING, NEAR, probe_hidden, probe_kept
from beffroi_box.openings import HELD, LET_IN, OPENING_CHAINS, SENT_ON, marks, opened_rules
from beffroi_box.pagerules import PAGE_CHAINS, page_input, page_jump, page_rules
from beffroi_box.relayrules import relay_input, relay_output, relay_redirect
from beffroi_box.tallies import COUNTED, attempt_sets, counting, declarations
from beffroi_box.wanguard import ICMP_IN, PIECES

TABLE = "beffroi"
HOT_SIZE = 262_144
MODES = ("router", "bridge")
INNER4 = "10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16"
_CHAINS = (
    *DENY_CHAINS, "forward_", "input_", "output_", "dns_", "source_", "from_lan", "from_wan",
    "forwarded", *CROWD_CHAINS, "strangers", "met", "sent", "guests", "pace", "refuse", *OPENING_CHAINS, *PAGE_CHAINS,
)  # fmt: skip
_FORMER = ("deny4", "deny6", "deny_out4", "deny_out6", "probe_")
"""Of a box whose software was brought up to date."""


@dataclass(frozen=True)
class Site:
    """Facts of this one box that the rules need. ``centre``: addresses at which the centre was found, of which
    ``centre_kept`` are never blocked (none: all); ``queue``: how its kernel hands packets to the inspection engine
    (``inspectrules``); ``probe_version``: IP version over which the LAN is proved; ``gateways``, ``own``: the box's
    default routers and its addresses; ``translations``: where its operator's routers translate to IPv4."""

    wan: str
    lan: str
    centre: tuple[str, ...]
    centre_port: int
    forwarders: tuple[str, ...] = ()
    resolver_port: int = 53
    trap_port: int = 23400
    nflog_group: int = 5
    masquerade: bool = False
    mode: str = ""
    page_port: int = 80
    queue: str = ""
    probe_version: int = 4
    centre_kept: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    translations: tuple[str, ...] = ()


def ruleset(policy: Policy, site: Site, *, observing: bool = False) -> str:
    """Return the text of one atomic ``nft -f``. ``observing``: new inbound flows pass, and DoH.

    Errors: PolicyInvalid."""
    if site.mode:  # what was found on the spot counts more than the policy
        policy = msgspec.structs.replace(policy, mode=site.mode)
    _check(policy, site)
    # Nobody is cut from the resolver that they chose while the box learns.
    if observing and policy.refuse_doh:
        policy = msgspec.structs.replace(policy, refuse_doh=False)
    bridge = policy.mode == "bridge"
    wan = "meta mark and 0x3 == 0x1" if bridge else f'iifname "{site.wan}"'
    lan = "meta mark and 0x3 == 0x2" if bridge else f'iifname {{ "{site.lan}", "{NEAR}" }}'
    # One that moved is found by its name, whatever the policy says.
    found = (*policy.centre_addresses, *site.centre)
    # Who forges the answers of DNS must not make an address that nothing blocks.
    kept = (*policy.centre_addresses, *(site.centre_kept or site.centre))
    keep = _split((*kept, *(f.partition("@")[0] for f in site.forwarders)))
    centre = _split(found)
    allow = _split(policy.allow_addresses)
    doh = _split(DOH_NETWORKS if policy.refuse_doh else ())
    parts = [_declarations(), standing_elements(TABLE, _split(site.translations)[6])]
    for name, nets in (("keep", keep), ("centre", centre), ("allow", allow), ("doh", doh)):
        for version in (4, 6):
            parts.append(f"flush set inet {TABLE} {name}{version}")
            if nets[version]:
                parts.append(f"add element inet {TABLE} {name}{version} {{ {', '.join(nets[version])} }}")
    parts += [f"flush chain inet {TABLE} {chain}" for chain in _CHAINS]
    parts += [f"destroy chain inet {TABLE} {chain}" for chain in (*_FORMER, LEAVING)]
    lan_port = "meta mark and 0x3 == 0x2" if bridge else f'iifname "{site.lan}"'
    parts.append(deny_rules(policy, TABLE, site.nflog_group, wan, lan_port))
    parts += [counting(TABLE), crowd_rules(TABLE)]
    openings = [(one, _split(one.sources)) for one in policy.openings]
    begins = marks(openings, wan, "" if bridge else f'oifname "{site.lan}" ')
    parts.append(_forward(policy, wan, lan, lan_port, begins, observing=observing))
    parts.append(opened_rules(TABLE, openings, sent_from="" if bridge else wan))
    parts.append(_own_traffic(policy, site, wan, lan))
    parts.append(page_rules(policy, TABLE, site.page_port))
    parts.append(_nat(policy, site, wan, lan))
    parts.append(inspect_rules(policy, TABLE, wan, lan, site.queue))
    parts.append(_bridge(site) if bridge else f"destroy table bridge {TABLE}")
    return "\n".join(part for part in parts if part) + "\n"


def _declarations() -> str:
    plain = "\n".join(f"  chain {name} {{ }}" for name in _CHAINS if not name.endswith("_"))
    return f"""add table inet {TABLE}
table inet {TABLE} {{
  set hot4 {{ type ipv4_addr; flags timeout; size {HOT_SIZE}; }}
  set hot6 {{ type ipv6_addr; flags timeout; size {HOT_SIZE}; }}
  set cold4 {{ type ipv4_addr; flags interval; }}
  set cold6 {{ type ipv6_addr; flags interval; }}
  set keep4 {{ type ipv4_addr; flags interval; auto-merge; }}
  set keep6 {{ type ipv6_addr; flags interval; auto-merge; }}
  set centre4 {{ type ipv4_addr; flags interval; auto-merge; }}
  set centre6 {{ type ipv6_addr; flags interval; auto-merge; }}
  set allow4 {{ type ipv4_addr; flags interval; auto-merge; }}
  set allow6 {{ type ipv6_addr; flags interval; auto-merge; }}
  set inner4 {{ type ipv4_addr; flags interval; elements = {{ {INNER4} }}; }}
  set inner6 {{ type ipv6_addr; flags interval; elements = {{ fc00::/7, fe80::/10 }}; }}
  set doh4 {{ type ipv4_addr; flags interval; auto-merge; }}
  set doh6 {{ type ipv6_addr; flags interval; auto-merge; }}
  set spare4 {{ type ipv4_addr; flags interval; }}
  set spare6 {{ type ipv6_addr; flags interval; }}
  set local4 {{ type ipv4_addr; flags timeout; size 16384; }}
  set local6 {{ type ipv6_addr; flags timeout; size 16384; }}
{standing_declared()}
{declarations()}
{crowd_declared()}
  counter blocked_in {{ }}
  counter blocked_out {{ }}
{attempt_sets()}
  counter inbound_refused {{ }}
  counter dns_redirected {{ }}
  counter local_refused {{ }}
  counter paced {{ }}
  counter probe_kept {{ }}
  chain bulk_in {{ }}
  chain bulk_out {{ }}
  chain bulk_passed {{ }}
  chain web_bulk {{ }}
{plain}
  chain early_ {{ type filter hook prerouting priority raw; policy accept; }}
  chain forward_ {{ type filter hook forward priority -5; policy accept; }}
  chain input_ {{ type filter hook input priority -5; policy accept; }}
  chain output_ {{ type filter hook output priority -5; policy accept; }}
  chain dns_ {{ type nat hook prerouting priority dstnat; policy accept; }}
  chain source_ {{ type nat hook postrouting priority srcnat; policy accept; }}
}}"""


def _forward(policy: Policy, wan: str, lan: str, lan_port: str, begins: str, *, observing: bool) -> str:
    # Encrypted DNS to elsewhere would pass by the box's refusals of names.
    dot = _round(lan, "th dport 853", "reject") if policy.redirect_dns else ""
    doh = _round(lan, "th dport 443", "reject", "@doh") if policy.refuse_doh else ""
    dhcp = f"{wan} udp sport 67 udp dport 68 accept" if policy.mode == "bridge" else ""
    inbound = "\n    ".join(f"{wan} {rule} accept" for rule in _inbound(policy))
    learn = f"{wan} meta l4proto {{ tcp, udp }} accept" if observing else ""
    # The box asks on the LAN for each address that a stranger names.
    sought = f"{wan} ip6 daddr != @neighbours {NEIGHBOURS}" if policy.mode == "router" else ""
    pieces = PIECES if policy.mode == "router" else ""
    sent = "jump sent" if policy.leak_bytes_hour else ""
    # Of the operator's server, or the town hall's.
    leasing = "udp dport 67 jump leasing" if policy.mode == "bridge" else ""
    return f"""table inet {TABLE} {{
  chain forward_ {{
    {pieces}
    {lan_port} goto from_lan
    {wan} goto from_wan
    jump deny
    goto forwarded
  }}
  chain from_lan {{
    jump deny_out
    {leasing}
    {sent}
    {HELD}
    ct state established,related accept
    goto forwarded
  }}
  chain from_wan {{
    jump deny_in
    ct direction original jump strangers
    {HELD}
    ct state established,related accept
    goto forwarded
  }}
  chain forwarded {{
    ct state established,related accept
    ct state invalid drop
    {standing_rules(policy, lan)}
    {dot}
    {doh}
    {lan} ct state new ct mark and {COUNTED:#x} == 0 jump machine
    {lan} jump met
    {lan} accept
    {begins}
    {wan} ip saddr @allow4 accept
    {wan} ip6 saddr @allow6 accept
    {wan} icmpv6 type {{ nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, packet-too-big }} accept
    {dhcp}
    {sought}
    {wan} jump pace
    {inbound}
    {wan} {LET_IN}
    {learn}
    jump refuse
  }}
}}"""


def _round(lan: str, match: str, verdict: str, remotes: str = "") -> str:
    """Rules about what goes round the box's resolver: who tried is counted by machine and port."""
    rules = []
    for version, family in ((4, "ip"), (6, "ip6")):
        where = f"{family} daddr {remotes}{version} " if remotes else ""
        tell = f"update @round{version} {{ {family} saddr . th dport }}"
        rules.append(f"{lan} {where}meta l4proto {{ tcp, udp }} {match} {tell} {verdict}")
    return "\n    ".join(rules)


def _inbound(policy: Policy) -> list[str]:
    """What the policy lets in, without the interface and the verdict."""
    rules = []
    if ports := sorted(set(policy.inbound_tcp_ports)):
        rules.append(f"tcp dport {{ {', '.join(map(str, ports))} }}")
    for rule in policy.inbound:
        match = f"{rule.protocol} dport {rule.port}"
        if not rule.sources:
            rules.append(match)
            continue
        for version, nets in _split(rule.sources).items():
            if nets:
                rules.append(f"{'ip' if version == 4 else 'ip6'} saddr {{ {', '.join(nets)} }} {match}")
    return rules


def _own_traffic(policy: Policy, site: Site, wan: str, lan: str) -> str:
    """The box itself: a stolen box reaches its centre, DNS and time, and nothing else. It takes addresses from the
    internet's side alone: the networks that it is in are never blocked."""
    resolvers = "\n".join(f"    {rule}" for rule in _forwarder_rules(site))
    # Only what was redirected reaches the trap: its own port is open to nobody.
    traps = f"tcp dport {{ {site.trap_port}, {site.trap_port + 1} }}"
    trap = f"ct status dnat {traps} limit rate 50/second accept" if policy.honeyports else ""
    asked = f"{lan} meta l4proto {{ tcp, udp }} th dport {{ 53, {site.resolver_port} }}"
    # A bridge hears what is asked of the operator's server.
    leasing = f"{lan} udp dport 67 jump leasing" if policy.mode == "router" else ""
    return f"""table inet {TABLE} {{
  chain input_ {{
    iif lo accept
    {asked} jump asking
    {leasing}
    jump deny
    {wan} jump strangers
    {lan} icmpv6 type nd-router-advert update @others6 {{ ip6 saddr }} drop
    ct state established,related accept
    icmpv6 type {{ nd-neighbor-solicit, nd-router-solicit }} jump neighbour
    {ICMP_IN}
    {asked} accept
    {lan} udp dport {{ 67, 547 }} accept
    {page_input(lan, site.page_port)}
    {relay_input(policy, lan)}
    {wan} udp dport {{ 68, 546 }} accept
    {wan} ip saddr @allow4 accept
    {wan} ip6 saddr @allow6 accept
    {trap}
    {wan} jump refuse
    counter name inbound_refused drop
  }}
  chain output_ {{
    oif lo accept
    tcp flags & rst == rst fib saddr type != local accept
    jump deny
    ct state established,related accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    meta l4proto {{ tcp, udp }} th dport 53 accept
    udp dport {{ 67, 68, 123, 546, 547 }} accept
    ip daddr @centre4 tcp dport {site.centre_port} accept
    ip6 daddr @centre6 tcp dport {site.centre_port} accept
    {relay_output(policy)}
{resolvers}
    reject with icmpx admin-prohibited
  }}
}}"""


def _forwarder_rules(site: Site) -> list[str]:
    rules = []
    for text in site.forwarders:
        address, _, port = text.partition("@")
        if port and port != "53":
            family = "ip6" if ":" in address else "ip"
            rules.append(f"{family} daddr {address} meta l4proto {{ tcp, udp }} th dport {int(port)} accept")
    return rules


def _nat(policy: Policy, site: Site, wan: str, lan: str) -> str:
    dns = "meta l4proto { tcp, udp } th dport 53"
    redirect = ""
    if policy.redirect_dns:
        redirect = "\n    ".join((
            *(f"{lan} {dns} update @asks{n} {{ {f} saddr }}" for n, f in ((4, "ip"), (6, "ip6"))),
            # A resolver within the LAN, or the operator's router before a bridge, is no way round.
            _round(f"{lan} fib daddr type != local", "th dport 53", "continue", "!= @inner"),
            f"{lan} {dns} counter name dns_redirected redirect to :{site.resolver_port}",
        ))  # fmt: skip
    # From the internet, wherever it is sent to; a port that the policy lets in is no trap for those. In the LAN, the
    # box's own but what it answers there.
    traps = [f"{wan} {rule} return" for rule in _inbound(policy)] if policy.honeyports else []
    own = {53, site.resolver_port, 80, site.page_port}
    for match, ports, port in (
        (wan, set(policy.honeyports), site.trap_port),
        (f"{lan} fib daddr type local", {*policy.honeyports} - own, site.trap_port + 1),
    ):
        if ports:
            traps.append(f"{match} tcp dport {{ {', '.join(map(str, sorted(ports)))} }} redirect to :{port}")
    hide = (
        f'oifname "{site.wan}" meta nfproto ipv4 masquerade'
        if site.masquerade and policy.mode == "router"
        else ""
    )
    probe = probe_hidden(site.wan) if policy.mode == "router" else ""
    elsewhere = f"meta mark and {ELSEWHERE:#x} != 0 accept" if policy.mode == "bridge" else ""
    # Here, because an offer is sent to an address that nobody has yet: what is offered to the box passes no input.
    others = f"{lan} udp sport 67 udp dport 68 update @others4 {{ ip saddr }}"
    return f"""table inet {TABLE} {{
  chain dns_ {{
    {elsewhere}
    {others}
    {redirect}
    {relay_redirect(policy, lan)}
    jump {SENT_ON}
    {"\n    ".join(traps)}
    {page_jump(lan)}
  }}
  chain source_ {{
    {probe}
    {hide}
  }}
  {probe_kept(site.probe_version) if policy.mode == "router" else ""}
}}"""


def _bridge(site: Site) -> str:
    gateways, own = _split(site.gateways), _split(site.own)
    return bridge_rules(TABLE, site.wan, site.lan, gateways=gateways, own=own)


def _check(policy: Policy, site: Site) -> None:
    if policy.mode not in MODES:
        raise PolicyInvalid("mode")
    if not all(isinstance(p, int) and 0 < p < 65536 for p in policy.inbound_tcp_ports):
        raise PolicyInvalid("inbound_tcp_ports")
    if not all(isinstance(p, int) and 0 < p < 65536 for p in policy.honeyports):
        raise PolicyInvalid("honeyports")
    if not all(r.protocol in ("tcp", "udp") and 0 < r.port < 65536 for r in policy.inbound):
        raise PolicyInvalid("inbound")
    if not all(map(is_sound, policy.openings)):
        raise PolicyInvalid("openings")
    for name in policy.canary_names:
        try:
            indicator = normalise(Kind.DOMAIN, name)
        except ProtocolError:
            raise PolicyInvalid("canary_names") from None
        # The resolver refuses it with all below: a trap must not take a public service away.
        if indicator.value != name or reason_protected(indicator):
            raise PolicyInvalid("canary_names")
    for name in (site.wan, site.lan):
        if not INTERFACE.fullmatch(name):
            raise PolicyInvalid("interface name")


def _split(values: Iterable[str]) -> dict[int, list[str]]:
    """Return canonical prefixes by family. Errors: PolicyInvalid."""
    result: dict[int, list[str]] = {4: [], 6: []}
    try:
        nets = [ipaddress.ip_network(normalise(Kind.CIDR, value).value) for value in values]
    except ProtocolError:
        raise PolicyInvalid("address") from None
    for version in (4, 6):
        found = sorted({str(n) for n in nets if n.version == version})
        result[version] = found
    return result
