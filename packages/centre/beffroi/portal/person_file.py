"""All that the centre holds about one person, for themselves (GDPR articles 15 and 20), composed from all services.

Process: a person's command line on the centre.
Privacy: of others it holds identifiers only, but what was written in incidents that concern the person is whole:
         read it before it is handed over. Not in it: the mail itself (the commune's archive, in the mailbox), their
         files (they download them; what is shared of them is named) and who changed which when, which the drive
         shows, calendars and contacts (a program of theirs copies them over CalDAV), hashes of passwords, secrets of
         second factors, and reports of others about the same mails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.db.models import Model, Q, QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions.models import Appeal, AppealAddition, LocalException
from beffroi.core.identity import device_links
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import (
    ActivationCode,
    AppPassword,
    DeviceLink,
    LoginFlow,
    Membership,
    MembershipOffer,
    Person,
    RescueCode,
    SignIn,
)
from beffroi.drive import own_rows
from beffroi.incidents.models import Incident, IncidentEntry
from beffroi.lib import clock
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.backup.models import Restore
from beffroi.mail.filters.models import Absence, FilterRule, Forward, Signature
from beffroi.mail.held.models import HeldMail, Lesson, SenderRule
from beffroi.mail.importing.models import ImportFailure, ImportJob, ImportSender, MovedPlace
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, RemediationItem, Sending
from beffroi.mail.people.models import DelegatedAct, Delegation, Departure, Handling, Member, Note
from beffroi.mail.reports.models import Complaint
from beffroi.mail.scripts.models import PersonalScript
from beffroi.mail.sending.models import Doubted, RefusedDay, SendingAlarm
from beffroi.watch.models import Sighting

FORM = 1
SYSTEM = Actor.system("person-export")
type _Parts = dict[str, list[dict[str, Any]]]
_ABOUT_THEMSELVES = {
    "mail:forward:set",
    "mail:import:begun",
    "identity:erasure:asked",
    device_links.USED,
}
"""Lines of the audit log whose erasable side names who did it, or whom it is about, and nobody else."""


def compose(email: str, *, account: str) -> dict[str, Any] | None:
    """Return the file's content, None where nobody has this address; the audit log says that it was taken.

    ``account``: of the machine, who asks; it stands on the erasable side of the log.
    """
    person = Person.objects.filter(email=email.strip().lower()).first()
    if person is None:
        return None
    own = person.pk
    mailboxes = Mailbox.objects.filter(person_id=own)
    content = {
        "form": FORM,
        "made_at": clock.now().isoformat(),
        "person": _row(person, "id email name is_active created_at last_login password_given_at"),
        **_account(person),
        **_immunity(own),
        **_mail(own, mailboxes),
        **_drive(own),
        "mail_traces": _traces(list(mailboxes.values_list("pk", flat=True))),
        "journal": [
            {
                "at": _plain(one.at),
                "verb": one.verb,
                "object_id": one.object_id,
                "collectivite_id": one.collectivite_id,
                "details": json.loads(one.details),
                "names": audit.personal_of(one)
                if one.object_id == own or one.verb in _ABOUT_THEMSELVES
                else {},
            }
            for one in AuditEntry.objects.filter(
                Q(actor_id=own) | Q(object_id=own) | Q(details__contains=own)
            ).order_by("id")
        ],
    }
    with transaction.atomic():
        audit.record(
            SYSTEM, "identity:person:exported", own, collectivite_id=None, personal={"account": account}
        )
    return content


def _account(person: Person) -> _Parts:
    return {
        "memberships": _rows(Membership.objects.filter(person=person), "collectivite_id role since until"),
        "second_factors": [
            {"type": one.type, "created_at": _plain(one.created_at), "last_used_at": _plain(one.last_used_at)}
            for one in Authenticator.objects.filter(user=person)
        ],
        "app_passwords": _rows(
            AppPassword.objects.filter(membership__person=person),
            "label protocol_set created_at last_used_at revoked_at",
        ),
        "device_links": _rows(
            DeviceLink.objects.filter(membership__person=person),
            "kind label created_at expires_at used_at ended_at",
        ),
        "login_flows": _rows(
            LoginFlow.objects.filter(membership__person=person),
            "program created_at expires_at granted_at used_at ended_at",
        ),
        "rescue_codes": _rows(
            RescueCode.objects.filter(person=person),
            "made_by created_at expires_at used_at ended_at",
        ),
        "activation_codes": _rows(
            ActivationCode.objects.filter(person=person),
            "made_by created_at expires_at used_at ended_at",
        ),
        "membership_offers": _rows(
            MembershipOffer.objects.filter(email=person.email),
            "collectivite_id role made_by created_at expires_at accepted_at refused_at ended_at",
        ),
        "sign_ins": _rows(
            SignIn.objects.filter(person_id=person.pk),
            "collectivite_id door address day count first_at last_at",
        ),
    }  # fmt: skip


def _immunity(own: str) -> _Parts:
    incidents = Incident.objects.filter(person_id=own)
    return {
        "reports": _rows(
            Sighting.objects.filter(person_id=own),
            "id collectivite_id detector door message seen_at received_at indicators",
        ),
        "exceptions": _rows(
            LocalException.objects.filter(created_by=own),
            "collectivite_id kind value reason created_at expires_at ended_at",
        ),
        "appeals": _rows(
            Appeal.objects.filter(created_by=own),
            "collectivite_id decision_id text state created_at answered_at answer",
        ),
        "appeal_additions": _rows(
            AppealAddition.objects.filter(created_by=own),
            "collectivite_id appeal_id text created_at",
        ),
        "incidents": _rows(incidents, "id collectivite_id kind severity state occurred_at opened_at closed_at"),
        "incident_entries": _rows(
            IncidentEntry.objects.filter(Q(incident__in=incidents) | Q(actor_id=own)),
            "incident_id at actor_kind actor_id code data text",
        ),
    }  # fmt: skip


def _mail(own: str, mailboxes: QuerySet[Mailbox]) -> _Parts:
    in_own = Q(mailbox_id__in=mailboxes.values("pk"))
    imports = ImportJob.objects.filter(in_own)
    lent = Delegation.objects.filter(Q(owner_id=own) | Q(person_id=own))
    return {
        "mailboxes": _rows(mailboxes, "id collectivite_id address created_at closed_at"),
        "functional_mailboxes": _rows(
            Member.objects.filter(person_id=own),
            "mailbox_id collectivite_id since ended_at",
        ),
        "aliases": [
            {"address": one.alias.address, "mailboxes": [box.id for box in one.open_], "sends": one.alias.sends}
            for one in aliases.leading_to(list(mailboxes))
        ],
        "mail_notes": _rows(Note.objects.filter(person_id=own), "mailbox_id message_key text created_at removed_at"),
        "mail_handlings": _rows(Handling.objects.filter(assigned_to=own), "mailbox_id message_key changed_at"),
        "departures": _rows(Departure.objects.filter(person_id=own), "collectivite_id state created_at confirmed_at"),
        "delegations": _rows(
            Delegation.objects.filter(Q(owner_id=own) | Q(person_id=own) | Q(by=own)),
            "mailbox_id owner_id person_id by right begins_at ends_at reason ended_at",
        ),
        "delegated_acts": _rows(
            DelegatedAct.objects.filter(delegation_id__in=lent.values("pk")), "delegation_id day what message_key"
        ),
        "mail_restores": _rows(
            Restore.objects.filter(Q(asked_by=own) | in_own),
            "mailbox_id asked_by by_owner at folder search message_id into state reason as_of found present left_out"
            " created_at changed_at",
        ),
        "sender_rules": _rows(
            SenderRule.objects.filter(created_by=own),
            "mailbox_id address verdict created_at ended_at",
        ),
        "absences": _rows(
            Absence.objects.filter(person_id=own),
            "mailbox_id begins_at ends_at text created_at ended_at",
        ),
        "filters": _rows(
            FilterRule.objects.filter(in_own),
            "mailbox_id position field words act folder is_on created_at",
        ),
        "forwards": _rows(
            Forward.objects.filter(person_id=own),
            "mailbox_id target keeps_copy created_at expires_at suspended_at ended_at",
        ),
        "scripts": _rows(PersonalScript.objects.filter(person_id=own), "mailbox_id name text is_active changed_at"),
        "signatures": _rows(Signature.objects.filter(person_id=own), "mailbox_id text changed_at"),
        "held_mails": _rows(HeldMail.objects.filter(in_own), "message_id reason state held_at seen_at changed_at"),
        "imports": _rows(
            ImportJob.objects.filter(Q(asked_by=own) | in_own),
            "id mailbox_id asked_by host username state created_at collect_until done_at",
        ),
        "import_failures": [
            {"import_id": one.folder.job_id, "folder": one.folder.name}
            | _row(one, "reason size_bytes received_at")
            for one in ImportFailure.objects.filter(folder__job__in=imports).select_related("folder")
        ],
        "import_senders": _rows(ImportSender.objects.filter(job__in=imports), "job_id address mails last_at"),
        "moved_places": _rows(MovedPlace.objects.filter(in_own), "mailbox_id key done_at"),
        "sendings": _rows(
            Sending.objects.filter(person_id=own),
            "mailbox_id state reason refused created_at changed_at",
        ),
        "sending_alarms": _rows(
            SendingAlarm.objects.filter(Q(person_id=own) | in_own),
            "mailbox_id limit most refused began_at contained_at closed_at",
        ),
        "complaints": _rows(Complaint.objects.filter(in_own), "mailbox_id kind reporter received_at"),
        "doubted": _rows(Doubted.objects.filter(in_own), "mailbox_id reasons since_at ended_at"),
        "refused_days": _rows(RefusedDay.objects.filter(in_own), "mailbox_id day count"),
        "withdrawn_mails": _rows(RemediationItem.objects.filter(in_own), "mailbox_id message_id state"),
        "lessons": _rows(Lesson.objects.filter(person_id=own), "mailbox_id message_id wanted state queued_at"),
    }  # fmt: skip


def _drive(person_id: str) -> _Parts:
    """Shares, links and groups of each collectivité where the person is or was, and what the journal says of groups.

    Errors: Unavailable: a file without them would not be whole.
    """
    found: _Parts = {name: [] for name in own_rows.PARTS}
    memberships = Membership.objects.filter(person_id=person_id)
    now = {(one.collectivite_id, one.role) for one in identity.current_memberships(person_id)}
    for collectivite_id in sorted(set(memberships.values_list("collectivite_id", flat=True))):
        rows = own_rows.of_person(
            settings.BEFFROI,
            collectivite_id=collectivite_id,
            person_id=person_id,
            roles=[role for owner, role in now if owner == collectivite_id],
        )
        for name, several in rows.items():
            found[name] += several
    lines = AuditEntry.objects.filter(
        verb__in=("drive:group:added", "drive:group:removed"), details__contains=person_id
    )
    found["drive_group_history"] = [
        {
            "at": _plain(one.at),
            "collectivite_id": one.collectivite_id,
            "group_id": one.object_id,
            "what": one.verb.removeprefix("drive:group:"),
        }
        for one in lines.order_by("id")
    ]
    return found


def _traces(mailboxes: list[str]) -> list[dict[str, Any]]:
    """What is kept of each message that was delivered to the person's own mailboxes."""
    deliveries = MailDelivery.objects.filter(mailbox_id__in=mailboxes).order_by("delivered_at")
    known = MailMessage.objects.in_bulk(list(deliveries.values_list("message_id", flat=True)))
    return [
        _row(one, "message_id mailbox_id folder delivered_at")
        | (_row(known[one.message_id], "received_at sender client_ip") if one.message_id in known else {})
        for one in deliveries
    ]


def _rows(rows: Iterable[Model], names: str) -> list[dict[str, Any]]:
    """``names``: of fields, between spaces."""
    return [_row(one, names) for one in rows]


def _row(one: Model, names: str) -> dict[str, Any]:
    return {name: _plain(getattr(one, name)) for name in names.split()}


def _plain(value: object) -> Any:
    return value.isoformat() if isinstance(value, datetime | date) else value
