"""Addresses that members' own sites are served from: a lure beside them is blocked by its name only.

Purpose: town halls are customers of large hosters, and so are their attackers. A block of the shared address would
         cut off the town hall's own site.
Process: worker, ``ROUND`` names each minute, in turns. Names of a demonstration or a laboratory are not asked: they
         lead nowhere, and nothing of a demonstration asks the world by itself.
Fails:   open towards blocking for names that do not answer; what was seen counts for ``KEPT``.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from itertools import cycle

from django.conf import settings

from beffroi.core.communes.queries import domain_names
from beffroi.lib import clock
from beffroi.watch import resolving
from beffroi.watch.models import SharedAddress

KEPT = timedelta(days=7)
SPECIAL_USE = frozenset({"test", "example", "invalid", "localhost", "local", "internal"})
"""Top-level names that are nobody's site: RFC 6761, RFC 6762; ICANN, 2024, for ``internal``."""
ROUND = resolving.MAX_NAMES
_turns = cycle(range(1_000_000))


def refresh() -> int:
    """Resolve the next names; return how many addresses are known to be shared."""
    asked = [d for d in domain_names() if d.rpartition(".")[2] not in SPECIAL_USE]
    names = sorted({name for domain in asked for name in (domain, f"www.{domain}")})
    if not names:
        return 0
    rounds = -(-len(names) // ROUND)
    first = next(_turns) % rounds * ROUND
    for name, addresses in resolving.addresses(names[first : first + ROUND], settings.BEFFROI).items():
        for address in addresses:
            SharedAddress.objects.update_or_create(
                address=address, defaults={"name": name, "seen_at": clock.now()}
            )
    SharedAddress.objects.filter(seen_at__lt=clock.now() - KEPT).delete()
    return SharedAddress.objects.count()


def shared(addresses: Collection[str]) -> frozenset[str]:
    """Return those of these addresses that a member's site is served from."""
    rows = SharedAddress.objects.filter(address__in=addresses, seen_at__gte=clock.now() - KEPT)
    return frozenset(rows.values_list("address", flat=True))
