"""Pages ask the database the same number of questions whatever the number of decisions, campaigns and boîtiers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from beffroi.boxes.models import Box
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.models import Mailbox, RemediationItem, RemediationJob
from beffroi.watch.models import Campaign
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.conftest import Commune
from tests.fixtures_held import hold
from tests.fixtures_portal import (
    console_client,
    deliver,
    no_door,
    on_listener,
    portal_client,
    sighting,
)
from tests.fixtures_portal_mail import shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db
MOST = 53
"""A page that needs more has lost sight of what it asks."""


@pytest.fixture
def campaign(beaune: Commune, nuits: Commune) -> Campaign:
    """One that two communes reported and a rule decided."""
    sighting(beaune.id, beaune.agent.id, "msg_" + "2" * 26)
    sighting(nuits.id, nuits.agent.id, "msg_" + "3" * 26)
    return Campaign.objects.get(state="decided")


@pytest.fixture
def grow(beaune: Commune, nuits: Commune, campaign: Campaign) -> Callable[[int], None]:
    """More of everything that a page lists: decisions of the campaign with their jobs, campaigns, boîtiers, mails."""
    mailbox = Mailbox.objects.create(
        collectivite_id=beaune.id,
        address="agent@beaune.test",
        person_id=beaune.agent.id,
        crypt_key="-",
        ready_at=clock.now(),
    )
    known = 0

    def more(count: int) -> None:
        nonlocal known
        for number in range(known, known + count):
            deliver(mailbox, f"msg_{number:026d}")
            hold(mailbox)
            sighting(
                beaune.id, beaune.agent.id, f"msg_9{number:025d}", host=f"n{number}.lure-{number}.example"
            )
            for kind, value in (("domain", f"m{number}.example"), ("ip", f"185.203.116.{number + 1}")):
                _decide(campaign.id, kind, value, mailbox)
            Box.objects.create(
                collectivite_id=(beaune, nuits)[number % 2].id,
                serial=f"BF-{number}",
                public_key=f"key{number}",
                fingerprint=f"print-{number}",
                state="active",
                last_seen_at=clock.now(),
            )
        known += count

    return more


def _decide(campaign_id: str, kind: str, value: str, mailbox: Mailbox) -> None:
    now = clock.now()
    decision = Decision.objects.create(
        kind=kind,
        value=value,
        action="block",
        state="active",
        reason="phishing",
        rule="two_communes",
        evidence={"communes": 2, "persons": 2},
        campaign_id=campaign_id,
        activated_at=now,
        expires_at=now + timedelta(hours=1),
        decided_by="two_communes",
    )
    for direction in ("withdraw", "restore"):
        job = RemediationJob.objects.create(
            direction=direction, decision_id=decision.id, state="done", moved=1, done_at=now
        )
        RemediationItem.objects.create(
            job=job,
            message_id="msg_" + "2" * 26,
            mailbox_id=mailbox.id,
            collectivite_id=mailbox.collectivite_id,
            state="moved",
        )


def questions(client: Client, path: str) -> list[str]:
    client.get(path)  # what is kept between two requests is fetched now
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(path)
    assert answer.status_code == 200
    return [query["sql"] for query in asked.captured_queries]


def assert_constant(client: Client, path: str, grow: Callable[[int], None]) -> None:
    grow(2)
    few = questions(client, path)
    grow(9)
    many = questions(client, path)
    assert len(many) == len(few), "\n".join(many)
    assert len(few) <= MOST


@pytest.mark.parametrize(
    "path", ["/", "/meteo/", "/meteo/mois/", "/courrier/{mailbox}/", "/courrier/{mailbox}/1/", "/retenus/"]
)
def test_pages_of_a_commune_ask_a_constant_number_of_questions(
    path: str, beaune: Commune, grow: Callable[[int], None], shown_mail: object
) -> None:
    mailbox = Mailbox.objects.get(address="agent@beaune.test")
    client = portal_client(beaune.agent_membership)
    assert_constant(client, path.format(mailbox=mailbox.id), grow)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/meteo/",
        "/meteo/mois/",
        "/decisions/",
        "/decisions/{campaign}/",
        "/boitiers/",
        "/boitiers/{box}/",
        "/communes/",
        "/journal/",
    ],
)
def test_pages_of_the_console_ask_a_constant_number_of_questions(
    path: str, administrator: Actor, campaign: Campaign, grow: Callable[[int], None]
) -> None:
    with on_listener("console"):
        grow(1)
        box = Box.objects.first()
        assert box is not None
        assert_constant(console_client(administrator.id), path.format(campaign=campaign.id, box=box.id), grow)


def test_copies_taken_out_are_counted_for_the_own_commune_only(
    beaune: Commune, nuits: Commune, grow: Callable[[int], None]
) -> None:
    from beffroi.mail import queries

    grow(3)
    today = clock.now().date()
    found = queries.stopped_by_day(beaune.agent, since=today)
    # Two decisions each; what was given back does not count twice.
    assert found[beaune.id, today].withdrawn == 6
    assert queries.stopped_by_day(nuits.agent, since=today) == {}
