"""What watch does when others report.

Process: worker.
"""

from __future__ import annotations

from collections.abc import Sequence

from beffroi_protocol.indicators import Kind

from beffroi.core.communes.queries import collectivite_of_domain
from beffroi.core.decisions import queries as decisions
from beffroi.core.events import outbox, periodic
from beffroi.core.events.registry import ANSWERS, DECISIONS, Event, consumer
from beffroi.core.identity import administrators, failures, sign_ins
from beffroi.lib.ids import new_id
from beffroi.watch import actions, clustering, login_attacks, shared_addresses, witnesses

_failures = login_attacks.Memory()


def _landing(event: Event) -> dict[str, list[str]]:
    """Resolve before the transaction: a slow name server must not hold the database. It holds up all sightings behind
    this one: not for who floods."""
    told = event.payload
    if witnesses.is_flooding(str(told.get("person_id") or "")):
        return {}
    pairs = told.get("indicators")
    return actions.resolve(clustering.read(pairs if isinstance(pairs, list) else []))


periodic("watch.shared_addresses", every_s=60.0, lane=ANSWERS)(shared_addresses.refresh)


@consumer(name="watch.sightings", kinds=("sighting:reported",), lane=DECISIONS, prepare=_landing, urgent=True)
def take_in_sighting(event: Event, landing: dict[str, list[str]]) -> None:
    sighting_id = event.payload.get("sighting_id")
    if isinstance(sighting_id, str) and 0 < len(sighting_id) <= 40:
        actions.take_in(sighting_id=sighting_id, payload=event.payload, landing=landing)


@consumer(name="watch.box_sightings", kinds=("sighting:from_box",), lane=DECISIONS)
def take_in_sighting_of_box(event: Event) -> None:
    """For themselves, so that people's, engines' and devices' sightings do not wait behind those of hundreds of boxes.
    They hold no links, whose names would be resolved."""
    take_in_sighting(event, {})


@consumer(name="watch.file_sightings", kinds=("sighting:from_file",), lane=DECISIONS)
def take_in_sighting_of_file(event: Event) -> None:
    """For themselves, too: an infected disk that synchronises has thousands of files."""
    take_in_sighting(event, {})


@consumer(
    name="watch.addresses_of_names",
    kinds=("decision:ended", "decision:review"),
    lane=DECISIONS,
    atomic=False,
    together=True,
)
def open_addresses_of_names(events: Sequence[Event]) -> None:
    """A name that passes again is reached by its addresses. At the end of its time theirs is over for long: thousands
    that end by it hold nobody up."""
    told = [one.payload for one in events if one.payload.get("kind") == Kind.DOMAIN.value]
    if names := {str(one.get("value", "")) for one in told if one.get("state") in {"revoked", "review"}}:
        while actions.end_addresses_of(names):
            pass


def _failure(event: Event) -> login_attacks.Failure:
    names = ("account", "domain", "door", "address")
    account, domain, door, address = (str(event.payload.get(name, "")) for name in names)
    at_s = event.created_at.timestamp()
    owner = collectivite_of_domain(domain) or ""
    if owner or not (known := administrators.accounts_of_domain(domain)):
        return login_attacks.Failure(account, owner, at_s, address=address)
    nobody = door == failures.CONSOLE and account not in known
    return login_attacks.Failure(account, login_attacks.DEPARTEMENT, at_s, nobody, address)


@consumer(name="watch.login_attacks", kinds=(failures.KIND,), lane=DECISIONS)
def count_failed_sign_in(event: Event) -> None:
    """Report an address as soon as what failed from it can only be guessing."""
    failure = _failure(event)
    now_s, found = failure.at_s, _failures.add(failure)
    if not login_attacks.is_attack(found, signed_in=0, now_s=now_s):
        return
    kind, value = _failures.whom(failure.address)
    if kind is Kind.CIDR and decisions.count_in_force(kind) >= login_attacks.MOST_NETWORKS:
        kind, value = Kind.IP, failure.address
    people = {one.person_id for one in sign_ins.from_indicator(kind, value)}
    if not login_attacks.is_attack(found, signed_in=len(people), now_s=now_s):
        return
    outbox.publish(
        "sighting:reported",
        {
            "sighting_id": new_id("sgt"),
            "detector": "login_attack",
            "door": login_attacks.DOOR,
            "collectivite_id": "",
            "person_id": "",
            "seen_at": now_s,
            "indicators": [[kind, value]],
            "evidence": login_attacks.evidence(found, now_s=now_s),
            "message": "",
        },
    )
    _failures.forget(failure.address)
