"""What the portal's tests share: browsers of both listeners, and what the mail door would have written of a lure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from beffroi.lib import clock, ids
from django.test import Client

if TYPE_CHECKING:
    from beffroi.core.identity.actor import Actor
    from beffroi.mail.models import Mailbox, RemediationJob

    from tests.conftest import Commune

LURE_ID = "msg_" + "1" * 26


@pytest.fixture(autouse=True)
def no_door(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No feed runs beside a module that imports this: no address is refused unless a test says so."""
    from beffroi.core.decisions import door
    from django.core.cache import cache

    monkeypatch.setattr(door, "blocked_address", lambda *_: None)
    yield
    cache.clear()


def own_mailbox(commune: Commune, actor: Actor | None = None, local: str = "agent") -> Mailbox:
    """The mailbox of the commune's agent, or of somebody else there, empty and without engines."""
    from beffroi.mail.models import Mailbox

    made: Mailbox = Mailbox.objects.create(
        collectivite_id=commune.id,
        address=f"{local}@{commune.domain}",
        person_id=(actor or commune.agent).id,
        crypt_key="-",
    )
    return made


def shared_box(commune: Commune, *members: Any, local: str = "mairie") -> Mailbox:
    """A functional mailbox of the commune with these members (actors), without engines."""
    from beffroi.mail.models import Mailbox
    from beffroi.mail.people.models import Member, SharedMailbox

    made: Mailbox = Mailbox.objects.create(
        collectivite_id=commune.id, address=f"{local}@{commune.domain}", crypt_key="-", ready_at=clock.now()
    )
    SharedMailbox.objects.create(mailbox_id=made.id, collectivite_id=commune.id, title="Mairie")
    for one in members:
        Member.objects.create(mailbox_id=made.id, collectivite_id=commune.id, person_id=one.id)
    return made


def deliver(mailbox: Any, beffroi_id: str) -> None:
    """The evidence that mailgate and the journal would have written for a lure."""
    from beffroi.mail.models import MailDelivery, MailMessage, MailObservation

    MailMessage.objects.get_or_create(
        id=beffroi_id,
        defaults={
            "received_at": clock.now(),
            "message_id": "a@b",
            "message_id_hash": "0" * 64,
            "sender": "suivi@colis-suivi-paiement.example",
            "client_ip": "45.155.204.9",
            "helo": "mail.example",
            "verdict": '{"auth":{"spf":"fail","dkim":"none","dmarc":"fail"},"link_mismatch":true}',
        },
    )
    for kind, value, role in (
        ("url", "https://colis-suivi-paiement.example/laposte", "link"),
        ("domain", "colis-suivi-paiement.example", "link"),
        ("sender", "suivi@colis-suivi-paiement.example", "sender"),
        ("domain", "impots.gouv.fr", "link"),
    ):
        MailObservation.objects.get_or_create(message_id=beffroi_id, kind=kind, value=value, role=role)
    MailDelivery.objects.create(
        message_id=beffroi_id,
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        folder="INBOX",
        delivered_at=clock.now(),
    )


def sighting(
    collectivite_id: str, person_id: str, message: str = LURE_ID, host: str = "colis-suivi-paiement.example"
) -> str:
    """A report of a person with what the mail door saw; returns its id."""
    from beffroi.watch import actions

    sighting_id = ids.new_id("sig")
    actions.take_in(
        sighting_id=sighting_id,
        payload={
            "detector": "user_report",
            "door": "mail",
            "collectivite_id": collectivite_id,
            "person_id": person_id,
            "message": message,
            "seen_at": clock.epoch_s(),
            "indicators": [
                ["url", f"https://{host}/laposte"],
                ["domain", host],
                ["domain", "impots.gouv.fr"],
            ],
            "evidence": {"spf": "fail", "dmarc": "fail", "link_mismatch": True},
        },
        landing={host: ["45.155.204.9"]},
    )
    return sighting_id


def waiting_withdrawal(campaign_id: str, mailbox: Mailbox) -> RemediationJob:
    """One copy of the campaign's page, of which there are too many for one word."""
    from beffroi.core.decisions.models import Decision
    from beffroi.mail.models import RemediationItem, RemediationJob

    decision = Decision.objects.get(campaign_id=campaign_id, kind="url")
    job: RemediationJob = RemediationJob.objects.create(
        direction="withdraw", decision_id=decision.id, campaign_id=campaign_id, state="waiting"
    )
    RemediationItem.objects.create(
        job=job, message_id=LURE_ID, mailbox_id=mailbox.id, collectivite_id=mailbox.collectivite_id
    )
    return job


@contextmanager
def on_listener(name: str) -> Iterator[None]:
    """The settings of "web" or "console" instead of the present ones: keys, cookies, addresses, middleware."""
    from importlib import import_module

    from django.conf import settings as present
    from django.test import override_settings

    wanted = import_module(f"beffroi.settings.{name}")
    kept = ("DATABASES", "CACHES", "INSTALLED_APPS", "BEFFROI", "PASSWORD_HASHERS")
    changed = {
        one: getattr(wanted, one)
        for one in dir(wanted)
        if one.isupper() and one not in kept and getattr(wanted, one) != getattr(present, one, None)
    }
    with override_settings(**changed):
        yield


@pytest.fixture(autouse=True)
def portal() -> Iterator[None]:
    """Every test of a file that imports this is of the agents' portal."""
    with on_listener("web"):
        yield


def visitor(address: str = "192.0.2.7") -> Client:
    """A browser of nobody yet."""
    return Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": address})


def portal_client(membership: Any) -> Client:
    """A browser of the person of this membership."""
    from beffroi.core.identity import sessions

    client = Client(headers={"X-Beffroi-Listener": "portal"})
    client.force_login(membership.person)
    session = client.session
    session[sessions.MEMBERSHIP_KEY] = membership.id
    session.save()
    return client


def confirmed(membership: Any) -> Client:
    """The same, after its password was asked for once more."""
    from tests.conftest import PASSWORD

    client = portal_client(membership)
    client.post("/confirmer/", {"password": PASSWORD})
    return client


def cookie(name: str, value: str, address: str) -> dict[str, str]:
    """For a browser that asks a server of tests: of a name with __Host- it takes it from https alone, as it does
    from a server; and shows it on loopback without."""
    return {"name": name, "value": value, "url": address.replace("http://", "https://")}


def session_cookie(client: Client, address: str) -> dict[str, str]:
    """For a browser that goes on with the session of this client."""
    from django.conf import settings

    name = settings.SESSION_COOKIE_NAME
    return cookie(name, client.cookies[name].value, address)


def console_client(administrator_id: str) -> Client:
    """A browser of an administrator; inside ``on_listener("console")``."""
    from beffroi.core.identity import sessions
    from beffroi.core.identity.models import Administrator
    from django.conf import settings

    client = Client(headers={"X-Beffroi-Listener": "console"})
    session = client.session
    sessions.start_administrator_session(session, Administrator.objects.get(pk=administrator_id))
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key or ""
    return client


def text(answer: Any, status: int = 200) -> str:
    """Of a page with this status."""
    assert answer.status_code == status, answer.content[:400]
    return str(answer.content.decode())


def seen(client: Client, name: str, *arguments: Any, query: str = "") -> str:
    """A page by the name of its address."""
    from django.urls import reverse

    answer = client.get(reverse(name, args=arguments) + query)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()
