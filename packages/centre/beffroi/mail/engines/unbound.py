"""Configuration of the centre's own resolver.

Purpose: SPF, DKIM, DMARC and link hosts are looked up here, never through the machine's resolver.
Process: unbound as user ``unbound``, loopback only.
Hostile: every answer from the network; DNSSEC is checked where the root is asked directly.
Fails:   a name without an answer is "temporarily unknown"; mail flows on.
Source:  unbound.conf(5).
"""

from __future__ import annotations

import os
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.lib.process import Process
from beffroi.mail.engines import layout, probes

_ROOT_KEY = Path("/usr/share/dns/root.key")
# Names that unbound answers by itself as empty (RFC 6761); a forwarder may well know them.
_OWN_ZONES = ("test.", "invalid.", "home.arpa.")


def write(config: Config) -> None:
    """Write unbound.conf. Errors: EngineMissing."""
    paths = layout.Paths(config.state)
    owner = layout.user("unbound", "unbound")
    layout.directory(paths.unbound, 0o750, owner)
    log = config.log / "unbound.log"
    log.touch()
    os.chown(log, owner.uid, owner.gid)
    layout.write(
        paths.unbound / "unbound.conf",
        layout.render(
            "unbound.conf",
            home=paths.unbound,
            log=config.log,
            username="unbound",
            port=config.resolver_port,
            ipv6="yes",
            trust=_trust(config),
            forward=_forward(config),
        ),
        0o644,
    )


def _trust(config: Config) -> str:
    if config.dns_forward:
        # The forwarder answers for the whole tree, also for names that the public root does not know.
        zones = "\n".join(f'  local-zone: "{z}" nodefault' for z in _OWN_ZONES)
        return f'  module-config: "iterator"\n  do-not-query-localhost: no\n{zones}'
    if _ROOT_KEY.exists():
        return f'  module-config: "validator iterator"\n  trust-anchor-file: "{_ROOT_KEY}"'
    return '  module-config: "iterator"'


def _forward(config: Config) -> str:
    if not config.dns_forward:
        return ""
    return f'forward-zone:\n  name: "."\n  forward-addr: {config.dns_forward}'


def process(config: Config) -> Process:
    conf = layout.Paths(config.state).unbound / "unbound.conf"
    return Process(
        name="unbound",
        argv=("/usr/sbin/unbound", "-d", "-p", "-c", str(conf)),
        healthy=lambda: probes.resolver(config),
        stop_timeout_s=5,
        advice=f"Look at {config.log / 'unbound.log'}; is another program on port {config.resolver_port}?",
    )
