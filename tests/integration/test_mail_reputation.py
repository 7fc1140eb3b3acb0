"""Block lists about our own addresses: real DNS, one question a day, and what a person is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import NotFound
from beffroi.mail.domains.asking import Asker
from beffroi.mail.sending import consumers, queries, reputation
from beffroi.mail.sending.models import AddressListing

from tests.conftest import Commune
from tests.fixtures_dns import Authority, authority, resolver
from tests.fixtures_portal import console_client, no_door, on_listener
from tests.waiting import until

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
ZONE = "list.example"
LISTED, CLEAR = "192.0.2.25", "2001:db8::25"


@pytest.fixture(scope="module")
def lists() -> Iterator[tuple[Authority, Asker]]:
    rows = "25.2.0.192 A 127.0.0.2\n26.2.0.192 A 127.255.255.254\n27.2.0.192 A 203.0.113.9\n"
    with authority({ZONE: rows}) as behind, resolver(behind) as (address, port):
        yield behind, Asker(address, port)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (LISTED, reputation.LISTED),
        ("192.0.2.26", reputation.REFUSED),
        ("192.0.2.27", reputation.CLEAR),
        (CLEAR, reputation.CLEAR),
    ],
)
def test_an_answer_is_read_as_lists_mean_it(lists: tuple[Authority, Asker], address: str, said: str) -> None:
    found = [reputation.UNANSWERED]

    def is_answered() -> bool:
        # One question has 4 s; on a busy machine it may be the next one that is answered.
        found.append(reputation.state(address, ZONE, Asker(lists[1].address, lists[1].port)))
        return found[-1] != reputation.UNANSWERED

    until(is_answered, f"an answer for {address}")
    assert found[-1] == said


def test_what_does_not_answer_is_not_known() -> None:
    assert reputation.state(LISTED, ZONE, Asker("127.0.0.1", 9, 0.0)) == reputation.UNANSWERED


def test_an_address_of_version_6_is_asked_by_half_bytes() -> None:
    assert reputation.question("2001:db8::1", "z.test") == f"1.{'0.' * 23}8.b.d.0.1.0.0.2.z.test"


def test_a_name_that_is_none_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid):
        reputation.zones(replace(Config(), state=tmp_path, reputation_lists="zen.spamhaus.org no_list"))


def test_a_listed_address_is_told_once_stays_through_silence_and_goes_with_its_setting(
    lists: tuple[Authority, Asker],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    administrator: Actor,
    beaune: Commune,
) -> None:
    asker = [lists[1]]
    monkeypatch.setattr("beffroi.mail.domains.checking.own_resolver", lambda *_, **__: asker[0])
    consumers.ask_lists()
    assert not AddressListing.objects.exists(), "off by default"
    config = replace(settings.BEFFROI, reputation_lists=ZONE, outgoing_addresses=f"{LISTED} {CLEAR}")
    settings.BEFFROI = config
    consumers.ask_lists()
    for day in (1, 2):
        asker[0] = Asker("127.0.0.1", 9, 0.0)
        with clock.shifted(day * 86400):
            consumers.ask_lists()
    assert len(queries.listed(administrator)) == 1
    assert list(AuditEntry.objects.values_list("verb", flat=True)).count("mail:address:listed") == 1
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "1 de nos adresses d’envoi est sur une liste noire" in client.get("/").content.decode()
        page = client.get("/sortant/").content.decode()
    assert LISTED in page
    assert "demandez le retrait" in page
    with pytest.raises(NotFound):
        queries.listings(beaune.referent)
    assert queries.listed(beaune.referent) == ()
    settings.BEFFROI = replace(config, reputation_lists="")
    consumers.ask_lists()
    assert not AddressListing.objects.exists()
