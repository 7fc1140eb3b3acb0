"""Whether block lists name the addresses that our mail leaves from, and whether their names are their own.

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
from beffroi.mail.engines import pools
from beffroi.mail.sending import spf

LISTED, CLEAR, REFUSED, UNANSWERED = "listed", "clear", "refused", "unanswered"
NAMED, NO_PTR, OTHER_PTR, NO_ADDRESS, NO_SPF = "named", "no_ptr", "other_ptr", "no_address", "no_spf"
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
    told = pools.addresses(config)
    return told or sorted(asker.addresses(config.outgoing_name or config.mail_name))


def name_state(config: Config, address: str, helo: str, asker: Asker, *, mechanisms: str) -> str:
    """Whether the HELO name and the address lead to each other, as large providers demand, and the communes' SPF
    (``mechanisms``) lets it send: NAMED (all of it), NO_PTR (the address has no name), OTHER_PTR (another name),
    NO_ADDRESS (the name leads elsewhere), NO_SPF, UNANSWERED."""
    pointer = asker.ask(ipaddress.ip_address(address).reverse_pointer, "PTR")
    forward = asker.ask(helo, "AAAA" if ":" in address else "A")
    if "unanswered" in (pointer.status, forward.status):
        return UNANSWERED
    if not pointer.rows:
        return NO_PTR
    if helo.lower() not in (row.rstrip(".").lower() for row in pointer.rows):
        return OTHER_PTR
    there = {ipaddress.ip_address(row) for row in forward.rows}
    if ipaddress.ip_address(address) not in there:
        return NO_ADDRESS
    allowed = spf.allows(mechanisms, address, mail_name=config.mail_name, asker=asker)
    return UNANSWERED if allowed is None else NAMED if allowed else NO_SPF


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
