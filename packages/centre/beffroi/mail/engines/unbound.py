"""Configuration of the centre's own resolver.

Purpose: SPF, DKIM, DMARC and link hosts are looked up here, never through the machine's resolver.
Process: unbound as user ``unbound``, loopback only.
Hostile: every answer from the network; DNSSEC is checked where the root is asked directly.
Fails:   a name without an answer is "temporarily unknown"; mail flows on.
Source:  unbound.conf(5).
"""

from __future__ import annotations

from pathlib import Path

from beffroi.lib import durable
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.process import Process
from beffroi.mail.engines import layout, probes

SMTP_ADDRESS = "127.0.0.25"
"""Where Postfix asks: the C library knows no other port than 53, and 127.0.0.1 may have a resolver of the machine."""
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
    durable.settle(log, mode=0o640, owner=(owner.uid, owner.gid))  # it names who mail goes to
    layout.write(
        paths.unbound / "unbound.conf",
        layout.render(
            "unbound.conf",
            home=paths.unbound,
            log=config.log,
            username="unbound",
            port=config.resolver_port,
            ipv6="yes",
            outgoing=f"  interface: {SMTP_ADDRESS}@53" if config.outgoing_mail else "",
            trust=_trust(config),
            forward=_forward(config),
        ),
        0o644,
    )


def _trust(config: Config) -> str:
    if config.dns_forward:
        # The forwarder answers for the whole tree, also for names that the public root does not know.
        zones = "\n".join(f'  local-zone: "{z}" nodefault' for z in _OWN_ZONES)
        return f"{_forwarder_trust(config)}\n  do-not-query-localhost: no\n{zones}"
    if _ROOT_KEY.exists():
        return f'  module-config: "validator iterator"\n  trust-anchor-file: "{_ROOT_KEY}"'
    return '  module-config: "iterator"'


def _forwarder_trust(config: Config) -> str:
    """Errors: SettingInvalid."""
    if not config.dns_trust_anchors:
        return '  module-config: "iterator"'
    path = Path(config.dns_trust_anchors)
    if not path.is_file() or '"' in config.dns_trust_anchors:
        raise SettingInvalid("dns_trust_anchors", config.state, "no such file")
    return f'  module-config: "validator iterator"\n  trust-anchor-file: "{path}"'


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
