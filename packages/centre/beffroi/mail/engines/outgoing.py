"""What Postfix needs for mail that leaves: its transports, names, addresses, and how fast it may be for whom.

Purpose: DANE with our validating resolver; slow lanes for providers that refuse whoever is too fast.
Process: the supervisor writes the files; ``smtp`` of Postfix, in a chroot, uses them.
Hostile: nothing; every value comes from ``lib.config`` and is checked here.
Fails:   closed (SettingInvalid). Without ``outgoing_mail`` nothing leaves.
Source:  postconf(5), transport(5), TLS_README, RFC 7672; docs/internals/mail-engines.md.
"""

from __future__ import annotations

from beffroi.lib.config import Config
from beffroi.mail.engines import layout, pools, unbound
from beffroi.mail.engines.destinations import slow

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
    # Lines stay as long as they were signed, by us or by whoever wrote what is forwarded.
    "smtp_line_length_limit = 0\n"
    # What our filter told our own engines is nobody else's business. No signature covers it.
    "smtp_header_checks = regexp:{{/^X-Beffroi-/ IGNORE}}"
)
RESOLVER = f"# Written by Beffroi.\nnameserver {unbound.SMTP_ADDRESS}\nsearch .\noptions edns0 trust-ad\n"
"""resolv.conf in the root directory of ``smtp``, the queue. Without ``trust-ad`` the C library drops the proof of
DNSSEC."""


def main_cf(config: Config) -> str:
    """Lines of main.cf. Errors: SettingInvalid."""
    if not config.outgoing_mail:
        return NONE
    etc, one = layout.Paths(config.state).postfix / "etc", pools.first(config)
    lines = [_LEAVES.replace("{etc}", str(etc)), *pools.binding(one)]
    if one.helo:
        lines.append(f"smtp_helo_name = {one.helo}")
    if len(pools.exits(config)) > 1:
        lines.append(f"milter_header_checks = regexp:{etc}/lanes")
    return "\n".join([*lines, *pools.main_cf(config)])


def splitting(config: Config) -> str:
    return f"{layout.LOOPBACK}:{config.split_port}"


def master_cf(config: Config, *, split_print: str) -> dict[str, str]:
    """Values of the template postfix-master.cf: options of the fastest lane, and all other lanes. ``split_print``: of
    the certificate that opens the door where mail is split. Errors: SettingInvalid."""
    if not config.outgoing_mail:
        return {"smtp_options": "", "lanes": ""}
    paths = layout.Paths(config.state)
    lanes = pools.services(config, splitting(config), str(paths.postfix / "etc"), str(paths.tls), split_print)
    return {"smtp_options": pools.options(pools.first(config)), "lanes": lanes}


def transport_map(config: Config) -> str:
    one = pools.first(config)
    rows = "".join(f"{domain} {one.lane(lane.name)}:\n" for lane in slow(config) for domain in lane.domains)
    return f"# Written by Beffroi from slow_destinations, do not edit.\n{rows}"
