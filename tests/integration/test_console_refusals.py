"""Every address of the console refuses whoever has no business there. A new address without a rule here fails."""

from __future__ import annotations

from itertools import product

import pytest
from beffroi.mail.aliases.models import Alias
from beffroi.mail.closing.models import Erasure
from beffroi.mail.models import Mailbox
from django.test import Client
from django.urls import reverse

from tests.fixtures_portal import console_client, no_door, on_listener, portal_client
from tests.fixtures_portal_mail import shown_mail
from tests.refusals_rules import (
    DOMAIN,
    FORWARD,
    INCIDENT,
    METHODS,
    OPENING,
    RELAY,
    Arguments,
    Rule,
    ask,
    require_rules,
)
from tests.refusals_world import World, changed, world

__all__ = ["no_door", "shown_mail", "world"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shown_mail")]
CAMPAIGN: Arguments = lambda world: {"campaign_id": world.campaign_id}  # noqa: E731
DECISION: Arguments = lambda world: {"decision_id": world.decision_id}  # noqa: E731
SOURCE: Arguments = lambda world: {"source_id": world.source_id}  # noqa: E731
BOX: Arguments = lambda world: {"box_id": world.box_id}  # noqa: E731
MADE_ALIAS = {"what": "alias", "local": "x", "domain": "beaune.test", "mailboxes": "mairie@beaune.test"}
CONSOLE = {
    "healthz": Rule("open"),
    "set_language": Rule("open"),
    "accessibility": Rule("open"),
    "counting": Rule("open"),
    "console_login": Rule("open"),
    "console_logout": Rule("open"),
    "home": Rule("own"),
    "alarm": Rule(
        "thing", lambda world: {"alarm_name": "fetched"}, {"word": "seen", "reason": "x", "days": "7"}
    ),
    "weather": Rule("own"),
    "weather_month": Rule("own"),
    "live_grant": Rule("own"),
    "campaigns": Rule("own"),
    "console_events": Rule("own"),
    "withdrawals": Rule("own"),
    "withdrawal": Rule("thing", lambda world: {"job_id": world.job_id}, {"word": "ask"}),
    "incidents": Rule("own"),
    "incident_new": Rule("own", data={"kind": "data_lost", "note": "x"}),
    "incident": Rule("thing", INCIDENT, {"take": "1"}),
    "incident_close": Rule("thing", INCIDENT, {"reason": "resolved"}),
    "incident_export": Rule("thing", INCIDENT),
    "incident_app_passwords": Rule("thing", INCIDENT),
    "console_files": Rule("own"),
    "console_seals": Rule("own"),
    "look_back": Rule("thing", lambda world: {"decision_id": world.decision_id}),
    "boxes": Rule("own"),
    "box_code": Rule("own"),
    "box_software": Rule("own", data={"number": "1", "word": "stop"}),
    "box_together": Rule(
        "own", data={"setting": "refuse_doh", "refuse_doh": "on", "who": "all", "send": "1", "reason": "x"}
    ),
    "sources": Rule("own"),
    "source_add": Rule("own", data={"name": "X", "format": "plain", "licence": "CC0", "weight": "list"}),
    "source_export": Rule("thing", lambda world: {"format_": "stix"}),
    "source": Rule("thing", SOURCE, {"word": "start"}),
    "source_change": Rule("thing", SOURCE),
    "source_update": Rule(
        "thing",
        lambda world: {"source_id": world.source_id, "update_id": world.update_id},
        {"word": "accept", "why": "x y z"},
    ),
    "mail_domains": Rule("own"),
    "mail_domain": Rule("thing", DOMAIN, {"word": "choose", "dmarc": "reject", "sts": "none"}),
    "mail_domain_zone": Rule("thing", DOMAIN),
    "mail_domain_letter": Rule("thing", DOMAIN),
    "mail_domain_registrar": Rule("thing", DOMAIN, {"word": "look"}),
    "mail_domain_senders": Rule("thing", DOMAIN, {"act": "ours", "operator": "mailer.example.net"}),
    "mail_probe": Rule("own"),
    "mail_backups": Rule("own"),
    "closed_erasures": Rule("own"),
    "closed_erasure": Rule(
        "thing", lambda world: {"erasure_id": Erasure.objects.get().id}, {"word": "call_back"}
    ),
    "outgoing": Rule("own"),
    "outgoing_account": Rule("thing", lambda world: {"alarm_id": world.mailbox.id}, {"word": "contain"}),
    "outgoing_partners": Rule("own", data={"word": "choose", "domain": "partenaire.example.org"}),
    "console_forward_end": Rule("thing", FORWARD),
    "outgoing_warming": Rule("thing", lambda world: {"exit_name": "nouvelle"}, {"word": "pause"}),
    "outgoing_doubted": Rule("thing", lambda world: {"mailbox_id": world.mailbox.id}, {"word": "spare"}),
    "outgoing_mail": Rule("thing", lambda world: {"queue_id": "4abcDEF123ghi"}, {"word": "delete"}),
    "communes": Rule("own"),
    "usage": Rule("own"),
    "commune_leaving": Rule(
        "thing", lambda world: {"collectivite_id": world.beaune.id}, {"word": "take_back"}
    ),
    "commune_name": Rule(
        "thing", lambda world: {"collectivite_id": world.beaune.id}, {"name": "Beaune-la-Neuve"}
    ),
    "commune_drive": Rule("thing", lambda world: {"collectivite_id": world.beaune.id}, {"word": "limit"}),
    "commune_room": Rule("thing", lambda world: {"collectivite_id": world.beaune.id}, {"limit": "10"}),
    "commune_addresses": Rule("thing", lambda world: {"collectivite_id": world.beaune.id}, MADE_ALIAS),
    "commune_alias": Rule(
        "thing",
        lambda world: {"collectivite_id": world.beaune.id, "alias_id": Alias.objects.get().id},
        {"what": "end"},
    ),
    "commune_shared": Rule(
        "thing",
        lambda world: {
            "collectivite_id": world.beaune.id,
            "mailbox_id": Mailbox.objects.get(address="mairie@beaune.test").id,
        },
        {"what": "close"},
    ),
    "commune_persons": Rule("thing", lambda world: {"collectivite_id": world.beaune.id}),
    "commune_person_new": Rule(
        "thing",
        lambda world: {"collectivite_id": world.beaune.id},
        {"first": "x", "last": "y", "role": "referent", "local": "z", "domain": "beaune.test"},
    ),
    "commune_person": Rule(
        "thing",
        lambda world: {"collectivite_id": world.beaune.id, "person_id": world.beaune.agent.id},
        {"what": "role", "membership": "x", "role": "dpo"},
    ),
    "commune_enrol": Rule("own", data={"insee": "21584", "domain": "saulieu.test"}),
    "journal": Rule("own"),
    "administrators": Rule("own", data={"read": "x"}),
    "administrator_end": Rule(
        "thing", lambda world: {"administrator_id": world.administrator.id}, {"word": "refuse"}
    ),
    "retention": Rule("own"),
    "erasure": Rule("thing", lambda world: {"approval_id": world.approval_id}, {"word": "refuse"}),
    "block_by_hand": Rule(
        "own", data={"q": "185.203.116.0/24", "reason": "malware", "why": "x", "ttl": "86400"}
    ),
    "let_pass": Rule("own", data={"q": "185.203.116.9", "commune": "x", "ttl": "3600", "reason": "x"}),
    "block_answer": Rule("thing", lambda world: {"approval_id": world.by_hand_id}, {"word": "refuse"}),
    "waiting": Rule("own"),
    "never_again": Rule("own"),
    "why": Rule("own", data={"q": "185.203.116.9", "entry": "ip 185.203.116.9", "reason": "x"}),
    "why_json": Rule("own", data={"q": "185.203.116.9"}),
    "decision": Rule("thing", DECISION),
    "decision_json": Rule("thing", DECISION),
    "decision_undo": Rule("thing", DECISION, {"never": "1", "reason": "x"}),
    "decision_approve": Rule("thing", DECISION),
    "appeal": Rule("thing", lambda world: {"appeal_id": world.appeal_id}, {"word": "accept", "text": "x"}),
    "exception_end": Rule("thing", lambda world: {"exception_id": world.exception_id}),
    "spared": Rule("thing", lambda world: {"entry_id": world.spared_id}, {"word": "block"}),
    "campaign": Rule("thing", CAMPAIGN),
    "campaign_confirm": Rule("thing", CAMPAIGN),
    "campaign_dismiss": Rule("thing", CAMPAIGN),
    "campaign_undo": Rule("thing", CAMPAIGN),
    "box": Rule("thing", BOX),
    "box_policy": Rule("thing", BOX, {"base": "1", "mode": "bridge", "send": "1", "reason": "x"}),
    "box_relay": Rule("thing", BOX, {"base": "1", "reason": "x"}),
    "openings": Rule("own"),
    "opening_accept": Rule("thing", OPENING, {"until": "2030-01-01", "code": "000000"}),
    "opening_decline": Rule("thing", OPENING, {"reason": "x"}),
    "opening_close": Rule("thing", OPENING),
    "relay_requests": Rule("own"),
    "relay_request_decline": Rule("thing", RELAY, {"reason": "x"}),
    "box_restore": Rule("thing", BOX, {"version": "1"}),
    "box_observe": Rule("thing", BOX, {"word": "end"}),
    "box_flow": Rule("thing", BOX, {"flow": "1", "word": "accept"}),
    "box_diagnose": Rule("thing", BOX),
    "box_replace": Rule("thing", BOX),
    "box_confirm": Rule("thing", BOX),
    "box_revoke": Rule("thing", BOX),
}
POSTED = (
    *("box_restore", "box_observe", "box_flow", "exception_end", "spared", "relay_request_decline"),
    *("opening_accept", "opening_decline", "opening_close"),
    *("outgoing_warming", "outgoing_doubted", "outgoing_account", "outgoing_mail", "outgoing_partners"),
    *("console_forward_end", "alarm"),
)
CLOSED = [name for name, rule in CONSOLE.items() if rule.kind in ("own", "thing")]


def test_every_address_has_its_rule() -> None:
    require_rules("urls_console", CONSOLE)


@pytest.mark.parametrize("name", CLOSED)
def test_an_agents_cookie_and_none_open_nothing_on_the_console(name: str, world: World) -> None:
    value = portal_client(world.beaune.referent_membership).cookies["__Host-beffroi_session"].value
    agent = Client()
    agent.cookies["__Host-beffroi_session"] = value
    agent.cookies["__Host-beffroi_console_session"] = value
    before = changed()
    with on_listener("console"):
        for client, method in product((agent, Client()), METHODS):
            answer = ask(client, method, name, CONSOLE, world)
            assert answer.status_code in (302, 405), method
            if answer.status_code == 302:
                assert answer["Location"].startswith("/connexion/")
    assert changed() == before


@pytest.mark.parametrize(
    "name", [name for name in CLOSED if name not in ("commune_enrol", "source_export", *POSTED)]
)
def test_the_console_opens_to_its_administrator(name: str, world: World) -> None:
    with on_listener("console"):
        answer = ask(console_client(world.administrator.id), "get", name, CONSOLE, world)
        assert answer.status_code in (200, 204)


@pytest.mark.parametrize(
    "name",
    ["campaign", "campaign_confirm", "campaign_undo", "withdrawal"]
    + [
        name
        for name in CONSOLE
        if name == "box"
        or (name.startswith("box_") and name not in ("box_code", "box_software", "box_together"))
    ]
    + [name for name in CONSOLE if name.startswith("incident") and name not in ("incidents", "incident_new")]
    + ["look_back", "erasure", "closed_erasure", "administrator_end"],
)
def test_what_does_not_exist_is_no_such_page_on_the_console_either(name: str, world: World) -> None:
    with on_listener("console"):
        client = console_client(world.administrator.id)
        keys = {
            "box": "box_id",
            "withdrawal": "job_id",
            "incident": "incident_id",
            "look": "decision_id",
            "erasure": "approval_id",
            "closed": "erasure_id",
            "administrator": "administrator_id",
        }
        key = keys.get(name.partition("_")[0], "campaign_id")
        path = reverse(name, kwargs={key: "cmp_" + "0" * 26})
        assert client.get(path).status_code == (405 if name in POSTED else 404)
        assert client.post(path).status_code == (405 if name in ("campaign", "box", "look_back") else 404)
