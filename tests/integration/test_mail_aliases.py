"""Aliases and catch-alls in the tables, without engines: who decides, what an address may be, what Postfix is told."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.cli import mail_alias
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import load
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.mail import actions as mail
from beffroi.mail import contacts, projections
from beffroi.mail.aliases import actions, consumers, queries
from beffroi.mail.aliases.errors import AddressTaken, AliasLoop, NoTarget, TooManyTargets
from beffroi.mail.aliases.models import Alias, AliasTarget, CatchAll
from beffroi.mail.domains import actions as domains
from beffroi.mail.filters import actions as filters
from beffroi.mail.filters.errors import SettingRefused
from beffroi.mail.filters.models import Forward
from beffroi.mail.gate.aliases import Aliases
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, MailRecipient

from tests.conftest import Commune
from tests.fixtures_portal import own_mailbox, shared_box
from tests.fixtures_projections import project

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("tests")


def made(
    commune: Commune, local: str, *boxes: Mailbox, actor: Actor | None = None, sends: bool = False
) -> Alias:
    return actions.create(
        actor=actor or commune.referent,
        collectivite=commune.collectivite,
        address=f"{local}@{commune.domain}",
        mailboxes=[one.id for one in boxes],
        sends=sends,
    )


def test_an_alias_is_the_referents_and_its_readers_see_it(beaune: Commune, nuits: Commune) -> None:
    box, other = own_mailbox(beaune), shared_box(beaune)
    alias = made(beaune, "Elus", box, other, sends=True)
    assert alias.address == "elus@beaune.test"
    for actor in (beaune.referent, beaune.agent, SYSTEM):
        assert [one.alias for one in queries.visible_aliases(actor)] == [alias]
    for actor in (beaune.colleague, nuits.referent, nuits.agent):
        assert queries.visible_aliases(actor) == []
        with pytest.raises(NotFound):
            queries.access_alias(actor, alias.id)
    for actor in (beaune.agent, nuits.referent):
        with pytest.raises(NotFound):
            made(beaune, "autre", box, actor=actor)
        with pytest.raises(NotFound):
            actions.add_target(actor=actor, alias=alias, mailbox_id=box.id)
        with pytest.raises(NotFound):
            actions.remove_target(actor=actor, alias=alias, mailbox_id=box.id)
        with pytest.raises(NotFound):
            actions.let_send(actor=actor, alias=alias, sends=False)
        with pytest.raises(NotFound):
            actions.end(actor=actor, alias=alias)
        with pytest.raises(NotFound):
            actions.restore(actor=actor, alias=alias)
    assert queries.senders(box) == [alias.address]
    assert queries.may_write_as(box, "elus+ecole@beaune.test")
    for address in (
        "mairie@beaune.test",
        "elus+a b@beaune.test",
        "elus+..@beaune.test",
        "",
        "a, elus@beaune.test",
    ):
        assert not queries.may_write_as(box, address)
    entry = AuditEntry.objects.filter(verb="mail:alias:created").get()
    assert (entry.object_id, entry.collectivite_id) == (alias.id, beaune.id)


def test_targets_are_open_mailboxes_of_the_same_collectivite(beaune: Commune, nuits: Commune) -> None:
    box, foreign = own_mailbox(beaune), own_mailbox(nuits)
    with pytest.raises(NotFound):
        made(beaune, "elus", box, foreign)
    with pytest.raises(NoTarget):
        made(beaune, "elus")
    assert not Alias.objects.exists()
    alias = made(beaune, "elus", box)
    with pytest.raises(NotFound):
        actions.add_target(actor=SYSTEM, alias=alias, mailbox_id=foreign.id)
    with pytest.raises(NotFound):  # an alias leads to no alias
        actions.add_target(actor=SYSTEM, alias=alias, mailbox_id=alias.id)
    with pytest.raises(NoTarget):
        actions.remove_target(actor=SYSTEM, alias=alias, mailbox_id=box.id)
    closed = shared_box(beaune)
    mail.close_mailbox(actor=SYSTEM, mailbox=closed)
    with pytest.raises(NotFound):
        actions.add_target(actor=SYSTEM, alias=alias, mailbox_id=closed.id)


@pytest.mark.parametrize("address", ["a b", "a+b", "", "x@nuits", "é" * 3])
def test_an_address_that_cannot_be_is_refused(beaune: Commune, nuits: Commune, address: str) -> None:
    box = own_mailbox(beaune)
    with pytest.raises(Invalid):
        made(beaune, address, box)


def test_an_address_of_another_collectivite_is_refused(beaune: Commune, nuits: Commune) -> None:
    with pytest.raises(Invalid):
        actions.create(
            actor=SYSTEM,
            collectivite=beaune.collectivite,
            address="x@nuits.test",
            mailboxes=[own_mailbox(beaune).id],
        )


def test_an_address_is_one_thing_for_ever(beaune: Commune) -> None:
    box, closed = own_mailbox(beaune), shared_box(beaune)
    mail.close_mailbox(actor=SYSTEM, mailbox=closed)
    alias = made(beaune, "elus", box)
    for local, what in (("agent", "mailbox"), ("mairie", "closed"), ("elus", "alias")):
        with pytest.raises(AddressTaken) as refused:
            made(beaune, local, box)
        assert refused.value.what == what
    actions.end(actor=beaune.referent, alias=alias)
    with pytest.raises(AddressTaken):
        made(beaune, "elus", box)
    with pytest.raises(Conflict):
        mail.provision_mailbox(actor=SYSTEM, collectivite=beaune.collectivite, address=alias.address)
    assert actions.restore(actor=beaune.referent, alias=alias)
    assert not actions.restore(actor=beaune.referent, alias=alias)
    assert queries.access_alias(beaune.referent, alias.id).open_ == [box]


def test_an_alias_has_fifty_mailboxes_at_most(beaune: Commune) -> None:
    boxes = [shared_box(beaune, local=f"b{n}") for n in range(actions.MAX_TARGETS + 1)]
    with pytest.raises(TooManyTargets):
        made(beaune, "trop", *boxes)
    alias = made(beaune, "tous", *boxes[:-1])
    with pytest.raises(TooManyTargets):
        actions.add_target(actor=SYSTEM, alias=alias, mailbox_id=boxes[-1].id)
    assert not actions.add_target(actor=SYSTEM, alias=alias, mailbox_id=boxes[0].id)


def test_a_forward_and_an_alias_make_no_circle(beaune: Commune, settings: Any) -> None:
    box, other = own_mailbox(beaune), shared_box(beaune)
    alias = made(beaune, "elus", box)
    detailed = alias.address.replace("@", "+detail@")
    for target in (alias.address, detailed):
        with pytest.raises(SettingRefused) as refused:
            filters.set_forward(actor=beaune.agent, mailbox=box, target=target)
        assert refused.value.why == "itself"
    Forward.objects.create(
        mailbox_id=other.id,
        collectivite_id=beaune.id,
        person_id=beaune.agent.id,
        target=alias.address,
        expires_at=clock.now() + timedelta(days=1),
    )
    for target in (alias.address, detailed):
        Forward.objects.update(target=target)
        with pytest.raises(AliasLoop):
            actions.add_target(actor=SYSTEM, alias=alias, mailbox_id=other.id)


def test_a_closed_mailbox_stays_a_target_and_the_referent_hears_of_the_last_one(beaune: Commune) -> None:
    box, other = own_mailbox(beaune), shared_box(beaune)
    alias = made(beaune, "elus", box, other)
    mail.close_mailbox(actor=SYSTEM, mailbox=box)
    found = queries.access_alias(beaune.referent, alias.id)
    assert ([one.id for one in found.open_], [one.id for one in found.closed]) == ([other.id], [box.id])
    assert queries.lost_aliases(beaune.referent) == []
    mail.close_mailbox(actor=SYSTEM, mailbox=other)
    assert [one.alias for one in queries.lost_aliases(beaune.referent)] == [alias]
    assert queries.lost_aliases(beaune.agent) == []


def test_colleagues_are_offered_aliases_to_write_to(beaune: Commune, nuits: Commune) -> None:
    made(beaune, "elus", own_mailbox(beaune))
    assert ("", "elus@beaune.test") in contacts._own_collectivite(beaune.colleague)
    assert ("", "elus@beaune.test") not in contacts._own_collectivite(nuits.agent)


def test_while_a_domain_moves_its_catch_all_rests(beaune: Commune, settings: Any) -> None:
    actions.begin_catch_all(actor=beaune.referent, domain=beaune.domain, mailbox_id=own_mailbox(beaune).id)
    domain = Domain.objects.get(name=beaune.domain)
    domains.choose(actor=SYSTEM, domain=domain, dmarc="none", sts="none", old_mx="mx.ancien.example")
    told = queries.routes()
    assert (len(told.catch_alls), told.moving) == (1, {}), "nothing leaves: nothing is handed over"
    settings.BEFFROI = replace(settings.BEFFROI, outgoing_mail=True)
    told = queries.routes()
    assert (told.catch_alls, told.moving) == ([], {beaune.domain: "mx.ancien.example"})
    domains.choose(actor=SYSTEM, domain=domain, dmarc="none", sts="none")
    assert len(queries.routes().catch_alls) == 1


def test_a_catch_all_is_for_a_time_and_for_one_domain(beaune: Commune, nuits: Commune) -> None:
    box = own_mailbox(beaune)
    for actor in (beaune.agent, nuits.referent):
        with pytest.raises(NotFound):
            actions.begin_catch_all(actor=actor, domain=beaune.domain, mailbox_id=box.id)
    for days in (0, 31):
        with pytest.raises(Invalid):
            actions.begin_catch_all(actor=beaune.referent, domain=beaune.domain, mailbox_id=box.id, days=days)
    with pytest.raises(NotFound):  # another's mailbox
        actions.begin_catch_all(actor=beaune.referent, domain=beaune.domain, mailbox_id=own_mailbox(nuits).id)
    first = actions.begin_catch_all(actor=beaune.referent, domain=beaune.domain, mailbox_id=box.id, days=1)
    row = actions.begin_catch_all(actor=beaune.referent, domain=beaune.domain, mailbox_id=box.id)
    first.refresh_from_db()
    assert first.ended_at is not None
    assert queries.catch_alls(beaune.referent) == [row]
    assert queries.catch_alls(nuits.referent) == [] == queries.catch_alls(beaune.agent)
    with pytest.raises(NotFound):
        actions.end_catch_all(actor=nuits.referent, row=row)
    CatchAll.objects.filter(pk=row.pk).update(expires_at=clock.now())
    assert queries.catch_alls(beaune.referent) == []
    assert actions.end_over() == 1 and actions.end_over() == 0


def test_what_came_through_names_addresses_that_nobody_has(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    made(beaune, "elus", box)
    row = actions.begin_catch_all(actor=beaune.referent, domain=beaune.domain, mailbox_id=box.id)
    for n, addresses in enumerate((["mairrie"], ["mairrie", "agent"], ["elus", "agence"])):
        message = MailMessage.objects.create(
            id=f"msg_{n:026}", received_at=clock.now(), message_id_hash="0" * 64, verdict="{}"
        )
        MailRecipient.objects.bulk_create(
            MailRecipient(message_id=message.id, address=f"{one}@{domain}")
            for one in addresses
            for domain in ("beaune.test", "elsewhere.test")
        )
        MailDelivery.objects.create(
            message_id=message.id, mailbox_id=box.id, collectivite_id=beaune.id, delivered_at=clock.now()
        )
    assert queries.came_through(row) == [("mairrie@beaune.test", 2), ("agence@beaune.test", 1)]


def test_the_mail_door_names_the_mailboxes_that_a_mail_goes_to(
    beaune: Commune, settings: Any, tmp_path: Path
) -> None:
    box, other = own_mailbox(beaune), shared_box(beaune)
    alias = made(beaune, "elus", box, other)
    row = actions.begin_catch_all(actor=beaune.referent, domain=beaune.domain, mailbox_id=other.id)
    settings.BEFFROI = config = load(tmp_path)
    project(config)
    path = config.state / "projections" / "routes.sqlite"
    assert Aliases(tmp_path / "no").expanded(["elus@beaune.test"]) == ["elus@beaune.test"]
    door = Aliases(path)
    for one in (box, other):
        projections.put_route(config, address=one.address)
    consumers.put()
    assert set(door.expanded(["elus@beaune.test"])) == {"elus@beaune.test", box.address, other.address}
    assert door.expanded([box.address]) == [box.address]
    assert door.expanded(["mairrie@beaune.test"]) == ["mairrie@beaune.test", other.address]
    assert door.expanded(["x@elsewhere.example"]) == ["x@elsewhere.example"]
    projections.remove_mailbox(config, mailbox_id=box.id, address=box.address)
    os.utime(path, ns=(1, 1))
    assert set(door.expanded(["elus@beaune.test"])) == {"elus@beaune.test", other.address}
    assert door.expanded([box.address]) == [box.address]  # reserved: nothing catches it
    actions.end(actor=beaune.referent, alias=alias)
    actions.end_catch_all(actor=beaune.referent, row=row)
    consumers.put()
    os.utime(path, ns=(2, 2))
    assert door.expanded(["elus@beaune.test", "mairrie@beaune.test"]) == [
        "elus@beaune.test",
        "mairrie@beaune.test",
    ]
    with sqlite3.connect(path) as routes:
        assert ("elus@beaune.test",) in routes.execute("SELECT address FROM reserved").fetchall()


def test_former_targets_are_forgotten_after_their_time_and_addresses_are_not(beaune: Commune) -> None:
    from beffroi.mail.aliases import retention

    box, other = own_mailbox(beaune), shared_box(beaune)
    alias = made(beaune, "elus", box, other)
    actions.remove_target(actor=SYSTEM, alias=alias, mailbox_id=box.id)
    actions.end(actor=SYSTEM, alias=alias)
    later = clock.now() + timedelta(seconds=1)
    assert list(retention.former_targets(later)) == list(AliasTarget.objects.filter(mailbox_id=box.id))
    retention.former_targets(later).delete()
    assert Alias.objects.filter(address="elus@beaune.test").exists()


def test_the_departement_makes_lists_and_ends_aliases_on_the_command_line(
    beaune: Commune, capsys: pytest.CaptureFixture[str]
) -> None:
    own_mailbox(beaune)
    shared_box(beaune)

    def run(*words: str) -> str:
        mail_alias._run(mail_alias._parser().parse_args(words))
        return capsys.readouterr().out

    assert run("add", "Elus@beaune.test", "agent@beaune.test") == "elus@beaune.test -> agent@beaune.test\n"
    said = run("add", "elus@beaune.test", "mairie@beaune.test", "--sends")
    assert said == "elus@beaune.test -> agent@beaune.test, mairie@beaune.test  (may be written with)\n"
    assert "refused" in run("end", "elus@beaune.test")
    assert run("list").startswith("There is no alias.")
    run("restore", "elus@beaune.test")
    mail.close_mailbox(actor=SYSTEM, mailbox=Mailbox.objects.get(address="agent@beaune.test"))
    mail.close_mailbox(actor=SYSTEM, mailbox=Mailbox.objects.get(address="mairie@beaune.test"))
    assert "NOBODY: refused  (closed: agent@beaune.test, mairie@beaune.test)" in run("list")
    for words in (
        ("end", "x@beaune.test"),
        ("add", "x@beaune.test", "y@beaune.test"),
        ("add", "x@elsewhere.example", "agent@beaune.test"),
    ):
        with pytest.raises(mail_alias.NoSuchAddress):
            run(*words)
