"""Entries of bulk lists: found in the files, known to local exceptions, carried with their threat."""

from __future__ import annotations

import json
from typing import Any

import pytest
from beffroi.core.decisions import listed, lists
from beffroi.core.decisions.exceptions import ExceptionRefused
from beffroi.core.decisions.models import IndicatorList, LocalException
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.planes import files
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid, Unavailable
from beffroi.stream.batches import ListEvent
from beffroi.stream.store import Event, Store, channel_events
from beffroi_protocol.indicators import normalise
from beffroi_protocol.threats import Threat

from tests.conftest import Commune
from tests.fixtures_trust import allow

SYSTEM = Actor.system("tests")
SERVER = normalise("ip", "45.83.64.7")


def publish(name: str, *values: str, kind: str = "ip", **options: Any) -> IndicatorList:
    return lists.publish_list(
        actor=SYSTEM, name=name, kind=kind, values=values, source="abuse.ch", licence="CC0", **options
    ).row


CASES = [
    # kind of list, its values, asked, what touches it, what covers it
    ("ip", ["45.83.64.7", "45.83.64.70"], ("ip", "45.83.64.7"), ["45.83.64.7"], ["45.83.64.7"]),
    ("ip", ["45.83.64.7", "45.83.65.1"], ("ip", "45.83.64.8"), [], []),
    ("ip", ["45.83.64.7", "45.83.65.1", "8.83.64.9"], ("cidr", "45.83.64.0/24"), ["45.83.64.7"], []),
    ("ip", ["2a0e:b107:10::1", "2a0e:b107:11::1"], ("cidr", "2a0e:b107:10::/48"), ["2a0e:b107:10::1"], []),
    ("cidr", ["45.83.64.0/24", "45.83.66.0/24"], ("ip", "45.83.64.7"), ["45.83.64.0/24"], ["45.83.64.0/24"]),
    ("cidr", ["45.83.64.0/28", "45.84.0.0/24"], ("cidr", "45.83.64.0/24"), ["45.83.64.0/28"], []),
    ("cidr", ["45.83.64.0/24"], ("cidr", "45.83.64.0/28"), ["45.83.64.0/24"], ["45.83.64.0/24"]),
    ("cidr", ["2a0e:b107:10::/48"], ("ip", "2a0e:b107:10::5"), ["2a0e:b107:10::/48"], ["2a0e:b107:10::/48"]),
    ("domain", ["evil.com", "not-evil.com"], ("domain", "www.evil.com"), ["evil.com"], ["evil.com"]),
    ("domain", ["a.evil.com", "xevil.com"], ("domain", "evil.com"), ["a.evil.com"], []),
    ("domain", ["a.evil.com", "evil.com"], ("domain", "evil.com"), ["a.evil.com", "evil.com"], ["evil.com"]),
    ("domain", ["evil.com"], ("ip", "45.83.64.7"), [], []),
    ("url", ["https://evil.com/a"], ("url", "https://evil.com/a"), ["https://evil.com/a"], ["https://evil.com/a"]),
    ("url", ["https://evil.com/a"], ("domain", "evil.com"), [], []),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "asked", "touches", "covers"), CASES, ids=str)
@pytest.mark.usefixtures("database")
def test_an_indicator_is_found_among_thousands(
    kind: str, values: list[str], asked: tuple[str, str], touches: list[str], covers: list[str]
) -> None:
    more = {
        "ip": [f"51.{n // 250 % 250}.{n % 250}.{1 + n % 7}" for n in range(30_000)],
        "cidr": [f"51.{n // 250}.{n % 250}.0/24" for n in range(30_000)],
        "domain": [f"n{n}.example.net" for n in range(30_000)],
        "url": [f"https://n{n}.example.net/x" for n in range(30_000)],
    }[kind]
    row = publish("test", *values, *more, kind=kind)
    indicator = normalise(*asked)
    assert sorted(one.indicator.value for one in listed.touching([row], indicator)) == sorted(touches)
    assert sorted(one.indicator.value for one in listed.covering([row], indicator)) == sorted(covers)
    first, last = normalise(kind, more[0]), normalise(kind, more[-1])
    assert listed.touched(row, {first, last, indicator}) == {first, last} | (
        {indicator} if touches else set()
    )


@pytest.mark.parametrize("by", ["person", "departement"])
def test_a_command_server_of_a_list_stays_blocked_whoever_asks(
    by: str, administrator: Actor, beaune: Commune
) -> None:
    publish("feodo", SERVER.value, threat="command_server")
    publish("lures", "c2.evil.com", kind="domain", threat="command_server")
    actor = administrator if by == "departement" else beaune.agent
    for indicator in (SERVER, normalise("domain", "evil.com"), normalise("domain", "x.c2.evil.com")):
        with pytest.raises(ExceptionRefused, match="command_server"):
            allow(beaune, indicator, actor=actor)
    with pytest.raises(ExceptionRefused, match="command_server"):
        allow(beaune, normalise("cidr", "45.83.64.0/24"), actor=administrator)
    assert not LocalException.objects.exists()


@pytest.mark.parametrize("threat", ["", "phishing", "malware", "scanner"])
def test_other_threats_of_a_list_are_lifted_as_the_policy_says(threat: str, beaune: Commune) -> None:
    publish("other", SERVER.value, threat=threat)
    assert allow(beaune, SERVER).value == SERVER.value


def test_a_list_of_another_commune_says_nothing_here(beaune: Commune, nuits: Commune) -> None:
    publish("theirs", SERVER.value, threat="command_server", scope=nuits.id)
    assert allow(beaune, SERVER).collectivite_id == beaune.id
    with pytest.raises(ExceptionRefused):
        allow(nuits, SERVER)


def test_an_expired_list_says_nothing(beaune: Commune) -> None:
    publish("old", SERVER.value, threat="command_server", ttl_s=60)
    with clock.shifted(61):
        assert allow(beaune, SERVER)


def test_a_list_of_command_servers_closes_what_people_had_opened(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    own, other = allow(beaune, SERVER), allow(beaune, normalise("ip", "45.83.64.8"))
    kept = allow(nuits, SERVER, actor=administrator)
    publish("scanners", SERVER.value, threat="scanner")
    run_pending("main")
    publish("feodo", SERVER.value, threat="command_server")
    run_pending("main")
    for one, state in ((own, "ended"), (other, "active"), (kept, "active")):
        one.refresh_from_db()
        assert one.state == state
    assert OutboxEvent.objects.filter(kind="exception:ended", collectivite_id=beaune.id).count() == 1


@pytest.mark.usefixtures("database")
def test_a_damaged_file_opens_nothing(config: Config, beaune: Commune) -> None:
    row = publish("feodo", SERVER.value, threat="command_server")
    files.list_file(config.state, row.sha256).write_bytes(b"no zlib")
    with pytest.raises(Unavailable):
        allow(beaune, SERVER)
    assert not LocalException.objects.exists()


@pytest.mark.usefixtures("database")
def test_a_threat_is_one_of_the_known() -> None:
    with pytest.raises(Invalid, match="threat"):
        publish("feodo", SERVER.value, threat="weather")


def test_the_threat_travels_in_the_feed_and_in_a_new_epoch(plane: Database, config: Config) -> None:
    row = publish("feodo", SERVER.value, threat="command_server")
    told = OutboxEvent.objects.get(kind="list:published")
    (event,) = channel_events(Event(told.id, told.kind, None, json.loads(told.payload)))
    (again,) = Store(plane, config.run).in_force()[0]
    for one in (event, again):
        assert isinstance(one, ListEvent) and one.bulk is not None
        assert (one.bulk.threat, one.bulk) == (Threat.COMMAND_SERVER, lists.bulk_list(row))
