"""Identifiers of another commune in the fields of one's own forms (``test_portal_refusals`` has those of addresses).

Each form is sent twice: with what is of the own commune it does its work, with what is another's it does nothing. A
field that nobody has looked at fails (``PLAIN``, ``FORMS``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi import portal
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import offers
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import groups, shares
from beffroi.drive.store.shares import Wish
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.mail.aliases import actions as aliases
from beffroi.mail.aliases.models import Alias
from beffroi.mail.closing.models import Export
from beffroi.mail.models import Mailbox
from beffroi.mail.people import leaving
from beffroi.mail.people.models import Departure
from django.urls import reverse

from tests.conftest import Commune, make_member
from tests.drive_pages import Drive
from tests.fixtures_portal import confirmed, no_door, own_mailbox, shared_box
from tests.fixtures_portal_mail import shown_mail
from tests.refusals_world import World, changed, world

__all__ = ["no_door", "shown_mail", "world"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shown_mail")]
PLAIN = {
    # Words, days, numbers of a mailbox that the address names; what is looked for in a calendar of the own commune.
    *("what", "word", "act", "then", "retour", "page", "name", "title", "text", "label", "kind", "note_text"),
    *(
        "first",
        "last",
        "right",
        "rights",
        "days",
        "downloads",
        "password",
        "again",
        "new",
        "code",
        "email",
        "login",
    ),
    *(
        "uid",
        "uid_validity",
        "target",
        "etag",
        "at_minute",
        "limit",
        "types",
        "why",
        "until",
        "visa",
        "visa_on",
    ),
    *(
        "visa_by",
        "rule",
        "no_end",
        "local",
        "domain",
        "sends",
        "every_days",
        "signature",
        "copy",
        "collect",
        "done",
    ),
    *(
        "place",
        "operator",
        "allowed",
        "read",
        "known_at",
        "day",
        "reason",
        "seals",
        "no_export",
        "answer",
        "token",
    ),
    *(
        "jour",
        "heure",
        "mots",
        "ou",
        "a",
        "fait",
        "scripts",
        "given",
        "family",
        "organisation",
        "phones",
        "emails",
    ),
    *("forward", "forwarded_uid", "forwarded_folder", "keep", "dossier", "role", "beffroi_id", "message_id"),
    *(
        "answered",
        "credential",
        "calendar",
        "member",
        "device",
        "host",
        "username",
        "share",
        "fournisseur",
        "id",
        "line",
    ),
}
"""``beffroi_id``, ``message_id``, ``answered``: names of a mail in the mailbox of the address. ``share``, ``device``:
test_mail_files_browser, test_drive_alarm_pages. ``id``: of a file that the session brought."""


@dataclass
class Things:
    """Of one commune, what the fields name."""

    commune: Commune
    own: Mailbox
    shared: Mailbox
    alias: Alias
    departure: Departure
    export: Export
    offer_id: str
    node_id: int
    folder_id: int
    root_id: int
    group_id: str
    share_id: str


@dataclass(frozen=True)
class Form:
    """``fields``: names that hold an identifier, and of what; ``rest``: what else a valid form has."""

    url: str
    arguments: Callable[[Things], dict[str, Any]]
    fields: dict[str, Callable[[Things], object]]
    rest: dict[str, str] = field(default_factory=dict)
    led: bool = True


def nothing(_mine: Things) -> dict[str, Any]:
    return {}


def a_mailbox(mine: Things) -> dict[str, Any]:
    return {"mailbox_id": mine.own.id}


PERSON: Callable[[Things], object] = lambda one: one.commune.colleague.id  # noqa: E731
MAILBOX: Callable[[Things], object] = lambda one: one.shared.id  # noqa: E731
NODE: Callable[[Things], object] = lambda one: one.node_id  # noqa: E731
IN_TWO_DAYS: Callable[[Things], object] = lambda _: (clock.now() + timedelta(days=2)).date().isoformat()  # noqa: E731
FORMS = {
    "shared_member": Form(
        "shared_mailbox", lambda one: {"mailbox_id": one.shared.id}, {"person": PERSON}, {"what": "add"}
    ),
    "alias_made": Form("aliases", nothing, {"mailbox": MAILBOX}, {"local": "neuf", "domain": "nuits.test"}),
    "alias_target": Form(
        "alias", lambda one: {"alias_id": one.alias.id}, {"mailbox": lambda one: one.own.id}, {"what": "add"}
    ),
    "catch_all": Form(
        "unknown_addresses",
        nothing,
        {"mailbox": MAILBOX},
        {"domain": "nuits.test", "what": "receive", "days": "3"},
    ),
    "lent": Form(
        "delegation_new",
        nothing,
        {"person": PERSON, "first": IN_TWO_DAYS, "last": IN_TWO_DAYS},
        {"right": "read"},
        led=False,
    ),
    "departure_heir": Form(
        "departure_prepare", lambda one: {"person_id": one.commune.agent.id}, {"files": PERSON}
    ),
    "departure_files": Form(
        "departure_files", lambda one: {"departure_id": one.departure.id}, {"heir": PERSON}
    ),
    "export_ended": Form(
        "closed_mailbox",
        lambda one: {"mailbox_id": one.export.mailbox_id},
        {"export": lambda one: one.export.id},
        {"word": "end"},
    ),
    "offer_withdrawn": Form("persons", nothing, {"offer": lambda one: one.offer_id}),
    "role": Form(
        "person",
        lambda one: {"person_id": one.commune.colleague.id},
        {"membership": lambda one: one.commune.colleague_membership.id},
        {"what": "role", "role": "elu"},
    ),
    "chosen": Form(
        "membership_choose",
        nothing,
        {"membership_id": lambda one: one.commune.agent_membership.id},
        led=False,
    ),
    "room": Form("drive_room", nothing, {"person": PERSON}, {"limit": "1"}),
    "restore": Form(
        "mail_restores",
        nothing,
        {"boite": lambda one: one.own.id},
        {"word": "ask", "jour": clock.now().date().isoformat(), "heure": "00:01"},
        led=False,
    ),
    "tag": Form("drive_tags", nothing, {"n": NODE}, {"what": "put", "name": "urgent"}, led=False),
    "star": Form("drive_stars", nothing, {"ajouter": NODE}, led=False),
    "deleted": Form(
        "drive_act", nothing, {"dossier": lambda one: one.folder_id, "n": NODE}, {"what": "delete"}, led=False
    ),
    "moved_there": Form(
        "drive_act",
        nothing,
        {"vers": lambda one: one.root_id},
        {"what": "into", "dossier": "FOLDER", "n": "NODE"},
        led=False,
    ),
    "moved": Form(
        "drive_act",
        nothing,
        {"n": NODE},
        {"what": "into", "dossier": "FOLDER", "vers": "ROOT"},
        led=False,
    ),
    "shared": Form(
        "drive_share",
        lambda one: {"node_id": one.node_id},
        {"with": lambda one: f"person:{one.commune.colleague.id}"},
        {"rights": "read", "days": ""},
        led=False,
    ),
    "shared_with_group": Form(
        "drive_share",
        lambda one: {"node_id": one.node_id},
        {"with": lambda one: f"group:{one.group_id}"},
        {"rights": "read", "days": ""},
        led=False,
    ),
    "group_member": Form(
        "drive_group", lambda one: {"group_id": one.group_id}, {"person": PERSON}, {"what": "add"}
    ),
    "link_in_mail": Form(
        "mail_drive_link",
        a_mailbox,
        {"node": NODE},
        {"days": "7", "message_id": "<x@nuits.test>"},
        led=False,
    ),
}
SAID_THERE = ("moved_there", "moved")
"""The list says what became of them."""
SILENT = ("chosen", "star", "tag")
"""Neither in the log nor in the lists."""
FIELDS = {name for form in FORMS.values() for name in form.fields}
ELSEWHERE = {
    "person_id": "test_portal_rescue.py",
    "restore": "test_portal_restores.py",
    "partage": "test_drive_share_pages.py",
    "retirer": "what is no favourite is none of anybody's: test_drive_stars.py",
    "tag": "test_drive_tag_pages.py",
    "note": "test_portal_people.py; and the text of an incident",
    "folder": "of an import: test_portal_imports.py",
    "not_needed": "of the incident that the address names: test_incident_pages.py",
    "sender": "an address: test_portal_aliases.py",
}


def test_every_field_of_a_form_was_looked_at() -> None:
    """A new one names something of somebody (``FORMS``), or nothing (``PLAIN``)."""
    root = Path(portal.__file__).parent
    files = [*(root / "web").glob("*.py"), *root.glob("*.py")]
    read = re.compile(r"POST(?:\.get(?:list)?\(|\[)\s*\"([a-z_]+)\"")
    found = {name for file in files for name in read.findall(file.read_text())}
    assert len(found) > 60
    assert sorted(found - PLAIN - FIELDS - ELSEWHERE.keys()) == []


@pytest.fixture
def things(world: World) -> Iterator[tuple[Things, Things]]:
    yield _things(world.nuits, world), _things(world.beaune, world)


def _things(commune: Commune, world: World) -> Things:
    own = world.mailbox if commune is world.beaune else own_mailbox(commune)
    shared = shared_box(commune, local="accueil")
    domain = commune.collectivite.domains.get().name
    gone = make_member(Actor.system("tests"), commune.collectivite, f"parti@{domain}", "agent")
    Drive(gone).file("remis.txt")
    closed = Mailbox.objects.create(
        collectivite_id=commune.id, address=f"fermee@{domain}", closed_at=clock.now(), crypt_key="x"
    )
    drive = Drive(commune.agent_membership)
    folder = drive.folder(new_id("fld"))
    node = drive.file(f"{new_id('fil')}.txt", folder)
    led = Drive(commune.referent_membership)
    group = led.database.write(lambda writing: groups.make(writing, led.act, new_id("grp")))
    share, _made = drive.database.write(
        lambda writing: shares.make(writing, drive.act, folder.id, Wish("role", "elu"))
    )
    return Things(
        commune,
        own,
        shared,
        aliases.create(
            actor=commune.referent,
            collectivite=commune.collectivite,
            address=f"conseil@{domain}",
            mailboxes=[shared.id],
        ),
        leaving.depart(
            actor=commune.referent, collectivite=commune.collectivite, person=gone.person, successors={}
        ),
        Export.objects.create(
            collectivite_id=commune.id,
            mailbox_id=closed.id,
            asked_by=commune.referent.id,
            state="ready",
            ends_at=clock.now() + timedelta(days=1),
        ),
        offers.make(
            actor=commune.referent,
            collectivite=commune.collectivite,
            email="ailleurs@dijon.test",
            role="agent",
        ).pk,
        node.id,
        folder.id,
        drive.own.id,
        group.id,
        share.id,
    )


def _send(form: Form, mine: Things, named: Things) -> tuple[int, bool]:
    """Its answer, and whether anything was done."""
    rest = {
        key: str({"FOLDER": mine.folder_id, "NODE": mine.node_id, "ROOT": mine.root_id}.get(value, value))
        for key, value in form.rest.items()
    }
    data = rest | {name: str(of(named)) for name, of in form.fields.items()}
    if form.url == "delegation_new":
        data["mailbox"] = mine.own.id
    membership = mine.commune.referent_membership if form.led else mine.commune.agent_membership
    client, before = confirmed(membership), _state(mine, named)
    answer = client.post(reverse(form.url, kwargs=form.arguments(mine)), data)
    return answer.status_code, _state(mine, named) != before


def _state(*of: Things) -> tuple[object, ...]:
    drives = [Drive(one.commune.agent_membership) for one in of]
    lists = [
        [(node.id, node.name) for at in (one.folder_id, one.root_id) for node in drive.children(at)]
        for one, drive in zip(of, drives, strict=True)
    ]
    return changed(), AuditEntry.objects.count(), lists


@pytest.mark.parametrize("name", FORMS)
def test_what_is_anothers_is_refused_inside_a_form(name: str, things: tuple[Things, Things]) -> None:
    mine, theirs = things
    status, done = _send(FORMS[name], mine, theirs)
    assert not done and (400 <= status < 500 or name in SAID_THERE), (status, done)
    status, done = _send(FORMS[name], mine, mine)
    assert status < 400 and (done or name in SILENT), "otherwise the refusal would prove nothing"
