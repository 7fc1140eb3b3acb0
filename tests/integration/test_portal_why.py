"""Why is this blocked: the console's page and JSON, what a commune sees of it, and "let it pass everywhere"."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from beffroi.boxes.models import Box, FlowCount
from beffroi.core.decisions import actions, appeals, exceptions, lists, never_again
from beffroi.core.decisions.models import (
    Appeal,
    Decision,
    IndicatorList,
    ListGrowth,
    LocalException,
    NeverAgain,
)
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotAllowed, NotFound
from beffroi.portal import why
from beffroi.stream.store import Event, channel_events
from beffroi_protocol.indicators import Indicator, Kind, normalise
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client, text
from tests.markup import flat

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
SHOP = normalise("domain", "shop.example.net")


def publish(name: str, *values: str, kind: str = "domain", **options: Any) -> IndicatorList:
    return lists.publish_list(
        actor=Actor.system("tests"),
        name=name,
        kind=kind,
        values=values,
        source="https://urlhaus.abuse.ch",
        licence="CC0",
        **options,
    ).row


def met(commune: Commune, value: str, count: int, direction: str = "out", kind: str = "domain") -> None:
    now = clock.now()
    FlowCount.objects.create(
        collectivite_id=commune.id,
        day=now.date(),
        kind=kind,
        value=value,
        direction=direction,
        count=count,
        entry_id="urlhaus",
        last_at=now,
    )


@pytest.fixture
def agent(beaune: Commune, no_door: None) -> Client:
    return portal_client(beaune.agent_membership)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (" shop.example.net ", ("domain", "shop.example.net")),
        ("45.83.64.7", ("ip", "45.83.64.7")),
        ("45.83.64.7:443", ("ip", "45.83.64.7")),
        ("hxxps://shop[.]example.net/a", ("url", "https://shop.example.net/a")),
        ("45.83.64.0/24", ("cidr", "45.83.64.0/24")),
        ("a@shop.example.net", ("sender", "a@shop.example.net")),
        (" " + "0123456789abcdef" * 16, ("sketch", "0123456789abcdef" * 16)),
        ("z" * 256, None),
        ("bonjour à tous", None),
        ("", None),
        ("x" * 5000, None),
    ],
)
def test_what_a_person_types_is_read(typed: str, read: tuple[str, str] | None) -> None:
    found = why.read(typed)
    assert (found and (found.kind.value, found.value)) == read


def test_an_entry_of_a_list_explains_itself(console: Client, beaune: Commune, nuits: Commune) -> None:
    publish("urlhaus", "other.example.net", ttl_s=86400)
    ListGrowth.objects.update(at=clock.now() - timedelta(days=9))
    publish("urlhaus", "other.example.net", SHOP.value, threat="malware", ttl_s=86400)
    publish("local", SHOP.value, scope=nuits.id)
    met(beaune, SHOP.value, 3)
    met(nuits, SHOP.value, 4, "name")
    exceptions.allow_locally(
        actor=beaune.agent, collectivite_id=beaune.id, indicator=SHOP, ttl_s=3600, reason="commande urgente"
    )
    page = flat(text(console.get("/decisions/pourquoi/", {"q": "www.shop.example.net"})))
    for said in (
        "urlhaus",
        "https://urlhaus.abuse.ch",
        "CC0",
        "Logiciels malveillants",
        "dans 2 collectivités",
    ):
        assert said in page
    assert re.search(r"Nommé depuis</dt><dd>le (1er|\d+) \w+( \d{4})? à \d+\xa0h\xa0\d\d<", page), (
        "an hour alone is no day"
    )
    assert "commande urgente" in page and "Beaune" in page and "Laisser passer partout" in page
    answer = console.get("/decisions/pourquoi.json", {"q": "www.shop.example.net"}).json()
    assert answer["blocked"] is True and [one["list"] for one in answer["lists"]] == ["local", "urlhaus"]
    one = answer["lists"][1]
    assert one["entry"] == {"kind": "domain", "value": SHOP.value} and one["threat"] == "malware"
    assert one["met"] | {"last_at": ""} == {
        "days": 30, "communes": 2, "flows_in": 0, "flows_out": 3, "look_ups": 4, "last_at": "",
    }  # fmt: skip
    since = console.get("/decisions/pourquoi.json", {"q": "other.example.net"}).json()["lists"][0]["since"]
    assert since < one["since"], "each value has its own day"
    with clock.shifted(31 * 86400):
        lists.prune_files()
        later = why.explain(Actor.system("tests"), SHOP).entries
    assert [entry.row.name for entry in later] == ["local"] and later[0].since is not None


def decide(actor: Actor) -> Decision:
    return actions.activate(
        actor=actor,
        indicator=SHOP,
        action="block",
        reason="departement_confirmed",
        evidence={},
        rule="departement",
        ttl_s=3600,
    )


PASTED = ["https://www.shop.example.net/devis?a=1", "ventes@shop.example.net"]


@pytest.mark.parametrize("pasted", PASTED)
def test_what_is_pasted_from_a_browser_or_a_mail_is_answered_for_its_site(
    console: Client, administrator: Actor, pasted: str
) -> None:
    asked = {"q": pasted}
    made = decide(administrator)
    page = text(console.get("/decisions/pourquoi/", asked))
    assert "Bloqué par une décision." in page and f"/decisions/regle/{made.id}/" in page
    actions.revoke(actor=administrator, decision=made, reason="undone")
    assert "Rien ne le bloque" in text(console.get("/decisions/pourquoi/", asked))
    publish("urlhaus", SHOP.value)
    assert "une liste d’attaquants le nomme" in text(console.get("/decisions/pourquoi/", asked))


@pytest.mark.parametrize("pasted", [*PASTED, "www.shop.example.net"])
def test_an_agent_finds_the_block_of_a_site_by_what_is_pasted(
    agent: Client, administrator: Actor, pasted: str
) -> None:
    made = decide(administrator)
    assert f"/blocages/{made.id}/" in text(agent.get("/blocages/", {"q": pasted}))
    assert "Bloqué par une décision." in text(agent.get("/blocages/pourquoi/", {"q": pasted}))


def test_what_no_list_names_is_said_so(agent: Client) -> None:
    assert "Rien ne le bloque" in text(agent.get("/blocages/pourquoi/", {"q": SHOP.value}))
    for path in ("/blocages/pourquoi/", "/blocages/pourquoi.json"):
        assert agent.get(path, {"q": "bonjour à tous"}).status_code == 404


def test_the_console_says_so_too(console: Client) -> None:
    assert "Rien ne le bloque" in text(console.get("/decisions/pourquoi/", {"q": SHOP.value}))
    assert "ni une adresse" in text(console.get("/decisions/pourquoi/", {"q": "bonjour à tous"}))
    assert console.get("/decisions/pourquoi.json", {"q": "bonjour à tous"}).status_code == 404


def test_a_commune_reads_public_facts_and_counts_and_nothing_of_others(
    agent: Client, beaune: Commune, nuits: Commune, administrator: Actor, system: Actor
) -> None:
    publish("urlhaus", SHOP.value)
    publish("theirs", SHOP.value, scope=nuits.id)
    met(nuits, SHOP.value, 4)
    exceptions.allow_locally(
        actor=nuits.agent, collectivite_id=nuits.id, indicator=SHOP, ttl_s=3600, reason="secret de Nuits"
    )
    actions.activate(
        actor=system,
        indicator=SHOP,
        action="block",
        scope=nuits.id,
        reason="departement_confirmed",
        evidence={},
        rule="departement",
        ttl_s=3600,
    )
    page = text(agent.get("/blocages/pourquoi/", {"q": SHOP.value}))
    told = text(agent.get("/blocages/pourquoi.json", {"q": SHOP.value}))
    assert "dans 1 collectivité" in page and json.loads(told)["lists"][0]["met"]["communes"] == 1
    for secret in ("theirs", "secret de Nuits", "Nuits-Saint", nuits.id, "Laisser passer"):
        assert secret not in page and secret not in told
    assert json.loads(told)["decisions"] == [] and json.loads(told)["local_exceptions"] == []
    assert "urlhaus" in text(agent.get("/blocages/", {"q": SHOP.value})), "the search finds lists too"


def test_a_commune_sees_that_it_is_let_through_and_never_why(
    agent: Client, beaune: Commune, administrator: Actor
) -> None:
    publish("urlhaus", SHOP.value)
    never_again.never_again(actor=administrator, indicator=SHOP, reason="secret du Département")
    for path in ("/blocages/pourquoi/", "/blocages/pourquoi.json", "/blocages/"):
        assert "secret" not in text(agent.get(path, {"q": SHOP.value}))
    assert "Laissé passer partout" in text(agent.get("/blocages/pourquoi/", {"q": SHOP.value}))
    told = agent.get("/blocages/pourquoi.json", {"q": SHOP.value}).json()
    assert told["blocked"] is False and set(told["never_again"]) == {"entry", "since", "until"}


def test_who_is_of_no_commune_and_strangers_see_nothing(agent: Client) -> None:
    for path in ("/blocages/pourquoi/", "/blocages/pourquoi.json"):
        assert Client().get(path, {"q": SHOP.value}).status_code == 302
        answer = {"q": SHOP.value, "word": "never", "reason": "x", "text": "x"}
        assert agent.post(path, answer).status_code in (405, 409)
    assert not NeverAgain.objects.exists()


def test_one_entry_passes_everywhere_and_back(console: Client, administrator: Actor) -> None:
    publish("urlhaus", SHOP.value)
    asked = "www.shop.example.net"
    assert f'value="domain {SHOP.value}"' in text(console.get("/decisions/pourquoi/", {"q": asked}))
    given = {"q": asked, "entry": f"domain {SHOP.value}", "word": "never", "reason": " "}
    assert "Écrivez une raison" in text(console.post("/decisions/pourquoi/", given), 400)
    for other in ("domain example.net", "domain elsewhere.fr", "ip 1.2.3.4", ""):
        assert (
            console.post("/decisions/pourquoi/", given | {"entry": other, "reason": "x"}).status_code == 404
        )
    assert not NeverAgain.objects.exists()
    assert console.post("/decisions/pourquoi/", given | {"reason": "nettoyé"}).status_code == 302
    row = NeverAgain.objects.get()
    assert (row.indicator, row.reason, row.created_by) == (SHOP, "nettoyé", administrator.id)
    page = text(console.get("/decisions/pourquoi/", {"q": asked}))
    assert "Laissé passer partout" in page and "nettoyé" in page
    back = {"q": asked, "word": "back", "reason": "racheté par un escroc"}
    assert console.post("/decisions/pourquoi/", back).status_code == 302
    row.refresh_from_db()
    assert row.revoke_reason == "racheté par un escroc"
    assert console.post("/decisions/pourquoi/", back).status_code == 404
    told = [channel_events(Event(e.id, e.kind, None, json.loads(e.payload))) for e in _spares()]
    assert [bool(change[0].entry) for change in told] == [True, False]


def _spares() -> list[OutboxEvent]:
    return list(OutboxEvent.objects.filter(kind__startswith="never_again:").order_by("id"))


def test_of_a_range_only_the_address_that_was_asked_for_can_pass(console: Client) -> None:
    publish("nets", "45.83.64.0/24", kind="cidr")
    found = why.explain(Actor.system("tests"), Indicator(Kind.IP, "45.83.64.7"))
    assert found.choices == [Indicator(Kind.IP, "45.83.64.7")]
    given = {"q": "45.83.64.7", "entry": "cidr 45.83.64.0/24", "word": "never", "reason": "x"}
    assert console.post("/decisions/pourquoi/", given).status_code == 404
    assert console.post("/decisions/pourquoi/", given | {"entry": "ip 45.83.64.7"}).status_code == 302


# -- appeals -----------------------------------------------------------------------------------------------


def contest(
    agent: Client, q: str = SHOP.value, text: str = "Notre fournisseur.", word: str = "contest"
) -> int:
    return int(agent.post("/blocages/pourquoi/", {"q": q, "word": word, "text": text}).status_code)


def test_a_commune_contests_an_entry_and_reads_the_answer(
    agent: Client, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    publish("urlhaus", SHOP.value, threat="command_server")
    q = "www.shop.example.net"
    page = text(agent.get("/blocages/pourquoi/", {"q": q}))
    assert "Contester" in page and "Débloquer 60 minutes" not in page, (
        "a command server is never lifted locally"
    )
    assert contest(agent, q, " ") == 400 and contest(agent, q) == 302 and contest(agent, q) == 302
    also = appeals.appeal_entry(actor=nuits.agent, indicator=SHOP, text="Le nôtre aussi.")
    made = Appeal.objects.get(collectivite_id=beaune.id)
    assert (made.decision_id, made.indicator, made.text) == ("", SHOP, "Notre fournisseur.")
    page = text(agent.get("/blocages/pourquoi/", {"q": q}))
    assert (
        "Le Département vous répondra." in page and "Le nôtre aussi" not in page and "Contester" not in page
    )
    with on_listener("console"):
        console = console_client(administrator.id)
        waiting = text(console.get("/decisions/attente/"))
        assert "Notre fournisseur." in waiting and "Le site shop.example.net est bloqué" in waiting
        path = f"/decisions/contestation/{made.id}/"
        page = text(console.get(path))
        assert "urlhaus" in page and "laisser passer partout" in page and "Nuits-Saint-Georges" in page
        assert text(console.post(path, {"word": "accept", "text": ""}), 400)
        assert console.post(path, {"word": "accept", "text": "Nettoyé depuis."}).status_code == 302
    row = NeverAgain.objects.get()
    assert (row.indicator, row.reason) == (SHOP, "Nettoyé depuis.")
    also.refresh_from_db()
    assert (also.state, also.answer) == ("accepted", "Nettoyé depuis.")
    for path in ("/blocages/pourquoi/", "/blocages/"):
        page = text(agent.get(path, {"q": q} if "pourquoi" in path else {}))
        assert "Contestation acceptée" in page and "Nettoyé depuis." in page
    told = agent.get("/blocages/pourquoi.json", {"q": q}).json()
    assert [one["state"] for one in told["appeals"]] == ["accepted"] and told["blocked"] is False
    assert contest(agent, q) == 409, "nothing refuses it any more"
    assert not OutboxEvent.objects.filter(payload__contains="fournisseur").exists()


def test_refused_the_entry_stays_blocked_and_the_commune_reads_why(
    agent: Client, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    publish("nets", "45.83.64.0/24", kind="cidr")
    assert contest(agent, "45.83.64.7") == 302
    made = Appeal.objects.get()
    assert made.indicator == normalise("ip", "45.83.64.7"), "of a range, the address alone"
    also = appeals.appeal_entry(actor=nuits.agent, indicator=normalise("ip", "45.83.64.7"), text="Aussi.")
    with pytest.raises(NotAllowed):
        appeals.answer(actor=beaune.agent, appeal_id=made.id, accept=True, text="oui")
    with pytest.raises(NotFound):
        appeals.answer(actor=nuits.agent, appeal_id=made.id, accept=True, text="oui")
    appeals.answer(actor=administrator, appeal_id=made.id, accept=False, text="C’est un faux site.")
    also.refresh_from_db()
    assert also.state == "open" and not NeverAgain.objects.exists()
    page = text(agent.get("/blocages/pourquoi/", {"q": "45.83.64.7"}))
    assert "Contestation refusée" in page and "C’est un faux site." in page and "Contester" in page


def test_only_what_a_list_refuses_here_can_be_contested(agent: Client, nuits: Commune) -> None:
    publish("theirs", SHOP.value, scope=nuits.id)
    publish("nets", "45.83.64.0/24", kind="cidr")
    assert contest(agent) == 409
    assert contest(agent, "45.83.64.0/24") == 400
    assert contest(agent, "bonjour à tous") == 404
    assert not Appeal.objects.exists()


def test_fifty_open_appeals_are_enough(beaune: Commune) -> None:
    publish("urlhaus", *(f"n{n}.example.net" for n in range(51)))
    for n in range(50):
        appeals.appeal_entry(actor=beaune.agent, indicator=normalise("domain", f"n{n}.example.net"), text="x")
    with pytest.raises(Conflict):
        appeals.appeal_entry(actor=beaune.agent, indicator=normalise("domain", "n50.example.net"), text="x")


def test_an_hour_without_the_block_from_the_same_page(agent: Client, beaune: Commune) -> None:
    publish("urlhaus", SHOP.value, threat="phishing")
    assert contest(agent, word="unlock") == 302
    page = text(agent.get("/blocages/pourquoi/", {"q": "www.shop.example.net"}))
    assert "Débloqué chez vous" in page and "Bloquer de nouveau" in page
    made = LocalException.objects.get()
    assert (made.collectivite_id, made.value) == (beaune.id, SHOP.value)
    assert contest(agent, word="unlock") == 409


def test_a_command_server_of_a_list_is_not_opened_from_the_page_either(
    agent: Client, beaune: Commune
) -> None:
    publish("feodo", SHOP.value, threat="command_server")
    answer = agent.post("/blocages/pourquoi/", {"q": SHOP.value, "word": "unlock", "text": "urgent"})
    assert "seul le Département peut la débloquer" in text(answer, 400)
    assert not LocalException.objects.exists()


def test_where_nothing_blocks_it_the_next_steps_are_said(beaune: Commune, nuits: Commune) -> None:
    """Else it is a dead end: the mail that she awaits is held, or the boîtier has a rule of its own."""
    client = portal_client(beaune.agent_membership)
    page = flat(client.get(f"/blocages/pourquoi/?q={SHOP.value}").content.decode())
    assert 'href="/retenus/"' in page[page.index("cause est ailleurs") :] and "192.168.213.1" not in page
    for commune, said in ((nuits, False), (beaune, True)):
        Box.objects.create(
            collectivite_id=commune.id,
            serial=commune.id,
            public_key=commune.id,
            fingerprint="x",
            state="active",
        )
        page = client.get(f"/blocages/pourquoi/?q={SHOP.value}").content.decode()
        assert ("http://192.168.213.1/" in page) is said
    publish("urlhaus", SHOP.value)
    page = flat(client.get(f"/blocages/pourquoi/?q={SHOP.value}").content.decode())
    assert "cause est ailleurs" not in page and "192.168.213.1" not in page
