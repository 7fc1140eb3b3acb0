"""What the mail door is told of each relay, and that a boîtier gets no token before."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from beffroi.boxes import actions
from beffroi.boxes.models import Box
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.sending import actions as sending
from beffroi.portal import relay_enforced
from beffroi_protocol.messages import Policy
from beffroi_protocol.relaying import Device, Relay
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import console_client, on_listener, own_mailbox, shared_box
from tests.markup import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def config(settings: object) -> Config:
    found: Config = settings.BEFFROI  # type: ignore[attr-defined]
    (found.state / "projections").mkdir(parents=True, exist_ok=True)
    return found


def relaying(sender: str, *recipients: str) -> Policy:
    return Policy(
        relay=Relay(sender, "mx.beffroi.test", (Device("192.168.1.50", "Copieur"),), recipients, hour=30)
    )


def boxes(commune: Commune, count: int, state: str = "active") -> None:
    for number in range(count):
        name = f"{commune.domain}-{state}-{number}"
        Box.objects.create(
            collectivite_id=commune.id,
            serial=name,
            public_key=name,
            fingerprint="x",
            state=state,
            last_seen_at=clock.now(),
        )


def enforced(config: Config) -> list[tuple[str, int, int, str]]:
    relay_enforced.put()
    with closing(sqlite3.connect(config.state / "projections" / "routes.sqlite")) as routes:
        return routes.execute("SELECT login, version, hour, recipients FROM relay ORDER BY login").fetchall()


def test_the_policy_in_force_of_communes_with_a_box_in_service_is_enforced(
    config: Config, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    shared_box(beaune, local="copieur")
    boxes(beaune, 2)
    boxes(beaune, 1, "revoked")
    boxes(nuits, 1, "pending")

    def gives(commune: Commune, policy: Policy) -> None:
        actions.set_policy(actor=administrator, collectivite=commune.collectivite, policy=policy, reason="x")

    gives(beaune, relaying("Copieur@beaune.test", "@ailleurs.test"))
    gives(beaune, relaying("Copieur@beaune.test", "Perception@dgfip.example", "@beaune.test"))
    gives(nuits, relaying("copieur@nuits.test", "@nuits.test"))
    assert enforced(config) == [
        ("copieur@beaune.test@relay", 2, 60, "@beaune.test copieur@beaune.test perception@dgfip.example"),
        (f"{config.probe_address}@relay", 1, 60, config.probe_address),
    ], "two boîtiers share the allowance of both; the probe writes to itself alone"
    gives(beaune, Policy())
    assert enforced(config) == []


def test_a_policy_opens_no_mailbox_of_a_neighbour_and_no_persons(
    config: Config, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    shared_box(nuits, local="copieur")
    own_mailbox(beaune)
    boxes(beaune, 1)
    for sender in ("copieur@nuits.test", "agent@beaune.test"):
        policy = relaying(sender, "@beaune.test")
        actions.set_policy(actor=administrator, collectivite=beaune.collectivite, policy=policy, reason="x")
        assert enforced(config) == []


def test_a_change_of_the_policy_reaches_the_mail_door_by_itself(
    config: Config, beaune: Commune, administrator: Actor
) -> None:
    shared_box(beaune, local="copieur")
    boxes(beaune, 1)
    policy = relaying("copieur@beaune.test", "@beaune.test")
    actions.set_policy(actor=administrator, collectivite=beaune.collectivite, policy=policy, reason="x")
    run_pending("main")
    with closing(sqlite3.connect(config.state / "projections" / "routes.sqlite")) as routes:
        logins = {login for (login,) in routes.execute("SELECT login FROM relay")}
    assert logins == {"copieur@beaune.test@relay", f"{config.probe_address}@relay"}


def test_a_relay_that_writes_to_others_is_an_alarm_in_plain_words(
    beaune: Commune, administrator: Actor
) -> None:
    shared_box(beaune, local="copieur")
    sending.note_refusal(
        {
            "account": "copieur@beaune.test",
            "limit": "relay_recipients",
            "most": 0,
            "refused": 3,
            "impossible": False,
        }
    )
    with on_listener("console"):
        client: Client = console_client(administrator.id)
        page = text_of(client.get("/sortant/"))
    assert "le relais des copieurs a voulu écrire à qui ses réglages n’admettent pas" in page
