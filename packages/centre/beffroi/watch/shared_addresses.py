"""Find the addresses that members' sites and mail servers, and those of protected names, are served from.

Process: worker, ``ROUND`` members' names and ``ROUND`` protected ones each minute, in turns. Names of a demonstration
         or a laboratory are not asked, and no others where there are only such: nothing of a demonstration asks the
         world by itself.
Fails:   open towards blocking for names that do not answer; what was seen counts for a week.
Source:  ``core.decisions.shared``, what follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import batched, cycle

from beffroi_protocol.protected_lists import PUBLIC_SERVICES
from django.conf import settings

from beffroi.core.communes.queries import domain_names
from beffroi.core.decisions import shared
from beffroi.watch import resolving

SPECIAL_USE = frozenset({"test", "example", "invalid", "localhost", "local", "internal"})
"""Top-level names that are nobody's site: RFC 6761, RFC 6762; ICANN, 2024, for ``internal``."""
ROUND = 4
_turns = cycle(range(1_000_000))


def refresh() -> int:
    """Resolve the next names; return how many addresses are known to be shared."""
    members = sorted(d for d in domain_names() if d.rpartition(".")[2] not in SPECIAL_USE)
    if members:
        turn = next(_turns)
        protected = sorted({*PUBLIC_SERVICES, *settings.BEFFROI.protected_names.split()} - set(members))
        for served, addresses in _serving((*_part(members, turn), *_part(protected, turn))).items():
            shared.note(served, addresses)
    return shared.forget_old()


def _part(names: Sequence[str], turn: int) -> Sequence[str]:
    first = turn % max(1, -(-len(names) // ROUND)) * ROUND
    return names[first : first + ROUND]


def _serving(domains: Sequence[str]) -> dict[str, list[str]]:
    mail = resolving.mail_hosts(domains, settings.BEFFROI)
    names = dict.fromkeys(name for d in domains for name in (d, f"www.{d}", *mail[d]))
    found: dict[str, list[str]] = {}
    for part in batched(names, resolving.MAX_NAMES, strict=False):
        found |= resolving.addresses(part, settings.BEFFROI)
    return found
