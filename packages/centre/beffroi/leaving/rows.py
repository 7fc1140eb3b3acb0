"""Which rows of the centre's database are destroyed with a collectivité, and which stay, each with a reason.

Rule:    a table that names a collectivité is in ``ERASED`` or in ``KEPT``; a test wants each in one of them, so a new
         table is thought about. Rows that hang on others (of an import) go with these. A message names none: it goes
         with the last copy, or recipient, of the collectivité where nobody else has it.
Process: worker.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from beffroi.core.audit.models import AuditPersonal
from beffroi.core.communes.models import Domain
from beffroi.core.identity.models import AppPassword, DeviceLink, LoginFlow, Membership, Person
from beffroi.core.retention import registry
from beffroi.leaving.models import Leaving
from beffroi.lib import clock
from beffroi.mail.models import MailDelivery, MailMessage, MailRecipient
from beffroi.mail.people.leaving import UNDO_DAYS
from beffroi.mail.retention import erase_messages

BATCH = 100
"""Rows of one transaction, with what hangs on them; on SQLite a decision waits no longer than for these, 500 of mail
took 165 ms."""

_BY_MEMBERSHIP: tuple[type[Model], ...] = (DeviceLink, LoginFlow, AppPassword)
ERASED = (
    # boîtiers: what they counted, learned and were told; the boîtier itself stays
    "box_enrolment_code", "box_flow_count", "box_refused_day", "box_relay_day", "box_relay_request",
    "box_opening_request", "box_notice", "box_policy", "box_learned_flow", "box_bypass", "box_diagnosis", "box_update",
    # people: codes and what they asked for
    "rescue_code", "activation_code", "membership_offer", "sign_in",
    # mail: traces, settings, what was set aside, imports, reports
    "mail_delivery", "mail_remediation_item", "mail_held", "mail_lesson", "mail_digest", "mail_notice",
    "mail_sender_rule", "mail_handling", "mail_note", "mail_delegated_act", "mail_delegation", "mail_departure",
    "mail_member",
    "mail_absence", "mail_filter_rule", "mail_forward", "mail_signature", "mail_common_line", "mail_script",
    "mail_import_job", "mail_moved_place", "mail_restore", "mail_sending", "mail_sending_alarm", "mail_refused_day",
    "mail_doubted", "mail_complaint", "mail_dmarc_row", "mail_dmarc_report", "mail_tls_report", "mail_source_word",
    "mail_bank_mention", "mail_bank_detail", "mail_attachment_policy", "mail_alias_target", "mail_alias",
    "mail_catch_all", "mail_mailbox_room", "mail_collectivite_room", "mail_shared_mailbox",
    # closed mailboxes: what was erased of them stands in the certificate of the whole
    "mail_export", "mail_erasure", "mail_mailbox",
    # domains: their names are free again
    "mail_domain_check", "mail_dkim_key", "mail_domain", "domain",
)  # fmt: skip
"""In the order in which they go."""

KEPT = {
    "collectivite": "its name and identifier, for what follows",
    "collectivite_code": "public; ended with it",
    "membership": "identifiers alone: the log says that one and the same person acted, and no longer who",
    "mail_commune_key": "an empty row: no new key in the place of the one that was destroyed",
    "commune_leaving": "the proof", "commune_erasure": "the proof", "commune_export": "the proof, a year",
    "audit_entry": "the audit log, for its own term, without what names people", "approval": "the proof, a year",
    "decision": "blocks that protect all go on, for their own term", "decision_effect": "with its decision",
    "watch_sighting": "why a decision was taken, for its own term", "entry_use": "30 days",
    "local_exception": "ended with its term", "appeal": "with its decision",
    "appeal_addition": "with its appeal",
    "incident": "register of breaches and evidence, for its own term", "incident_entry": "with its incident",
    "incident_task": "with its incident", "incident_evidence": "with its incident",
    "incident_file": "with its incident", "incident_encounter": "with its incident or decision",
    "box": "which machine's key is revoked", "weather_day": "numbers without a person, 400 days",
    "outbox": "of the program, 90 days", "inbox_fact": "of the program, 90 days",
}  # fmt: skip
"""Tables of which rows stay, and why; the certificate says it in its own words."""


def named() -> dict[str, type[Model]]:
    """The tables that name a collectivité."""
    return {
        one._meta.db_table: one
        for one in apps.get_models()
        if any(field.attname == "collectivite_id" for field in one._meta.concrete_fields)
    }


def left(owner: str) -> Iterator[tuple[str, QuerySet[Any]]]:
    """Table and rows that are still there, in their order."""
    models = named()
    for model in _BY_MEMBERSHIP:
        rows = model._default_manager.filter(membership__collectivite_id=owner)
        yield model._meta.db_table, rows
    # Addresses of citizens, names of files, where mails went on to. Why the Département exported or erased stays.
    named_in_log = AuditPersonal.objects.filter(entry__collectivite_id=owner)
    yield AuditPersonal._meta.db_table, named_in_log.exclude(entry__verb__startswith="communes:")
    for table in ERASED:
        yield table, models[table]._default_manager.filter(collectivite_id=owner)
        if table == "mail_delivery":
            names, (passed, before) = domains(owner), _passed(owner)
            then = MailMessage.objects.filter(received_at__lt=before)
            to_them = _under(passed, "address") & Q(message_id__in=then.values("pk"))
            yield "mail_recipient", MailRecipient.objects.filter(_under(names, "address") | to_them)
            kept = MailDelivery.objects.filter(message_id=OuterRef("pk"))
            by_them = _under(passed, "sender") & Q(received_at__lt=before)
            sent = MailMessage.objects.filter(_under(names, "sender") | by_them)
            yield "mail_message", sent.exclude(Exists(kept))


def portion(owner: str) -> tuple[type[Model], list[Any]] | None:
    """Keys of some rows of the first table that has any; None when nothing is left. Looked for outside of a
    transaction: not every table has an index for it."""
    for _table, rows in left(owner):
        if page := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
            return rows.model, page
    return None


def erase(owner: str, model: type[Model], page: list[Any]) -> dict[str, int]:
    """In the caller's transaction; how many rows of which table went, without what hung on them."""
    if model is MailMessage:
        return {MailMessage._meta.db_table: erase_messages(page)}
    messages = list(_messages(model, page))
    _all, each = model._default_manager.filter(pk__in=page).delete()
    counts = {model._meta.db_table: each.get(model._meta.label, 0)}
    if messages:
        names = domains(owner) + _passed(owner)[0]
        MailRecipient.objects.filter(_under(names, "address"), message_id__in=messages).delete()
        with_others = {
            one
            for rows in (MailDelivery, MailRecipient)
            for one in rows.objects.filter(message_id__in=messages).values_list("message_id", flat=True)
        }
        alone = sorted(
            MailMessage.objects.filter(pk__in=set(messages) - with_others).values_list("pk", flat=True)
        )
        counts[MailMessage._meta.db_table] = erase_messages(alone)
    return counts


def _messages(model: type[Model], page: list[Any]) -> Iterable[str]:
    """Of which these are copies, or recipients."""
    if model not in (MailDelivery, MailRecipient):
        return ()
    rows = model._default_manager.filter(pk__in=page)
    return set(rows.values_list("message_id", flat=True))


def _under(names: list[str], column: str) -> Q:
    """Addresses of these domains; none where there are none."""
    found = Q(pk__in=())
    for name in names:
        found |= Q(**{f"{column}__iendswith": f"@{name}"})
    return found


def domains(owner: str) -> list[str]:
    return list(Domain.objects.filter(collectivite_id=owner).order_by("name").values_list("name", flat=True))


def _passed(owner: str) -> tuple[list[str], datetime]:
    """Domains that are another collectivité's by now, and until when mail for them was this one's (UTC)."""
    row = Leaving.objects.filter(collectivite_id=owner, state=Leaving.State.LEFT).first()
    if row is None or row.left_at is None:
        return [], clock.now()
    found = (json.loads(row.undo).get("continued") or {}).get("domains", ())
    others = Domain.objects.filter(pk__in=found).exclude(collectivite_id=owner)
    return list(others.order_by("name").values_list("name", flat=True)), row.left_at


def only_there(owner: str) -> QuerySet[Person]:
    """People who are nowhere else, and have a name. Who just left another collectivité may come back there."""
    rows = Membership.objects.filter(collectivite_id=owner)
    undone_since = clock.now() - timedelta(days=UNDO_DAYS)
    elsewhere = Membership.objects.filter(Q(until=None) | Q(until__gt=undone_since)).exclude(
        collectivite_id=owner
    )
    people = Person.objects.filter(pk__in=rows.values("person_id"), erased_at=None)
    return people.exclude(pk__in=elsewhere.values("person_id"))


def held(ids: list[str]) -> set[str]:
    """Whom an incident of another collectivité concerns: their names go with their own term."""
    return registry.held("person", ids)
