"""How many flows a machine of the LAN may begin and hold, how fast it may ask for names and for addresses, as nft text.
Pure.

Purpose: the kernel's table of connections is full for everybody when one fills it, and what is completed stays there.
         A machine is its MAC. One that was here an hour ago has a room of its own; those that came since share one:
         who forges MACs, as many as may be, takes no new flow from a machine that was here before.
Cost:    the kernel looks through the flows of a room for each new one (a millisecond for thousands): hence the rate
         before it.
Fails:   a full memory of machines makes a newcomer of who is not in it.
Source:  docs/internals/box.md; decisions 168, 181, 210 and 224.
"""

from __future__ import annotations

MOST_FLOWS, BEGUN = 8192, "rate over 200/second burst 4000 packets"
"""At a time, of one machine and of all newcomers: a thirty-second of the kernel's table (deploy/deb/sysctl.conf)."""
ASKED = "rate over 400/second burst 2000 packets"
"""Packets to the resolver, of one machine and of all newcomers: twice what dnsdist answers to one address. It counts
addresses, and who forges those reaches the recursor without end."""
NEIGHBOURS = "limit rate over 50/second burst 100 packets counter name neighbours_refused drop"
"""Addresses of IPv6 that nobody had before: the kernel holds 16,384 of them at a time, a moment each at least
(deploy/deb/sysctl.conf), and a link has more than anybody counts."""
LEASES = "rate over 1/second burst 400 packets", "rate over 1/minute burst 40 packets"
"""Packets of DHCP, each of which may take an address for half an hour, of all newcomers and of one machine that was
here before: 2200 addresses of 4093 (``modes``), and 70. A machine needs two or three; 40 are a Wi-Fi that speaks for
its telephones with its own MAC."""
CROWD_CHAINS = ("machine", "resident", "crowd", "asking", "leasing", "neighbour")
_ETHER = "type ether_addr; flags dynamic"


def crowd_declared() -> str:
    """``newcomers`` forgets a machine an hour after it came; ``seen`` knows it longer."""
    return f"""\
  set begun {{ {_ETHER},timeout; size 4096; timeout 1m; }}
  set held {{ {_ETHER}; size 4096; }}
  set crowds {{ {_ETHER},timeout; size 4096; timeout 3m; counter; }}
  set newcomers {{ {_ETHER},timeout; size 1024; timeout 1h; }}
  set seen {{ {_ETHER},timeout; size 1024; timeout 2d; }}
  set residents {{ {_ETHER},timeout; size 1024; timeout 14d; }}
  set held_by_newcomers {{ type iface_index; flags dynamic; size 16; }}
  set asked {{ {_ETHER},timeout; size 1024; timeout 1m; }}
  set askers {{ {_ETHER},timeout; size 1024; timeout 3m; counter; }}
  set leased {{ {_ETHER},timeout; size 1024; timeout 1h; }}
  set leasers {{ {_ETHER},timeout; size 1024; timeout 3m; counter; }}
  set neighbours {{ type ipv6_addr; flags dynamic,timeout; size 4096; timeout 10m; }}
  counter neighbours_refused {{ }}
  counter newcomers_refused {{ }}
  counter asked_too_fast {{ }}"""


def crowd_rules(table: str) -> str:
    """``machine`` sees the first packet of each flow of the LAN: what passes is marked (``tallies.COUNTED``), since a
    flow that nobody answers stays new. ``neighbour`` sees what makes the kernel remember who sent it."""
    return f"""table inet {table} {{
  chain machine {{
    update @begun {{ ether saddr limit {BEGUN} }} goto crowd
    ether saddr @residents goto resident
    ether saddr @seen ether saddr != @newcomers goto resident
    ether saddr != @seen add @newcomers {{ ether saddr }} add @seen {{ ether saddr }}
    add @held_by_newcomers {{ iif ct count over {MOST_FLOWS} }} counter name newcomers_refused drop
  }}
  chain resident {{
    update @residents {{ ether saddr }}
    add @held {{ ether saddr ct count over {MOST_FLOWS} }} goto crowd
  }}
  chain asking {{
    ether saddr != @residents limit {ASKED} counter name newcomers_refused drop
    ether saddr != @residents return
    update @asked {{ ether saddr limit {ASKED} }} update @askers {{ ether saddr }} counter name asked_too_fast drop
  }}
  chain leasing {{
    ether saddr != @residents limit {LEASES[0]} counter name newcomers_refused drop
    ether saddr != @residents return
    update @leased {{ ether saddr limit {LEASES[1]} }} update @leasers {{ ether saddr }} drop
  }}
  chain neighbour {{
    ip6 saddr :: return
    ip6 saddr @neighbours update @neighbours {{ ip6 saddr }} return
    {NEIGHBOURS}
    add @neighbours {{ ip6 saddr }}
  }}
  chain crowd {{
    update @crowds {{ ether saddr }}
    drop
  }}
}}"""
