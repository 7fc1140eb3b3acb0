"""Whether block lists name the addresses that our mail leaves from.

Purpose: a listed address loses mail for all communes at once; somebody must hear of it the same day.
Process: sources; asks the centre's resolver the lists that the setting ``reputation_lists`` names, once a day.
Hostile: a list may err, end, or answer everything; it decides nothing here: a person reads what it says.
Fails:   what does not answer keeps its former state; a list that refuses us says so.
Source:  RFC 5782; Spamhaus, "DNSBL return codes" (127.255.255.0/24: the question was refused).
"""

from __future__ import annotations

import ipaddress
import re

from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.domains.asking import Asker

LISTED, CLEAR, REFUSED, UNANSWERED = "listed", "clear", "refused", "unanswered"
_ZONE = re.compile(r"(?=.{1,200}\Z)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_ERRORS, _ANSWERS = ipaddress.ip_network("127.255.255.0/24"), ipaddress.ip_network("127.0.0.0/8")


def zones(config: Config) -> list[str]:
    """Errors: SettingInvalid."""
    found = config.reputation_lists.lower().split()
    bad = next((one for one in found if not _ZONE.fullmatch(one)), "")
    if bad:
        raise SettingInvalid("reputation_lists", config.state, f"{bad!r} is no name of a list")
    return found


def addresses(config: Config, asker: Asker) -> list[str]:
    """Where our mail leaves from: the setting, else what the name in HELO leads to."""
    told = config.outgoing_addresses.split()
    return told or sorted(asker.addresses(config.outgoing_name or config.mail_name))


def question(address: str, zone: str) -> str:
    """RFC 5782 2.1 and 2.4: the address backwards, by bytes or by half bytes."""
    backwards = ipaddress.ip_address(address).reverse_pointer
    return f"{backwards.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{zone}"


def state(address: str, zone: str, asker: Asker) -> str:
    """One of the four words above."""
    answer = asker.ask(question(address, zone), "A")
    if answer.status == "unanswered":
        return UNANSWERED
    found = [ipaddress.ip_address(row) for row in answer.rows]
    if any(one in _ERRORS for one in found):
        return REFUSED
    # Anything else than 127/8 comes from a domain that was sold, not from a list.
    return LISTED if any(one in _ANSWERS for one in found) else CLEAR
