"""Every address of the portal refuses whoever has no business there. A new address without a rule here fails."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.core.communes.models import CommuneExport
from beffroi.drive.store import groups, look, tags, versions
from beffroi.mail.aliases.models import Alias
from beffroi.mail.closing.models import Export
from beffroi.mail.filters.models import FilterRule
from beffroi.mail.people.models import Delegation
from beffroi.mail.scripts.models import PersonalScript
from beffroi.mail.sending.models import SendingAlarm
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from tests.drive_pages import Drive
from tests.fixtures_portal import (
    LURE_ID,
    console_client,
    no_door,
    on_listener,
    portal_client,
)
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


def mail(**more: Any) -> Arguments:
    return lambda world: {"mailbox_id": world.mailbox.id, **more}


REPORT = {"beffroi_id": LURE_ID}
HELD: Arguments = lambda world: {"held_id": world.held_id}  # noqa: E731
RULE: Arguments = lambda world: {"mailbox_id": world.mailbox.id, "rule_id": FilterRule.objects.get().id}  # noqa: E731
SCRIPT: Arguments = lambda world: {**mail()(world), "script_id": PersonalScript.objects.get().id}  # noqa: E731
ERASED: Arguments = lambda world: {"mailbox_id": Export.objects.get().mailbox_id}  # noqa: E731
PORTAL = {
    "healthz": Rule("open"),
    "set_language": Rule("open"),
    "accessibility": Rule("open"),
    "counting": Rule("open"),
    "account_login": Rule("open"),
    "account_inactive": Rule("open"),
    "mfa_authenticate": Rule("account"),
    "account_logout": Rule("account"),
    "account_reauthenticate": Rule("account"),
    "mfa_reauthenticate": Rule("account"),
    "mfa_login_webauthn": Rule("open"),
    "mfa_reauthenticate_webauthn": Rule("account"),
    "mfa_list_webauthn": Rule("own"),
    "mfa_add_webauthn": Rule("account"),
    "mfa_edit_webauthn": Rule("stepped", lambda world: {"pk": 1}),
    "mfa_remove_webauthn": Rule("stepped", lambda world: {"pk": 1}),
    "phone_new": Rule("own", data={"kind": "iphone", "label": "x"}),
    "phone_link": Rule("thing", lambda world: {"link_id": world.link_id}),
    "phone_landing": Rule("linked"),
    "phone_profile": Rule("linked"),
    "login_flow_begin": Rule("open"),
    "login_flow_poll": Rule("open"),
    "login_flow": Rule("linked"),
    "files_connect": Rule("own", data={"label": "x"}),
    "rescue": Rule("own"),
    "mfa_activate_totp": Rule("account"),
    "mfa_deactivate_totp": Rule("account"),
    "mfa_view_recovery_codes": Rule("account"),
    "mfa_generate_recovery_codes": Rule("account"),
    "home": Rule("own"),
    "weather": Rule("own"),
    "weather_month": Rule("own"),
    "emergency_sheet": Rule("own"),
    "live_grant": Rule("own"),
    "access": Rule("own"),
    "mfa_index": Rule("own"),
    "app_password_issue": Rule("own"),
    "password": Rule("own"),
    "agenda": Rule("own"),
    "agenda_new": Rule("own", data={"title": "Conseil", "day": "2030-01-02", "calendar": "commun"}),
    "agenda_entry": Rule("asked", lambda world: {"calendar": "commun", "name": "x.ics"}),
    "agenda_delete": Rule("asked", lambda world: {"calendar": "commun", "name": "x.ics"}),
    "agenda_rooms": Rule("own", data={"title": "Minibus"}),
    "room_retire": Rule("asked", lambda world: {"room": "salle-minibus"}),
    "room_put_back": Rule("asked", lambda world: {"room": "salle-minibus"}),
    "agenda_put_back": Rule("own"),
    "agenda_bring": Rule("own"),
    "agenda_give": Rule("asked", lambda world: {"calendar": "commun"}),
    "agenda_give_handed": Rule("asked", lambda world: {"handed": "remis-x-0"}),
    "contacts": Rule("own"),
    "contacts_put_back": Rule("own"),
    "contacts_bring": Rule("own"),
    "contacts_give": Rule("asked", lambda world: {"calendar": "commun"}),
    "contacts_give_handed": Rule("asked", lambda world: {"handed": "remis-x-0"}),
    "contact_new": Rule("own", data={"family": "Charton", "calendar": "commun"}),
    "contact_group_new": Rule("asked", lambda world: {"calendar": "commun"}),
    "contact_group": Rule("asked", lambda world: {"calendar": "commun", "name": "x.vcf"}),
    "contact_group_handed": Rule("asked", lambda world: {"handed": "remis-x-0", "name": "x.vcf"}),
    "contact_group_change": Rule("asked", lambda world: {"calendar": "commun", "name": "x.vcf"}),
    "contact_group_delete": Rule("asked", lambda world: {"calendar": "commun", "name": "x.vcf"}),
    "contact_entry": Rule("asked", lambda world: {"calendar": "commun", "name": "x.vcf"}),
    "contact_delete": Rule("asked", lambda world: {"calendar": "commun", "name": "x.vcf"}),
    "membership_choose": Rule("own"),
    "own_boxes": Rule("own"),
    "unlock": Rule("account"),  # a page of who brings a word of a boîtier: without one there is none
    "security_txt": Rule("open"),
    "mta_sts": Rule("open"),
    "autoconfig": Rule("open"),
    "autoconfig_well_known": Rule("open"),
    "autodiscover": Rule("open"),
    "own_domains": Rule("own"),
    "own_domain_declare": Rule(
        "led", DOMAIN, {"declared_site": "https://beaune.test", "declared_address": ""}
    ),
    "own_senders": Rule("led", DOMAIN, {"act": "ours", "operator": "mailer.example.net"}),
    "attachments": Rule("own", data={"allowed": ["macro"]}),
    "mail": Rule("own"),
    "app_password_revoke": Rule("thing", lambda world: {"app_password_id": world.app_password_id}),
    "mail_reported": Rule("thing", lambda world: {"beffroi_id": LURE_ID}),
    "mail_declare": Rule("thing", lambda world: {"beffroi_id": LURE_ID}, {"what": "typed"}),
    "own_journal": Rule("own"),  # of a DPO or référent alone: tests/integration/test_journal_pages.py
    "own_retention": Rule("own"),  # the same
    "incidents": Rule("own"),
    "incident_register": Rule("own"),  # the same: tests/integration/test_incident_register.py
    "incident_new": Rule("own", data={"kind": "data_lost", "note": "x"}),
    "incident": Rule("ours", INCIDENT, {"note": "x"}),
    "incident_export": Rule("ours", INCIDENT),
    "blocks": Rule("own"),
    "block": Rule(
        "ours", lambda world: {"decision_id": world.local_decision_id}, {"word": "contest", "text": "x"}
    ),
    "why": Rule("own", data={"q": "185.203.116.10", "word": "contest", "text": "x"}),
    "why_json": Rule("own", data={"q": "185.203.116.10"}),
    "own_exception_end": Rule("ours", lambda world: {"exception_id": world.exception_id}),
    "held": Rule("own"),
    "held_linked": Rule("open"),  # its signed link is tested with held mail
    "held_link": Rule("linked"),
    "held_digest_time": Rule("thing", mail(), {"at_minute": "480"}),
    "held_release": Rule("thing", HELD),
    "held_block": Rule("thing", HELD),
    "held_undo": Rule("thing", HELD),
    "held_review": Rule("thing", HELD, {"text": "x"}),
    "shared_mailboxes": Rule("own", data={"local": "x", "domain": "beaune.test", "title": "X"}),
    "shared_mailbox": Rule("led", lambda world: {"mailbox_id": world.shared_id}, {"what": "close"}),
    "aliases": Rule("own", data={"local": "x", "domain": "beaune.test", "mailbox": "x"}),
    "alias": Rule("led", lambda world: {"alias_id": Alias.objects.get().id}, {"what": "end"}),
    "unknown_addresses": Rule("own", data={"domain": "beaune.test", "what": "receive", "mailbox": "x"}),
    "delegations": Rule("own"),
    "delegation_new": Rule("own", data={"first": "2030-01-01", "last": "2030-01-02"}),
    "delegation_end": Rule("ours", lambda world: {"delegation_id": Delegation.objects.get().id}),
    "mail_handling": Rule("thing", mail(uid=1), {"what": "note", "text": "x"}),
    "departures": Rule("own"),
    "departure_of_all": Rule("own"),
    "departure_prepare": Rule("led", lambda world: {"person_id": world.beaune.colleague.id}),
    "departure": Rule("led", lambda world: {"departure_id": world.departure_id}),
    "departure_files": Rule("led", lambda world: {"departure_id": world.departure_id}),
    "activate": Rule("open"),  # address and code: tests/integration/test_portal_persons.py
    "persons": Rule("own"),  # of a référent alone: the same
    "membership_offers": Rule("own", data={"word": "accept", "offer": "x"}),
    "access_review": Rule("own"),
    "person_new": Rule("own", data={"first": "x", "last": "y", "local": "z", "domain": "beaune.test"}),
    "person": Rule("led", lambda world: {"person_id": world.beaune.colleague.id}, {"what": "cancel"}),
    "commune_export": Rule(
        "led", lambda world: {"export_id": CommuneExport.objects.get().id}, {"word": "stop"}
    ),
    "closed_mailboxes": Rule("own"),  # of a référent alone: tests/integration/test_portal_closed.py
    "closed_mailbox": Rule("led", ERASED, {"word": "export"}),
    "closed_certificate": Rule("led", ERASED),
    "held_account": Rule("led", lambda world: {"alarm_id": SendingAlarm.objects.get().id}),
    "closed_export": Rule("led", lambda world: {**ERASED(world), "export_id": Export.objects.get().id}),
    "opening_request": Rule(
        "own",
        data={
            "machine": "192.168.1.50",
            "protocol": "tcp",
            "port": "1",
            "sources": "192.0.2.7",
            "purpose": "x",
        },
    ),
    "opening_withdraw": Rule("led", OPENING),
    "opening_close": Rule("led", OPENING),
    "relay_request": Rule(
        "own", data={"sender": "copieur@beaune.test", "purpose": "x", "hour": "1", "to": "inside"}
    ),
    "relay_request_withdraw": Rule("led", RELAY),
    "mail_list": Rule("thing", mail()),
    "mail_settings": Rule("thing", mail()),
    "mail_absence": Rule(
        "thing", mail(), {"first": "2030-01-01", "last": "2030-01-02", "text": "x", "every_days": "7"}
    ),
    "mail_filter_new": Rule("thing", mail(), {"field": "from", "words": "x", "act": "star"}),
    "mail_filter": Rule("thing", RULE, {"word": "remove"}),
    "mail_script": Rule("thing", SCRIPT, {"word": "off"}),
    "mail_signature": Rule("thing", mail(), {"signature": "x"}),
    "mail_forward": Rule("thing", mail(), {"target": "x@beaune.test"}),
    # A colleague who is no référent: tests/integration/test_mail_filters.py
    "forward_end": Rule("ours", FORWARD),
    "forwards": Rule("own"),
    "mail_write": Rule("thing", mail()),
    "mail_draft": Rule("thing", mail(uid=1)),
    "mail_draft_save": Rule("thing", mail(), {"what": "send", "to": "a@b.example"}),
    "mail_people": Rule("thing", mail()),
    "mail_sending": Rule(
        "thing", lambda world: {"mailbox_id": world.mailbox.id, "sending_id": world.sending_id}
    ),
    "mail_sending_cancel": Rule(
        "thing", lambda world: {"mailbox_id": world.mailbox.id, "sending_id": world.sending_id}
    ),
    "mail_act": Rule("thing", mail(), {"what": "trash", "uid": "1"}),
    "mail_folder_new": Rule("thing", mail(), {"name": "x"}),
    "mail_read": Rule("thing", mail(uid=1)),
    "mail_content": Rule("thing", mail(uid=1)),
    "mail_attachment": Rule("thing", mail(uid=1, part="2")),
    "mail_enclosed": Rule("thing", mail(uid=1, part="2", number=0)),
    "mail_attached": Rule("thing", mail(uid=1, part="2")),
    "mail_report": Rule("thing", mail(uid=1), REPORT),
    "mail_drive": Rule("thing", mail()),
    "mail_drive_link": Rule("thing", mail(), {"node": "1", "days": "7"}),
    "mail_drive_remove": Rule("thing", mail(), {"share": "shr_x"}),
    "mail_room": Rule("own"),  # of a référent alone: tests/integration/test_mail_quota.py
    "mail_restores": Rule("own", data={"word": "ask", "boite": "x", "jour": "2026-11-01"}),
    "mail_deleted": Rule("thing", mail(), {"word": "give_back", "uid": "1", "target": "INBOX"}),
    "mail_receipt": Rule("thing", mail(uid=1), {}),
    "mail_bank": Rule("thing", mail(uid=1), {"what": "checked"}),
    "mail_invitation": Rule("thing", mail(uid=1), {"what": "oui"}),
    "own_imports": Rule("own"),
    "drive": Rule("own"),  # files by identifier of one collectivité: tests/integration/test_drive_pages.py
    "drive_common": Rule("own"),
    "drive_recent": Rule("own"),
    "drive_search": Rule("own", data={"q": "x"}),
    "drive_grant": Rule("own"),
    # tests/integration/test_drive_room_pages.py
    "drive_room": Rule("own", data={"person": "x", "limit": "1"}),
    "drive_trash": Rule("own", data={"what": "restore", "n": "1"}),
    # tests/integration/test_drive_alarm_pages.py
    "drive_alarms": Rule("own", data={"what": "restore", "device": "x"}),
    "drive_seals": Rule("own"),
    "drive_seal_new": Rule(
        "led", lambda world: {"node_id": world.folder_id}, {"what": "seal", "no_end": "1"}
    ),
    "drive_seal": Rule("ours", lambda world: {"seal_id": world.seal_id}, {"what": "check"}),
    "drive_seal_seda": Rule("ours", lambda world: {"seal_id": world.seal_id}),
    "drive_seal_sheet": Rule("ours", lambda world: {"seal_id": world.seal_id}),
    "drive_seal_proof": Rule("ours", lambda world: {"seal_id": world.seal_id, "node_id": world.node_id}),
    "drive_act": Rule("own", data={"what": "folder", "dossier": "1", "name": "x"}),
    "drive_stars": Rule("own", data={"ajouter": "1"}),  # tests/integration/test_drive_stars.py
    "drive_tags": Rule("own", data={"what": "put", "n": "1", "name": "x"}),  # test_drive_tag_pages.py
    "drive_tag": Rule("ours", lambda world: {"tag_id": _tag(world)}, {"what": "delete"}),
    "drive_past": Rule("ours", lambda world: {"node_id": world.folder_id}, {"what": "restore"}),
    "drive_compare": Rule("thing", lambda world: {"node_id": world.node_id, "etag": _version(world)}),
    "drive_version": Rule("thing", lambda world: {"node_id": world.node_id, "etag": _version(world)}),
    "drive_version_delete": Rule("thing", lambda world: {"node_id": world.node_id, "etag": _version(world)}),
    "drive_opened": Rule("thing", lambda world: {"number": world.node_id}),
    "drive_node": Rule("thing", lambda world: {"node_id": world.node_id}),
    "drive_scan": Rule("thing", lambda world: {"node_id": world.node_id}, {"what": "ask"}),
    "drive_edit": Rule("thing", lambda world: {"node_id": world.node_id}),
    "drive_links": Rule("thing", lambda world: {"node_id": world.node_id}, {"days": "7"}),
    "drive_drops": Rule("thing", lambda world: {"node_id": world.drop_folder_id}, {"days": "7"}),
    "drive_dropped": Rule("open"),
    "drive_own_links": Rule("own"),
    "drive_link_end": Rule("thing", lambda world: {"share_id": world.link_share_id}),
    "drive_share": Rule(
        "thing", lambda world: {"node_id": world.node_id}, {"with": "role:elu", "rights": "read", "days": ""}
    ),
    "drive_my_shares": Rule("own"),
    "drive_groups": Rule("own", data={"name": "x"}),  # the référent alone changes: test_drive_groups.py
    "drive_group": Rule("ours", lambda world: {"group_id": _group(world)}, {"what": "rename", "name": "x"}),
    "drive_group_delete": Rule("led", lambda world: {"group_id": _group(world)}),
    "drive_share_end": Rule("thing", lambda world: {"share_id": world.share_id}),
    "drive_shared": Rule("own", data={"what": "leave", "partage": "shr_" + "0" * 26}),
    "drive_visit": Rule("ours", lambda world: {"share_id": world.visit_id}, {"what": "folder", "name": "x"}),
    "drive_visit_node": Rule(
        "ours",
        lambda world: {"share_id": world.visit_id, "node_id": world.visit_node_id},
        {"what": "folder", "name": "x"},
    ),
    "drive_visit_edit": Rule(
        "ours", lambda world: {"share_id": world.visit_id, "node_id": world.visit_node_id}
    ),
    "drive_visit_compare": Rule("ours", lambda world: {"share_id": world.visit_id} | _visited_version(world)),
    "drive_visit_version": Rule("ours", lambda world: {"share_id": world.visit_id} | _visited_version(world)),
    "drive_link_refused": Rule("open"),
    "drive_link": Rule("linked"),  # tests/integration/test_drive_links.py
    "mail_imports": Rule("thing", mail(), {"fournisseur": "orange", "username": "x", "password": "y"}),
    "mail_import": Rule(
        "thing",
        lambda world: {"mailbox_id": world.mailbox.id, "job_id": world.import_id},
        {"word": "cancel"},
    ),
    "mail_import_undo": Rule(
        "thing", lambda world: {"mailbox_id": world.mailbox.id, "job_id": world.import_id}, {}
    ),
    "box_enrol": Rule("box"),
    "box_mail_token": Rule("box"),
}
CLOSED_PORTAL = [
    name
    for name, rule in PORTAL.items()
    if rule.kind in ("own", "thing", "ours", "led", "account", "stepped")
]
POSTED = (
    "mail_invitation",
    "mail_drive_link",
    "mail_drive_remove",
    *("own_exception_end", "held_release", "held_block", "held_undo", "held_digest_time", "drive_scan"),
    *("mail_draft_save", "mail_sending_cancel", "mail_act", "mail_folder_new", "mail_bank", "mail_handling"),
    "mail_receipt",
    *("mail_absence", "mail_filter_new", "mail_filter", "mail_script", "mail_signature", "forward_end"),
    *(
        "delegation_end",
        "closed_export",
        "relay_request_withdraw",
        "opening_withdraw",
        "opening_close",
        "own_domain_declare",
    ),
    *("drive_seal_proof", "drive_seal_seda", "drive_seal_sheet", "drive_share_end"),
)
THINGS = [name for name, rule in PORTAL.items() if rule.kind in ("thing", "ours", "led")]
STEP_UP = (
    "departure_prepare",
    "departure_files",
    "person",
)  # a referent is asked for the password before it opens


def _version(world: World) -> int:
    """Of an earlier content of that file."""
    with Drive(world.beaune.agent_membership).database.reading() as reading:
        return versions.of(reading, world.node_id)[0].etag


def _group(world: World) -> str:
    """Beaune's only group, made at the first question; its name is looked for in refusals."""
    drive = Drive(world.beaune.referent_membership)
    with drive.database.reading() as reading:
        found = groups.every(reading)
    made = found or [drive.database.write(lambda writing: groups.make(writing, drive.act, "facture"))]
    return made[0].id


def _tag(world: World) -> int:
    """Beaune's only label, made at the first question, with a number that no neighbour's drive has reached."""
    drive = Drive(world.beaune.agent_membership)
    with drive.database.reading() as reading:
        found = tags.seen(reading, drive.who)
    made = found or [
        drive.database.write(
            lambda writing: tags.make(writing, drive.act, "facture", visible=True, assignable=True)
        )
    ]
    return made[0].id


def test_every_address_has_its_rule() -> None:
    require_rules("urls_web", PORTAL)


@pytest.mark.parametrize("name", CLOSED_PORTAL)
def test_a_stranger_is_asked_to_sign_in(name: str, world: World) -> None:
    before = changed()
    for method in METHODS:
        answer = ask(Client(), method, name, PORTAL, world)
        assert answer.status_code in (302, 405), (method, answer.status_code)
        if answer.status_code == 302:
            assert answer["Location"].startswith(("/connexion/", "/"))
            assert not answer["Location"].startswith("//")
    assert changed() == before


@pytest.mark.parametrize("name", [one for one in PORTAL if PORTAL[one].kind != "linked"])
def test_who_is_nobody_leaves_no_session(name: str, world: World) -> None:
    """Each would be a row for twelve hours, and a rented server has thousands of networks."""
    for method in METHODS:
        for client in (Client(), Client(headers={"Accept": "application/json"})):
            ask(client, method, name, PORTAL, world)
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("name", "secrets"),
    [
        ("drive_link", ["col_x", "made-up"]),
        ("held_link", ["made-up"]),
        ("login_flow", ["made-up"]),
        ("phone_landing", ["made-up"]),
        ("phone_profile", ["made-up"]),
    ],
)
def test_who_makes_a_secret_up_leaves_no_session(name: str, secrets: list[str], world: World) -> None:
    for method in METHODS:
        getattr(Client(), method)(reverse(name, args=secrets), {"password": "x"})
    assert not Session.objects.exists()


@pytest.mark.parametrize("name", THINGS)
def test_what_belongs_to_another_is_no_such_page(name: str, world: World) -> None:
    before = changed()
    neighbours = (world.nuits.agent_membership, world.nuits.referent_membership)
    colleagues = (world.beaune.colleague_membership, world.beaune.referent_membership)
    agents = (world.beaune.colleague_membership, world.beaune.agent_membership)
    near = {"ours": (), "led": agents}.get(PORTAL[name].kind, colleagues)
    for stranger in neighbours + near:
        client = portal_client(stranger)
        for method in METHODS:
            answer = ask(client, method, name, PORTAL, world)
            assert answer.status_code in (404, 405), (name, method, stranger.role)
            assert "facture" not in answer.content.decode("utf-8", "replace")
    assert changed() == before


@pytest.mark.parametrize("name", THINGS)
def test_what_belongs_to_oneself_is_found(name: str, world: World) -> None:
    """Otherwise the refusals above would prove nothing."""
    expected = 405 if name in POSTED else 302 if name in STEP_UP or name == "drive_opened" else 200
    if name in ("drive_compare", "drive_visit_compare", "mail_enclosed"):
        expected = 503  # found; no process gives its contents here
    beaune = world.beaune
    owner = beaune.referent_membership if PORTAL[name].kind == "led" else beaune.agent_membership
    answer = ask(portal_client(owner), "get", name, PORTAL, world)
    assert answer.status_code == expected


@pytest.mark.parametrize("name", CLOSED_PORTAL)
def test_an_administrators_cookie_opens_nothing_on_the_portal(name: str, world: World) -> None:
    with on_listener("console"):
        value = console_client(world.administrator.id).cookies["__Host-beffroi_console_session"].value
    client = Client()
    client.cookies["__Host-beffroi_session"] = value
    client.cookies["__Host-beffroi_console_session"] = value
    before = changed()
    for method in METHODS:
        assert ask(client, method, name, PORTAL, world).status_code in (302, 405), method
    assert changed() == before


def test_boxes_enrol_on_their_own_listener_only(world: World) -> None:
    for listener in ("portal", "console", ""):
        client = Client(headers={"X-Beffroi-Listener": listener})
        assert client.post("/v1/enrol", b"{}", content_type="application/json").status_code == 404


def _visited_version(world: World) -> dict[str, Any]:
    with Drive(world.nuits.agent_membership).database.reading() as reading:
        (one,) = look.children(reading, world.visit_node_id)
        etag = versions.of(reading, one.id)[0].etag
    return {"node_id": one.id, "etag": etag}
