"""What the centre's database holds of a collectivité: each table that names it, as a JSON list.

Rule:    a table is in by its column ``collectivite_id``, by ``BY_OTHERS``, or out by ``LEFT_OUT`` with a reason; a test
         wants each in one of them, so a new table is thought about. What opens something (passwords, keys, hashes of
         codes) is in no list: ``SECRET``.
Privacy: rows of this collectivité alone. They name people of others by identifiers only.
Process: a person's command.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

from django.apps import apps
from django.db.models import Model, QuerySet

from beffroi.core.audit.models import AuditEntry, AuditPersonal
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.models import AppPassword, DeviceLink, Membership, Person
from beffroi.mail import privacy
from beffroi.mail.domains import queries as domains
from beffroi.mail.domains import zone
from beffroi.mail.importing.models import ImportFailure, ImportFolder, ImportJob
from beffroi.portal.commune_export.about import Work

FOLDER, ZONES = "donnees", "domaines"
PAGE = 500
_OFFER_REFUSED = "identity:offer:refused"
"""The collectivité that asks never learns of it."""

SECRET = {
    "person": {"password", "totp_last_step", "sessions_from", "last_login"},
    "app_password": {"sha256"},
    "device_link": {"sha256"},
    "rescue_code": {"sha256"},
    "activation_code": {"sha256"},
    "membership_offer": {"refused_at", "ended_at"},
    "mail_mailbox": {"crypt_key"},
    "mail_dkim_key": {"wrapped"},
    "mail_import_job": {"password"},
    "mail_export": {"key"},
    "mail_restore": {"folder", "search"},
}
"""Table -> columns that open something, or that this collectivité is not to learn."""

FOLDERS = {"mail_filter_rule": ("folder",), "mail_import_folder": ("name", "target")}
"""Table -> columns with names of folders of mail: a row about one that is personal is its owner's alone."""


ADDRESSES = {"person": "email"}
"""Table -> an address that may be of another collectivité by now, where who left works: it is that one's."""


def _persons(owner: str) -> QuerySet[Person]:
    return Person.objects.filter(pk__in=Membership.objects.filter(collectivite_id=owner).values("person_id"))


BY_OTHERS: dict[type[Model], Callable[[str], QuerySet[Any]]] = {
    Collectivite: lambda owner: Collectivite.objects.filter(pk=owner),
    Person: _persons,
    AppPassword: lambda owner: AppPassword.objects.filter(membership__collectivite_id=owner),
    DeviceLink: lambda owner: DeviceLink.objects.filter(membership__collectivite_id=owner),
    Decision: lambda owner: Decision.objects.filter(scope=owner),
    ImportFolder: lambda owner: ImportFolder.objects.filter(job__in=_imports(owner)),
    ImportFailure: lambda owner: ImportFailure.objects.filter(folder__job__in=_imports(owner)),
}


def _imports(owner: str) -> QuerySet[ImportJob]:
    return ImportJob.objects.filter(collectivite_id=owner)


LEFT_OUT = {
    # of Django and allauth
    "auth_permission": "not used", "auth_group": "not used", "django_content_type": "of the program",
    "django_session": "open sessions", "account_emailaddress": "the address is the person's",
    "account_emailconfirmation": "secrets", "mfa_authenticator": "secrets",
    # secrets, and what stands for minutes
    "login_flow": "secrets, for twenty minutes", "box_enrolment_code": "a secret", "mail_commune_key": "a key",
    # of the Département, or of all communes together
    "administrator": "the Département's", "audit_personal": "with its entry", "audit_seal": "the chain of all",
    "audit_checkpoint": "the chain of all", "outbox": "of the program", "outbox_cursor": "of the program",
    "outbox_parked": "of the program", "inbox_fact": "of the program, counted in other tables",
    "decision_clock": "of the program", "never_again": "of all", "indicator_list": "of all", "list_growth": "of all",
    "shared_address": "of all", "feed_batch": "of all", "feed_channel": "of all", "publish_cursor": "of the program",
    "retention_run": "of all", "retention_count": "of all",
    # who writes to whom, personal mail included: kept for security alone; the professional mails themselves are there
    "mail_message": "traces", "mail_observation": "traces", "mail_recipient": "traces", "mail_delivery": "traces",
    "mail_remediation_item": "traces", "mail_held": "traces", "mail_lesson": "traces", "mail_bank_mention": "traces",
    "mail_bank_detail": "traces", "mail_import_sender": "traces", "sign_in": "traces, for 30 days",
    "mail_digest": "of the program", "mail_notice": "of the program", "mail_import_mails": "numbers in mailboxes",
    "mail_script": "its owner's, whose program has it",
    "decision_effect": "of the program, in weather_day", "entry_use": "of the program",
    "mail_journal_position": "of the program", "mail_pending_delivery": "of the program, for days",
    "mail_remediation_job": "of all", "mail_text": "of all", "mail_text_band": "of all",
    "mail_report_refusal": "of all", "mail_probe_run": "of the Département", "mail_partner_tls": "of all",
    "mail_chosen_partner": "of all", "mail_address_listing": "of the Département",
    "mail_warming": "of the Département", "mail_lane_day": "of all", "mail_answered_slot": "of a day",
    "mail_address_name": "of the Département", "watch_campaign": "of all", "watch_campaign_indicator": "of all",
    "feed_source": "of the Département", "feed_source_update": "of the Département",
    "feed_source_trial": "of the Département", "box_told": "of the program", "box_ack": "of the program",
    "box_run": "of the program", "box_release": "of all",
}  # fmt: skip
"""Tables that are in no export, and why."""


def write(work: Work) -> None:
    """Errors: DiskFull, FolderUnusable."""
    for model in tables():
        name = model._meta.db_table
        count = work.write_list(f"table:{name}", FOLDER, f"{name}.json", _listed(model, work.owner.id))
        work.count("lignes", count)
    work.count("journal", work.write_list("table:audit", FOLDER, "journal.json", _journal(work.owner.id)))
    for domain in Domain.objects.filter(collectivite_id=work.owner.id).order_by("name"):
        with work.folder.file(f"zone:{domain.id}", ZONES, f"{domain.name}.zone") as out:
            out.write(zone.zone_file(domain.name, domains.plan(domain)).encode())
    work.folder.forget("table:")
    work.folder.forget("zone:")


def tables() -> list[type[Model]]:
    """Those of which rows are exported, but for the audit log, by name."""
    found = [one for one in apps.get_models() if _owner_column(one) or one in BY_OTHERS]
    kept = (one for one in found if one is not AuditEntry and one._meta.db_table not in LEFT_OUT)
    return sorted(kept, key=lambda one: one._meta.db_table)


def _owner_column(model: type[Model]) -> bool:
    return any(one.attname == "collectivite_id" for one in model._meta.concrete_fields)


def columns(model: type[Model]) -> list[str]:
    secret = SECRET.get(model._meta.db_table, set())
    return [one.attname for one in model._meta.concrete_fields if one.attname not in secret]


def _listed(model: type[Model], owner: str) -> Iterator[dict[str, Any]]:
    """By primary key, in pages: on PostgreSQL nothing stays open meanwhile."""
    own = BY_OTHERS.get(model)
    rows = own(owner) if own else model._default_manager.filter(collectivite_id=owner)
    names, table = columns(model), model._meta.db_table
    address = ADDRESSES.get(table, "")
    foreign = (
        set(Domain.objects.exclude(collectivite_id=owner).values_list("name", flat=True)) if address else ()
    )
    rows, after = rows.order_by("pk"), None
    while page := list((rows if after is None else rows.filter(pk__gt=after))[:PAGE].values(*names, "pk")):
        for row in page:
            if any(privacy.is_private_folder(str(row[one] or "")) for one in FOLDERS.get(table, ())):
                continue
            if address and row[address].rpartition("@")[2] in foreign:
                row[address] = ""
            yield {name: plain(row[name]) for name in names}
        after = page[-1]["pk"]


def _journal(owner: str) -> Iterator[dict[str, Any]]:
    """Entries of the audit log about this collectivité, with what names people in them where it was not erased."""
    rows = AuditEntry.objects.filter(collectivite_id=owner).exclude(verb=_OFFER_REFUSED)
    after = 0
    while page := list(rows.filter(pk__gt=after).order_by("pk")[:PAGE]):
        named = AuditPersonal.objects.filter(entry__in=page)
        names = {one.pk: json.loads(one.content) for one in named}
        for one in page:
            yield {
                "id": one.id,
                "at": plain(one.at),
                "actor_kind": one.actor_kind,
                "actor_id": one.actor_id,
                "verb": one.verb,
                "object_id": one.object_id,
                "details": json.loads(one.details),
                "names": names.get(one.pk, {}),
            }
        after = page[-1].pk


def plain(value: object) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime | date) else value
