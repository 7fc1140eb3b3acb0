"""What the worker does when the database was restored: the engines learn anew what is true, sources are asked anew."""

from __future__ import annotations

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import Event
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import actions as identity
from beffroi.core.identity.models import AppPassword
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import projections
from beffroi.mail.backup import consumers
from beffroi.mail.backup.database.tables import KEYS, RESTORED
from beffroi.mail.key_pairs import KeyPair
from beffroi.mail.models import Mailbox
from beffroi.watch.sources.consumers import fetch_anew
from beffroi.watch.sources.models import FeedSource
from django.apps import apps
from django.db import models

from tests.conftest import Commune
from tests.fixtures_portal import own_mailbox

pytest_plugins = ["tests.fixtures_projections"]
pytestmark = pytest.mark.usefixtures("database")
TOLD = {"as_of_s": 1764000000, "snapshot": "0a1b2c3d", "is_undone": False}
PAIR = KeyPair("private", "public")
NO_KEYS = {
    ("account_emailconfirmation", "key"),
    ("person", "password"),
    ("administrator", "password"),
    ("mail_moved_place", "key"),
}
"""Columns with such a name that nobody wrapped."""


def event() -> Event:
    return Event(1, RESTORED, None, TOLD, clock.now())


def test_the_engines_know_what_the_database_knows(engines: Config, beaune: Commune) -> None:
    box = own_mailbox(beaune)
    closed = Mailbox.objects.create(
        collectivite_id=beaune.id, address="parti@x.test", crypt_key="-", closed_at=clock.now()
    ).id
    for mailbox_id, address in (
        (box.id, box.address),
        ("mbx_since", "depuis@x.test"),
        ("mbx_probe", engines.probe_address),
        ("mbx_job", f"mbx_job{projections.CLOSED_NAME}"),
    ):
        projections.put_mailbox_auth(engines, mailbox_id=mailbox_id, address=address, pair=PAIR)
    projections.put_route(engines, address="depuis@x.test")
    made = identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap", label="x"
    ).record
    passwords_of = {
        one: projections.Opens([box.address], one.ljust(64, "0"), ["imap"]) for one in (made.id, "apw_since")
    }
    projections.put_app_passwords(engines, passwords_of, lambda ids: passwords_of)
    before = OutboxEvent.objects.order_by("-id").first()
    consumers.project_all(event())
    mailboxes, passwords = projections.known(engines)
    assert mailboxes.keys() == {box.id, "mbx_probe", "mbx_job"} and passwords == [made.id]
    assert not projections.has_route(engines, address="depuis@x.test")
    new = OutboxEvent.objects.filter(id__gt=before.id if before else 0).values_list("kind", "payload")
    assert sorted(new) == [
        ("mail:mailbox_closed", f'{{"mailbox_id":"{closed}"}}'),
        ("mail:mailbox_created", f'{{"mailbox_id":"{box.id}"}}'),
    ]
    AppPassword.objects.update(revoked_at=clock.now())
    consumers.project_all(event())
    assert projections.known(engines)[1] == []


def test_it_is_written_down_once_and_sources_are_fetched_anew() -> None:
    source = FeedSource.objects.create(
        name="x", slug="x", etag="abc", last_modified="yesterday", asked="ask_1"
    )
    consumers.record(event())
    fetch_anew(event())
    entry = AuditEntry.objects.get(verb="database:restored")
    assert (entry.object_id, entry.collectivite_id) == ("0a1b2c3d", None)
    source.refresh_from_db()
    assert (source.etag, source.last_modified, source.asked) == ("", "", "")


def test_every_column_with_a_wrapped_key_is_left_out_of_backups() -> None:
    """A new column of such a name is decided about here: a key that destroys something must lie in no snapshot."""
    known = {(one.table, column) for one in KEYS for column in one.columns}
    texts = {
        (model._meta.db_table, field.column)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.CharField | models.TextField)
        and field.column in ("wrapped", "crypt_key", "password", "key", "private_key")
    }
    assert texts - NO_KEYS == known
