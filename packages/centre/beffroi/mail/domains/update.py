"""Write records into a DNS server of the Département by dynamic update.

Purpose: a zone that is delegated to us, and our own zone of DKIM keys, follow by themselves.
Process: worker and console; TCP to the one server of the setting ``dns_update_server``.
Hostile: the server's answer; it is authentic only with our TSIG key.
Fails:   closed: one message a zone, which the server takes whole or not at all.
Keeps:   what is not ours. Of TXT at the domain itself only SPF is replaced; CAA is only added to.
Source:  RFC 2136, RFC 8945.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsigkeyring
import dns.update

from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError, Unavailable
from beffroi.mail.domains.records import Purpose, Record

TIMEOUT_S = 10.0
ALGORITHM = "hmac-sha256"
KEY_FILE = "dns-update.key"


class NoUpdateServer(BeffroiError):
    """No DNS server takes our updates; set dns_update_server, dns_update_key and secrets/dns-update.key."""

    code = "mail.no_update_server"
    http_status = 409


class UpdateRefused(BeffroiError):
    """The DNS server refused the update: {}. Nothing was changed."""

    code = "mail.update_refused"
    http_status = 409


class UpdateClash(BeffroiError):
    """{} is a CNAME, beside which no mail can be. Nothing was changed."""

    code = "mail.update_clash"
    http_status = 409


class UpdateUnanswered(Unavailable):
    """The DNS server {} does not answer; try again shortly."""

    code = "mail.update_unanswered"


@dataclass(frozen=True)
class Server:
    """``secret``: base64, as in a file of BIND or Knot."""

    address: str
    port: int
    key_name: str
    secret: str


def server(config: Config) -> Server:
    """Errors: NoUpdateServer, SettingInvalid."""
    if not (config.dns_update_server and config.dns_update_key):
        raise NoUpdateServer()
    address, _, port = config.dns_update_server.partition("@")
    return Server(
        address, int(port or 53), config.dns_update_key, config.secret(KEY_FILE).decode("ascii", "replace")
    )


def apply(target: Server, records: Sequence[Record]) -> list[str]:
    """Put these records in place of what stood there; return the zones that changed.

    Errors: UpdateRefused (also a zone that is not this server's), UpdateClash, UpdateUnanswered.
    """
    by_zone: dict[str, list[Record]] = {}
    for one in records:
        by_zone.setdefault(_zone_of(target, one.name), []).append(one)
    for zone, ours in by_zone.items():
        _send(target, zone, ours)
    return list(by_zone)


def held(target: Server, records: Iterable[Record]) -> list[Record]:
    """Those of which this server holds the zone: all of a domain, or the names below it that are delegated.

    Errors: UpdateRefused (it holds none), UpdateUnanswered.
    """
    found = []
    problem = UpdateRefused("it holds no zone of this domain")
    for one in records:
        try:
            _zone_of(target, one.name)
        except UpdateRefused as error:
            problem = error
        else:
            found.append(one)
    if not found:
        raise problem
    return found


def _send(target: Server, zone: str, records: Iterable[Record]) -> None:
    message = _message(target, zone)
    for (name, kind), group in groupby(sorted(records, key=lambda one: one.key), key=lambda one: one.key):
        ours = list(group)
        for former in _to_delete(target, name, ours):
            message.delete(former[0], *former[1:])
        for one in ours:
            message.add(f"{name}.", one.ttl_s, kind, one.rdata)
    _exchange(target, message)


def _to_delete(target: Server, name: str, ours: Sequence[Record]) -> Iterator[tuple[Any, ...]]:
    kind, host = ours[0].type, dns.name.from_text(name)
    if kind == "CAA":
        return
    if kind == "TXT" and any(one.purpose is Purpose.SPF for one in ours):
        for text in _ask(target, name, "TXT"):
            if text.to_text().lower().startswith('"v=spf1'):
                yield host, text
        return
    pointed = bool(_ask(target, name, "CNAME"))
    if pointed and ours[0].purpose is Purpose.MX:
        raise UpdateClash(name)  # of the website, say: a person's to take away
    if kind == "CNAME" and pointed:
        return  # the new one takes its place (RFC 2136 3.4.2.2); Knot loses both where the old one is deleted first
    if kind == "CNAME" or pointed:
        yield (host,)  # a CNAME suffers nothing beside it, and these names are ours alone
    else:
        yield host, kind


def _ask(target: Server, name: str, kind: str) -> list[dns.rdata.Rdata]:
    answer = _exchange(target, dns.message.make_query(f"{name}.", kind), quiet=True)
    # Of this name itself: a server follows pointers.
    wanted = dns.name.from_text(name), dns.rdatatype.from_text(kind)
    return [row for one in answer.answer if (one.name, one.rdtype) == wanted for row in one]


def _zone_of(target: Server, name: str) -> str:
    """The zone of this server that holds the name: the closest SOA above. Errors: UpdateRefused."""
    labels = name.split(".")
    for start in range(len(labels) - 1):
        candidate = ".".join(labels[start:])
        if _ask(target, candidate, "SOA"):
            return candidate
    raise UpdateRefused(f"it holds no zone of {name}")


def _message(target: Server, zone: str) -> dns.update.UpdateMessage:
    try:
        keyring = dns.tsigkeyring.from_text({target.key_name: target.secret})
    except (ValueError, dns.exception.DNSException):
        raise UpdateRefused("the key in secrets/dns-update.key is not base64") from None
    return dns.update.UpdateMessage(
        zone,
        keyring=keyring,
        keyname=dns.name.from_text(target.key_name),
        keyalgorithm=dns.name.from_text(ALGORITHM),
    )


def _exchange(target: Server, message: dns.message.Message, *, quiet: bool = False) -> dns.message.Message:
    try:
        answer = dns.query.tcp(message, target.address, timeout=TIMEOUT_S, port=target.port)
    except (OSError, EOFError, dns.exception.Timeout):
        raise UpdateUnanswered(target.address) from None
    except dns.exception.DNSException as error:  # said unsigned, or in a way that cannot be believed
        raise UpdateRefused(f"{type(error).__name__}, look at the key") from None
    if not quiet and answer.rcode() != dns.rcode.NOERROR:
        raise UpdateRefused(dns.rcode.to_text(answer.rcode()))
    return answer
