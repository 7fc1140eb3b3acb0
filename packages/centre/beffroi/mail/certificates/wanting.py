"""Which names of which domains want a certificate: those whose live check shows that they lead to our door.

Process: sources (writes), console (reads what became of it).
Fails:   a check that is old or had no answer changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from beffroi.core.communes.models import Domain
from beffroi.core.communes.queries import current_domains, visible_domains
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.certificates import places, rules
from beffroi.mail.domains import queries

FRESH = timedelta(days=2)
_ITEMS = {"mta_sts_host": "mta-sts", "autoconfig": "autoconfig", "autodiscover": "autodiscover"}


def update() -> int:
    """Write down what is wanted now; return of how many domains. Errors: OSError."""
    if not settings.BEFFROI.acme_directory:
        return 0
    folder = places.folder(settings.BEFFROI.state) / "wanted"
    names = set(current_domains().values_list("name", flat=True))
    for path in folder.iterdir():
        if path.name not in names and not path.name.startswith("."):
            path.unlink()
    for domain in current_domains().order_by("id"):
        last = queries.last_check(domain.id)
        if last is None or clock.now() - last.checked_at > FRESH:
            continue
        found = [
            f"{label}.{domain.name}"
            for item, label in _ITEMS.items()
            if last.items.get(item, [""])[0] == "ok"
        ]
        path = folder / domain.name
        if not found:
            path.unlink(missing_ok=True)
        elif places.read(path).get("names") != found:
            places.write(path, {"names": found})
    return len(list(folder.iterdir()))


def wanted(domain: Domain) -> list[str]:
    found = places.read(places.folder(settings.BEFFROI.state) / "wanted" / domain.name).get("names")
    return found if isinstance(found, list) else []


def told(domain: Domain) -> places.Told | None:
    return places.told(settings.BEFFROI.state, domain.name)


def ends_soon(domain: Domain) -> bool:
    """A certificate that is needed ends within 14 days, and nothing renewed it."""
    one = told(domain)
    return bool(one and one.not_after and one.not_after - clock.epoch_s() < rules.ALARM_S and wanted(domain))


def alarms(actor: Actor) -> list[Domain]:
    if not settings.BEFFROI.acme_directory:
        return []
    return [one for one in visible_domains(actor) if ends_soon(one)]
