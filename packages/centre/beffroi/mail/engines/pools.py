"""The addresses that mail leaves from, and the lanes of Postfix that each of them has.

Purpose: an exit is one name in HELO with its addresses. Every exit has the same lanes, a fast one and one for each slow
         provider; which a mail takes, mailgate says (``gate/exits.py``), in a header that Postfix reads.
Process: the supervisor writes the files; mailgate, worker and sources read the setting.
Hostile: nothing; every value comes from ``lib.config`` and is checked here.
Fails:   closed (SettingInvalid).
Source:  docs/decisions/0053-pools-of-outgoing-addresses.md; postconf(5), header_checks(5), access(5).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.engines.destinations import Slow, slow

LANE_HEADER = "X-Beffroi-Lane"
SPLIT = "split"
"""The lane that makes one mail for each recipient: colleagues of a doubtful sender get theirs as ever."""
_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_BIND: dict[int, str] = {4: "smtp_bind_address", 6: "smtp_bind_address6"}


class Pool(StrEnum):
    ORDINARY = "ordinary"
    WARMING = "warming"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True)
class Exit:
    """``name``: "" for the first one, of the settings ``outgoing_name`` and ``outgoing_addresses``; ``addresses``: at
    most one of each family, none where the system chooses."""

    name: str
    pool: Pool
    helo: str
    addresses: tuple[str, ...]

    def lane(self, provider: str = "") -> str:
        """The service of master.cf for a slow provider, or for all other servers ("")."""
        if not self.name:
            return f"slow-{provider}" if provider else "smtp"
        return "-".join(["out", self.name, *([provider] if provider else [])])


def first(config: Config) -> Exit:
    """Errors: SettingInvalid."""
    name = config.outgoing_name
    if name and not _HOST.fullmatch(name):
        raise SettingInvalid("outgoing_name", config.state, "must be a host name")
    addresses = _addresses(config, "outgoing_addresses", config.outgoing_addresses.split())
    return Exit("", Pool.ORDINARY, name, addresses)


def exits(config: Config) -> list[Exit]:
    """All of them, the first one first. Errors: SettingInvalid."""
    found = [first(config)]
    for text in filter(None, (part.strip() for part in config.outgoing_pools.split(";"))):
        found.append(_exit(config, text))
        names = [one.name for one in found]
        addresses = [address for one in found for address in one.addresses]
        if len(set(names)) < len(names) or len(set(addresses)) < len(addresses):
            raise SettingInvalid("outgoing_pools", config.state, f"{text!r} is there twice")
    if len(found) > 1 and not found[0].addresses:
        raise SettingInvalid(
            "outgoing_pools", config.state, "outgoing_addresses must say the first addresses"
        )
    if sum(one.pool is Pool.DOUBTFUL for one in found) > 1:
        raise SettingInvalid("outgoing_pools", config.state, "one doubtful exit is enough")
    return found


def doubtful(config: Config) -> Exit | None:
    """Errors: SettingInvalid."""
    return next((one for one in exits(config) if one.pool is Pool.DOUBTFUL), None)


def addresses(config: Config) -> list[str]:
    """Of all exits. Errors: SettingInvalid."""
    return [address for one in exits(config) for address in one.addresses]


def _exit(config: Config, text: str) -> Exit:
    name, *words = text.split()
    pool, helo = (words[0] if words else ""), (words[1].lower() if len(words) > 1 else "")
    pools = [str(one) for one in Pool]
    if not (_NAME.fullmatch(name) and pool in pools and _HOST.fullmatch(helo) and 1 <= len(words) - 2 <= 2):
        why = f"{text!r} is not 'NAME ordinary|warming|doubtful HOST_NAME ADDRESS [ADDRESS]'"
        raise SettingInvalid("outgoing_pools", config.state, why)
    return Exit(name, Pool(pool), helo, _addresses(config, "outgoing_pools", words[2:]))


def _addresses(config: Config, setting: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Errors: SettingInvalid."""
    found: dict[int, str] = {}
    for text in texts:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise SettingInvalid(setting, config.state, f"{text!r} is no address") from None
        if address.version in found:
            raise SettingInvalid(setting, config.state, f"two addresses of IPv{address.version}")
        found[address.version] = str(address)
    return tuple(address for _, address in sorted(found.items()))


def main_cf(config: Config) -> Iterator[str]:
    """Lines of main.cf for the lanes of all exits. Errors: SettingInvalid."""
    for one in exits(config):
        for lane in slow(config):
            yield from _pace(one.lane(lane.name), lane.connections, lane.delay_s, lane.recipients)
        if one.pool is Pool.DOUBTFUL:
            # Whoever is doubted is fast with nobody.
            yield from _pace(one.lane(), 2, 1, 20)
            yield f"{SPLIT}_destination_recipient_limit = 1"


def _pace(service: str, connections: int, delay_s: int, recipients: int) -> list[str]:
    return [
        f"{service}_destination_concurrency_limit = {connections}",
        f"{service}_initial_destination_concurrency = 1",
        f"{service}_destination_rate_delay = {delay_s}s",
        f"{service}_destination_recipient_limit = {recipients}",
        # A refusal because of haste is not a dead server: the others in the queue still get their turn.
        f"{service}_destination_concurrency_failed_cohort_limit = 10",
    ]


def options(one: Exit) -> str:
    """Options of a service of this exit; of the first one most stand in main.cf."""
    lines = []
    if one.name:
        bound: dict[int, str] = {ipaddress.ip_address(text).version: text for text in one.addresses}
        lines += [f"smtp_helo_name={one.helo}"]
        lines += [f"{parameter}={bound.get(version, '')}" for version, parameter in _BIND.items()]
    families = {ipaddress.ip_address(text).version for text in one.addresses}
    if len(families) == 1:
        # A mail must not leave from an address that nobody chose: its PTR and SPF are somebody else's.
        lines.append(f"inet_protocols=ipv{families.pop()}")
    return "".join(f"\n  -o {line}" for line in lines)


def binding(one: Exit) -> list[str]:
    """Lines of main.cf: where the first exit's services bind. An address that is not there lets mail wait."""
    lines = [f"{_BIND[ipaddress.ip_address(text).version]} = {text}" for text in one.addresses]
    return [*lines, "smtp_bind_address_enforce = yes"] if lines else []


def services(config: Config, listen: str, etc: str, tls: str, split_print: str) -> str:
    """Rows of master.cf: the slow lanes of the first exit, all lanes of the others, and the door where the mail of a
    doubtful sender is split, known by its certificate. There a later FILTER takes the place of an earlier one.

    Errors: SettingInvalid.
    """
    rows = []
    for one in exits(config):
        if one.name:
            processes = "5" if one.pool is Pool.DOUBTFUL else "-"
            rows.append(_row(one.lane(), processes, options(one)))
        rows += [_row(one.lane(lane.name), str(lane.connections), options(one)) for lane in slow(config)]
        if one.pool is Pool.DOUBTFUL:
            rows.append(
                _SPLIT_SERVICES.format(listen=listen, etc=etc, tls=tls, print=split_print, lane=one.lane())
            )
    return "".join(rows)


def _row(service: str, processes: str, more: str) -> str:
    return f"{service} unix - - y - {processes} smtp\n  -o syslog_name=postfix-beffroi/{service}{more}\n"


_SPLIT_SERVICES = """\
split unix - - n - 5 smtp
  -o syslog_name=postfix-beffroi/split
  -o smtp_tls_security_level=encrypt
  -o smtp_tls_policy_maps=
  -o smtp_tls_cert_file={tls}/split.pem
  -o smtp_tls_key_file={tls}/split.key
  -o smtp_bind_address=
  -o smtp_bind_address6=
  -o {{ smtp_header_checks = regexp:{{{{/^X-Beffroi-Lane:/ IGNORE}}}} }}
{listen} inet n - n - - smtpd
  -o syslog_name=postfix-beffroi/splitting
  -o smtpd_milters=
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_ask_ccert=yes
  -o {{ relay_clientcerts = inline:{{{{{print} = split}}}} }}
  -o smtpd_client_restrictions=permit_tls_clientcerts,reject
  -o smtpd_relay_restrictions=permit_tls_clientcerts,reject
  -o smtpd_sender_restrictions=
  -o smtpd_end_of_data_restrictions=
  -o {{ smtpd_recipient_restrictions = check_recipient_access proxy:sqlite:{etc}/inside.cf, check_recipient_access static:{{FILTER {lane}:}}, check_recipient_access texthash:{etc}/doubtful }}
"""  # noqa: E501


def inside_query(config: Config) -> str:
    """Who is ours: the first answer ends the search for a lane. Asked with whole addresses alone (%d)."""
    ours = "SELECT 'OK' FROM domain WHERE name='%d'"
    return f"{ours} UNION SELECT 'OK' WHERE '%d'='{config.mail_name}'"


def doubtful_map(config: Config) -> str:
    """The lanes of slow providers for a doubtful sender's mail. Errors: SettingInvalid."""
    one = doubtful(config)
    rows = (
        [f"{domain} FILTER {one.lane(lane.name)}:" for lane in slow(config) for domain in lane.domains]
        if one
        else []
    )
    return "\n".join(["# Written by Beffroi, do not edit.", *rows, ""])


def header_checks(config: Config, splitting: str) -> str:
    """Which lane a mail takes, by the header that our filter adds; a sender's own header of that name was removed.
    ``splitting``: ADDRESS:PORT of the door. Errors: SettingInvalid."""
    rows = ["# Written by Beffroi, do not edit."]
    for one in exits(config)[1:]:
        if one.pool is Pool.DOUBTFUL:
            rows.append(f"/^{LANE_HEADER}: {SPLIT}$/ FILTER {SPLIT}:{splitting}")
        else:
            lanes = [one.lane(), *(one.lane(lane.name) for lane in slow(config))]
            rows += [f"/^{LANE_HEADER}: {lane}$/ FILTER {lane}:" for lane in lanes]
    return "\n".join([*rows, ""])


def providers(lanes: Sequence[Slow]) -> dict[str, str]:
    """domain -> the provider's name."""
    return {domain: lane.name for lane in lanes for domain in lane.domains}
