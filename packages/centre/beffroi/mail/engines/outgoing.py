"""What Postfix needs for mail that leaves: its transports, names, addresses, and how fast it may be for whom.

Purpose: DANE with our validating resolver; slow lanes for providers that refuse whoever is too fast.
Process: the supervisor writes the files; ``smtp`` of Postfix, in a chroot, uses them.
Hostile: nothing; every value comes from ``lib.config`` and is checked here.
Fails:   closed (SettingInvalid). Without ``outgoing_mail`` nothing leaves.
Source:  postconf(5), transport(5), TLS_README, RFC 7672; docs/internals/mail-engines.md.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.engines import layout, unbound

NONE = (
    "# Off: a demonstration lets nothing out. Submission to a foreign address is refused at RCPT.\n"
    "default_transport = error:5.7.1 this server sends no mail to other servers\n"
    "relay_transport = $default_transport\n"
    "smtp_dns_support_level = disabled"
)
_LEAVES = (
    "default_transport = smtp\n"
    "smtp_dns_support_level = dnssec\n"
    "smtp_host_lookup = dns\n"
    # Without TLSA records it is "may": encrypted where the other server can, never held back.
    "smtp_tls_security_level = dane\n"
    "smtp_tls_loglevel = 1\n"
    # Partners that demand it by MTA-STS and have no DANE: a proved certificate, or the mail waits.
    "smtp_tls_policy_maps = proxy:sqlite:{etc}/tls-policy.cf\n"
    "smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt\n"
    # What our filter told our own engines is nobody else's business. No signature covers it.
    "smtp_header_checks = regexp:{{/^X-Beffroi-/ IGNORE}}"
)
RESOLVER = f"# Written by Beffroi.\nnameserver {unbound.SMTP_ADDRESS}\nsearch .\noptions edns0 trust-ad\n"
"""resolv.conf in the root directory of ``smtp``, the queue. Without ``trust-ad`` the C library drops the proof of
DNSSEC."""

_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_HOST = _DOMAIN
_MOST = 50
_LONGEST_DELAY_S = 3600


@dataclass(frozen=True)
class Slow:
    """One provider. ``connections``: at once to all its domains; ``delay_s``: between two mails to one domain, which
    then has one connection; ``recipients``: of one mail."""

    name: str
    connections: int
    delay_s: int
    recipients: int
    domains: tuple[str, ...]

    @property
    def service(self) -> str:
        return f"slow-{self.name}"


def slow(config: Config) -> list[Slow]:
    """The setting ``slow_destinations``. Errors: SettingInvalid."""
    found: list[Slow] = []
    taken: set[str] = set()
    for text in filter(None, (part.strip() for part in config.slow_destinations.split(";"))):
        one = _slow(config, text)
        twice = taken & {one.name, *one.domains}
        if twice:
            raise SettingInvalid("slow_destinations", config.state, f"{min(twice)} is named twice")
        taken |= {one.name, *one.domains}
        found.append(one)
    return found


def _slow(config: Config, text: str) -> Slow:
    name, *words = text.split()
    numbers, domains = words[:3], tuple(word.lower() for word in words[3:])
    limits = ((1, _MOST), (0, _LONGEST_DELAY_S), (1, _MOST))
    good = (
        _NAME.fullmatch(name)
        and len(numbers) == len(limits)
        and all(
            n.isascii() and n.isdigit() and low <= int(n) <= high
            for n, (low, high) in zip(numbers, limits, strict=True)
        )
        and domains
        and all(_DOMAIN.fullmatch(domain) for domain in domains)
    )
    if not good:
        why = f"{text!r} is not 'NAME CONNECTIONS(1-50) DELAY_S(0-3600) RECIPIENTS(1-50) DOMAIN...'"
        raise SettingInvalid("slow_destinations", config.state, why)
    connections, delay_s, recipients = (int(number) for number in numbers)
    return Slow(name, connections, delay_s, recipients, domains)


def main_cf(config: Config) -> str:
    """Lines of main.cf. Errors: SettingInvalid."""
    if not config.outgoing_mail:
        return NONE
    etc = layout.Paths(config.state).postfix / "etc"
    lines = [_LEAVES.replace("{etc}", str(etc)), *_addresses(config)]
    if config.outgoing_name:
        if not _HOST.fullmatch(config.outgoing_name):
            raise SettingInvalid("outgoing_name", config.state, "must be a host name")
        lines.append(f"smtp_helo_name = {config.outgoing_name}")
    for lane in slow(config):
        lines += [
            f"{lane.service}_destination_concurrency_limit = {lane.connections}",
            f"{lane.service}_initial_destination_concurrency = 1",
            f"{lane.service}_destination_rate_delay = {lane.delay_s}s",
            f"{lane.service}_destination_recipient_limit = {lane.recipients}",
            # A refusal because of haste is not a dead server: the others in the queue still get their turn.
            f"{lane.service}_destination_concurrency_failed_cohort_limit = 10",
        ]
    return "\n".join(lines)


def _addresses(config: Config) -> list[str]:
    """Errors: SettingInvalid."""
    found: dict[int, str] = {}
    for text in config.outgoing_addresses.split():
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise SettingInvalid("outgoing_addresses", config.state, f"{text!r} is no address") from None
        if address.version in found:
            raise SettingInvalid("outgoing_addresses", config.state, f"two addresses of IPv{address.version}")
        found[address.version] = str(address)
    parameters = {4: "smtp_bind_address", 6: "smtp_bind_address6"}
    return [f"{parameters[version]} = {address}" for version, address in sorted(found.items())]


def _only_family(config: Config) -> str:
    """A mail must not leave from an address that nobody chose: its PTR and SPF are somebody else's."""
    families = {ipaddress.ip_address(text).version for text in config.outgoing_addresses.split()}
    return f"\n  -o inet_protocols=ipv{families.pop()}" if len(families) == 1 else ""


def master_cf(config: Config) -> dict[str, str]:
    """Values of the template postfix-master.cf: the fastest lane's options, and the slow lanes."""
    if not config.outgoing_mail:
        return {"smtp_options": "", "slow": ""}
    family = _only_family(config)
    lanes = "".join(
        f"{lane.service} unix - - y - {lane.connections} smtp\n"
        f"  -o syslog_name=postfix-beffroi/{lane.service}{family}\n"
        for lane in slow(config)
    )
    return {"smtp_options": family, "slow": lanes}


def transport_map(config: Config) -> str:
    rows = "".join(f"{domain} {lane.service}:\n" for lane in slow(config) for domain in lane.domains)
    return f"# Written by Beffroi from slow_destinations, do not edit.\n{rows}"
