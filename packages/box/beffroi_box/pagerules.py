"""The packet rules of the box's page. Pure.

Purpose: a person of the LAN who opens a blocked address by HTTP gets the box's page instead of silence. HTTPS is
         refused at once by a TCP reset: no page could answer there without a false certificate.
Source:  docs/decisions/0018-block-page.md.
"""

from __future__ import annotations

from beffroi_protocol.messages import Policy

PAGE_ADDRESS = "192.168.213.1"
"""The page's address on every label: the box's own on its LAN as a router; as a bridge it takes what is sent there."""
PAGE_CHAINS = ("web", "to_page")


def page_rules(policy: Policy, table: str, port: int) -> str:
    """What the chain ``dns_`` jumps to for new TCP connections of the LAN to port 80. An attempt counts as refused."""
    own = f"    ip daddr {PAGE_ADDRESS} meta l4proto tcp redirect to :{port}"
    if not policy.enforce:
        return f"table inet {table} {{\n  chain web {{\n{own}\n  }}\n}}"
    kept = "\n".join(
        f"    {family} daddr @{name}{version} return"
        for name in ("keep", "spare")
        for version, family in ((4, "ip"), (6, "ip6"))
    )
    listed = "\n".join(
        f"    {family} daddr @{name}{version} goto to_page"
        for name in ("hot", "cold")
        for version, family in ((4, "ip"), (6, "ip6"))
    )
    return f"""table inet {table} {{
  chain to_page {{
    counter name blocked_out
    jump tried_out
    meta l4proto tcp redirect to :{port}
  }}
  chain web {{
{own}
{kept}
{listed}
    jump web_bulk
  }}
}}"""


def page_jump(lan: str) -> str:
    return f"{lan} tcp dport 80 jump web"


def page_input(lan: str, port: int) -> str:
    """Without a limit: one for all would let whoever uses it up keep the others out. The page has its own."""
    return f"{lan} tcp dport {port} accept"
