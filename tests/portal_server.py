"""A real granian for the browser tests: ``seed`` fills an empty state directory, ``web`` and ``console`` serve it.

Run (granian --factory) with BEFFROI_STATE set to a directory of the test's own
and DJANGO_SETTINGS_MODULE to the listener's settings.
Only the mail server and the feed are absent: ``reader.open_mailbox`` shows fixed letters.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import django
from beffroi_protocol.signing import b64

PASSWORD = "correct horse battery"


def prepare(state: Path) -> None:
    """Make what the settings read before anything else."""
    for name in ("secrets", "db", "run/wake", "doors", "lists"):
        (state / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("django.key", "door.token", "live.key", "drive-grant.key", "commune-master.key"):
        (state / "secrets" / name).write_text(secrets.token_hex(32))
    (state / "secrets" / "audit.key").write_text(b64(secrets.token_bytes(32)))


def seed_all() -> None:
    django.setup()
    from beffroi.core.audit import actions as audit
    from beffroi.core.decisions import lists
    from beffroi.core.identity.actor import Actor
    from django.core.management import call_command

    from tests import fixtures_held, fixtures_reports
    from tests.fixtures_portal_seed import seed

    call_command("migrate", verbosity=0)
    found = seed(PASSWORD)
    for name, ttl_s in (
        ("phishing-names", 0),
        ("a-name-as-long-as-a-list-may-have.and-then-some-more.2026-11", 864000),
    ):
        lists.publish_list(
            actor=Actor.system("tests"),
            name=name,
            kind="domain",
            values=[f"n{number}.lure.example.net" for number in range(1200)],
            source="https://lists.example.org/names/phishing/current.txt",
            licence="CC0 1.0",
            threat="phishing" if ttl_s else "command_server",
            ttl_s=ttl_s,
        )
    source_id, update_id = seed_sources()
    more = {
        "source_id": source_id,
        "update_id": update_id,
        "approval_id": seed_retention(),
        "entry_appeal_id": seed_appeal(found.agent_email),
        **seed_by_hand(),
        "domain_id": seed_domain(),
        "referent_email": seed_referent(),
        "held_email": seed_held(),
        "collectivite_id": seed_rooms(found.agent_email),
        **fixtures_held.seed(found.agent_email),
        **seed_settings(found.agent_email),
    }
    more |= seed_closed(more["referent_email"])
    fixtures_reports.seed(more["domain_id"])
    audit.seal()
    sys.stdout.write(json.dumps({**asdict(found), **more}))


def seed_retention() -> str:
    """A purge of yesterday that deleted a session, and an erasure that another administrator asked for."""
    from datetime import timedelta

    from beffroi.core.identity import erasure
    from beffroi.core.identity.actor import Actor
    from beffroi.core.identity.models import Person
    from beffroi.core.retention import actions as retention
    from beffroi.lib import clock
    from django.contrib.sessions.models import Session

    yesterday = clock.now() - timedelta(days=1)
    Session.objects.create(session_key="over", session_data="", expire_date=yesterday)
    retention.go_on(retention.begin())
    other = Actor("administrator", "adm_other", None, "administrator")
    person = Person.objects.order_by("-email")[0]
    return erasure.request(actor=other, person=person, reason="Départ en retraite, courrier du 3 novembre").id


def seed_by_hand() -> dict[str, str]:
    """A range that another administrator asked to block, a block that ended, and entries of lists that pass."""
    from beffroi.core.decisions import by_hand, never_again, shared
    from beffroi.core.identity.actor import Actor
    from beffroi_protocol.indicators import normalise

    other = Actor("administrator", "adm_other", None, "administrator")
    shared.note("www.mairie-beaune.test", ["45.83.64.7"])
    asked, done = (
        by_hand.block(
            actor=other,
            indicator=normalise(kind, value),
            reason="malware",
            why="Appel du CSIRT Bourgogne-Franche-Comté : sert un rançongiciel depuis lundi",
            ttl_s=7 * 86400,
        )
        for kind, value in (
            ("cidr", "45.83.64.0/24"),
            ("url", f"https://drop.example.net/{'a-long-name/' * 12}x.zip"),
        )
    )
    assert asked.approval is not None and done.decision is not None
    by_hand.undo(actor=other, decision=done.decision, why="Le site est nettoyé, vu avec son hébergeur")
    for kind, value, communes in (
        ("domain", "commandes.un-fournisseur-au-nom-vraiment-long-de-mobilier-scolaire.example", 14),
        ("ip", "2a05:d018:3c1:2201:8a2e:370:7334:1", 9),
    ):
        never_again.spare(
            actor=Actor.system("tests"),
            indicator=normalise(kind, value),
            reason="entry_used",
            communes=communes,
        )
    return {"block_id": asked.approval.id, "undone_id": done.decision.id}


def seed_domain() -> str:
    """A mail domain that has its keys, and a check with something of every state."""
    from beffroi.core.communes.models import Domain
    from beffroi.core.identity.actor import Actor
    from beffroi.mail.domains import actions

    system = Actor.system("seed")
    domain = Domain.objects.get(name="beaune.test")
    actions.ensure_keys(actor=system, domain=domain)
    items = {
        "mx": ("ok", "ok|10 mx.beffroi.test."),
        "spf": ("bad", "without_us|v=spf1 include:spf.un-fournisseur-au-nom-vraiment-long.example -all"),
        "dkim:beffroi2": ("warn", "absent|"),
        "dane": ("unknown", "no_host|"),
    }
    actions.store_check(actor=system, domain=domain, items=items, scores={})
    return domain.id


def seed_referent() -> str:
    """A person who answers for a commune where what nobody opened is refused in two days."""
    from datetime import timedelta

    from beffroi.boxes import actions
    from beffroi.boxes.models import LearnedFlow
    from beffroi.core.communes.models import Collectivite
    from beffroi.core.identity import actions as identity
    from beffroi.core.identity.actor import Actor
    from beffroi.lib import clock
    from beffroi_protocol.messages import Policy

    system = Actor.system("tests")
    nuits = Collectivite.objects.get(name__startswith="Nuits")
    until = clock.now() + timedelta(days=2)
    actions.set_policy(actor=system, collectivite=nuits, policy=Policy(observe_until=int(until.timestamp())))
    LearnedFlow.objects.create(
        collectivite_id=nuits.id, direction="in", protocol="tcp", port=8443, remote="82.64.10.0/24", state="open",
        count=31, first_at=until - timedelta(days=5), last_at=clock.now(), decided_at=clock.now(),
    )  # fmt: skip
    email = "referente@nuits.test"
    person = identity.create_person(actor=system, email=email, name="Anne Petit", password=PASSWORD)
    identity.add_membership(actor=system, person=person, collectivite=nuits, role="referent")
    return email


def seed_held() -> str:
    """A person of that commune whose mailbox is held."""
    from beffroi.core.communes.models import Collectivite
    from beffroi.core.identity import actions as identity
    from beffroi.core.identity.actor import Actor
    from beffroi.mail.models import Mailbox
    from beffroi.mail.sending import actions

    system = Actor.system("tests")
    nuits = Collectivite.objects.get(name__startswith="Nuits")
    email = "etat-civil@nuits.test"
    person = identity.create_person(actor=system, email=email, name="Jean Morel", password=PASSWORD)
    identity.add_membership(actor=system, person=person, collectivite=nuits, role="agent")
    mailbox = Mailbox.objects.create(
        collectivite_id=nuits.id, address=email, crypt_key="-", person_id=person.id
    )
    actions.note_takeover(mailbox=mailbox, what="forward")
    return email


def seed_rooms(email: str) -> str:
    """Mailboxes of one commune, one of them full, and a commune that is almost so."""
    from beffroi.core.identity.models import Membership
    from beffroi.lib import clock
    from beffroi.lib.gigabytes import GB
    from beffroi.mail.models import Mailbox
    from beffroi.mail.quota.models import CollectiviteRoom, MailboxRoom
    from beffroi.mail.quota.rules import mib_of

    owner = Membership.objects.filter(person__email=email)[0].collectivite_id
    for number, (name, mib) in enumerate((("etat-civil", 4900), ("urbanisme.et.permis.de.construire", 3600))):
        made = Mailbox.objects.create(
            collectivite_id=owner, address=f"{name}@nuits-saint-georges.test", crypt_key="-"
        )
        MailboxRoom.objects.create(
            mailbox_id=made.id,
            collectivite_id=owner,
            limit_mib=None if number == 0 else mib_of(8 * GB),
            used_bytes=mib << 20,
            counted_at=clock.now(),
        )
    CollectiviteRoom.objects.create(collectivite_id=owner, limit_mib=mib_of(10 * GB))
    return owner


def seed_appeal(email: str) -> str:
    """A contested entry of a list, and flows that met it."""
    from beffroi.boxes.models import FlowCount
    from beffroi.core.decisions import appeals
    from beffroi.core.identity.actor import Actor
    from beffroi.core.identity.models import Membership
    from beffroi.lib import clock
    from beffroi_protocol.indicators import normalise

    member = Membership.objects.filter(person__email=email).first()
    assert member is not None
    now = clock.now()
    FlowCount.objects.create(
        collectivite_id=member.collectivite_id, day=now.date(), kind="domain", value="n8.lure.example.net",
        direction="name", count=1204, entry_id="phishing-names", last_at=now,
    )  # fmt: skip
    agent = Actor("person", member.person_id, member.collectivite_id, "agent")
    site = normalise("domain", "www.n8.lure.example.net")
    text = "Le catalogue de notre fournisseur de mobilier scolaire."
    return str(appeals.appeal_entry(actor=agent, indicator=site, text=text).id)


def seed_settings(email: str) -> dict[str, str]:
    """An absence, a forward to a long address and filters of the agent's mailbox; a signature."""
    from datetime import date, timedelta

    from beffroi.core.identity.actor import Actor
    from beffroi.lib import clock
    from beffroi.mail.filters import actions
    from beffroi.mail.filters.models import Forward
    from beffroi.mail.models import Mailbox

    mailbox = Mailbox.objects.get(address=email)
    agent = Actor("person", mailbox.person_id or "", mailbox.collectivite_id, "agent")
    today = clock.now().date()
    text = "Je suis absente. Pour une urgence, appelez la mairie au 03 80 00 00 00."
    last: date = today + timedelta(days=6)
    actions.set_absence(actor=agent, mailbox=mailbox, first=today, last=last, text=text, every_days=7)
    for words, act, folder in (
        ("syndicat-des-eaux-et-forets" * 4, "move", "État civil <b>"),
        ("conseil", "star", ""),
    ):
        actions.add_rule(actor=agent, mailbox=mailbox, field="from", words=words, act=act, folder=folder)
    actions.set_signature(actor=agent, mailbox=mailbox, text="Claire Perrot\nAccueil de la mairie")
    Forward.objects.create(
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        person_id=agent.id,
        target="prenom.nom@un-fournisseur-au-nom-vraiment-long-pour-une-adresse.example",
        expires_at=clock.now() + timedelta(days=80),
    )
    other = Mailbox.objects.get(address="mairie@nuits.test")
    Forward.objects.create(
        mailbox_id=other.id,
        collectivite_id=other.collectivite_id,
        person_id="per_nobody",
        target="maire@boite-personnelle.example",
        expires_at=clock.now() + timedelta(days=12),
        suspended_at=clock.now(),
    )
    return {"settings_mailbox_id": mailbox.id}


def seed_closed(email: str) -> dict[str, str]:
    """Closed mailboxes of a commune: one that is exported, one whose erasure is asked for, one that is erased."""
    from datetime import timedelta

    from beffroi.core.identity.actor import Actor
    from beffroi.core.identity.models import Membership
    from beffroi.lib import clock
    from beffroi.mail.closing import erasures
    from beffroi.mail.closing.models import Erasure, Export
    from beffroi.mail.models import Mailbox

    member = Membership.objects.get(person__email=email)
    referent, now = Actor("person", member.person_id, member.collectivite_id, "referent"), clock.now()
    made = {}
    for name, days in (("urbanisme.ancien", 3), ("michel.bernard", 60), ("mairie.ancienne.adresse", 400)):
        made[name] = Mailbox.objects.create(
            collectivite_id=member.collectivite_id, address=f"{name}@nuits-saint-georges.test", crypt_key="-",
            closed_at=now - timedelta(days=days),
        )  # fmt: skip
    new, asked, gone = made.values()
    for state, more in (
        (
            "ready",
            {
                "ends_at": now + timedelta(days=6),
                "ready_at": now,
                "done": 4120,
                "total": 4121,
                "left_out": 31,
            },
        ),
        ("failed", {"error": "disk"}),
    ):
        Export.objects.create(
            mailbox_id=new.id, collectivite_id=new.collectivite_id, asked_by=referent.id, state=state,
            sha256="4f0e" * 16, manifest_sha256="7a1b" * 16, size_bytes=1_204_881_220, **more,
        )  # fmt: skip
    Export.objects.create(
        mailbox_id=asked.id, collectivite_id=asked.collectivite_id, asked_by=referent.id, state="running",
        done=1200, total=4120, next_run_at=now + timedelta(days=1),
    )  # fmt: skip
    one = erasures.ask(actor=referent, mailbox=asked)
    done = erasures.ask(actor=referent, mailbox=gone)
    Erasure.objects.filter(pk=done.id).update(
        state="done", visa="AD21 2026-114", mails=1841, private=12, hidden=3, size_bytes=310_448_112,
        inventory_sha256="c0ff" * 16, granted_at=now, due_at=now, begun_at=now, done_at=now,
    )  # fmt: skip
    Mailbox.objects.filter(pk=gone.id).update(crypt_key="")
    return {
        "closed_new": new.id, "closed_asked": asked.id, "closed_gone": gone.id,
        "erasure_asked": one.id, "erasure_done": done.id,
    }  # fmt: skip


def seed_sources() -> tuple[str, str]:
    """A source with a held update and a history, one that fails, one that is off; nothing was fetched."""
    from datetime import timedelta

    from beffroi.lib import clock
    from beffroi.watch.sources.models import FeedSource, SourceUpdate

    now = clock.now()
    base = {"licence": "CC0 1.0", "created_by": "tests", "weight": "list", "active": True, "next_at": now}
    one = FeedSource.objects.create(
        name="Adresses d’attaque, liste communautaire au nom plutôt long",
        slug="one",
        address="https://lists.example.org/a-rather-long-path/addresses/level3/current.txt",
        format="plain",
        kinds=["ip", "cidr"],
        last_success_at=now - timedelta(hours=1),
        named=118_204,
        in_force=118_204,
        **base,
    )
    counts = {"invalid": 3, "unsupported": 0, "size_bytes": 1_803_221}
    SourceUpdate.objects.create(
        source=one, state="applied", kept=118_204, new=1204, gone=311, at=now - timedelta(hours=7), **counts
    )
    held = SourceUpdate.objects.create(
        source=one,
        state="held",
        doubts=["grew", "protected"],
        kept=412_881,
        before=118_204,
        protected=518,
        examples=[["domain", "impots.gouv.fr", "State"], ["ip", "1.1.1.1", "resolver"]],
        **counts,
    )
    FeedSource.objects.create(
        name="Flux MISP",
        slug="two",
        address="https://misp.example.org/manifest.json",
        format="misp_feed",
        last_success_at=now - timedelta(days=3),
        last_error="source.moved",
        last_error_detail="elsewhere.example",
        failures=4,
        **base,
    )
    FeedSource.objects.create(name="Liste apportée", slug="three", format="csv", **{**base, "active": False})
    return one.id, held.id


def application() -> Any:
    django.setup()
    from beffroi.boxes import actions
    from beffroi.mail import reader
    from django.core.wsgi import get_wsgi_application

    from tests.fixtures_portal_mail import letters, opener, show

    reader.open_mailbox = opener(letters)
    show(setattr)
    # A root key of the test's own: nothing here signs a feed.
    actions.pinned_root = lambda config: bytes(range(32))  # type: ignore[attr-defined]
    return get_wsgi_application()


if __name__ == "__main__":
    seed_all()
