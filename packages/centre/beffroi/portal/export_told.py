"""Référents and élus of a collectivité hear by mail that all of it is being exported, and how that ended.

Process: worker. Composes a mail with the portal's words and addresses.
"""

from __future__ import annotations

from beffroi.core.communes.models import Collectivite, CommuneExport
from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.portal.letters import letter, mailboxes_of_those_who_answer, page

ABOUT = "export"
_SUBJECTS = {
    "running": "Le Département exporte tout ce qui est à la commune",
    "done": "L’export de la commune est terminé",
    "stopped": "L’export de la commune est arrêté",
}


def ask(export_id: str) -> None:
    """Of its state now."""
    export = CommuneExport.objects.filter(pk=export_id).first()
    if export is not None:
        told = mailboxes_of_those_who_answer(export.collectivite_id)
        notices.ask(ABOUT, f"{export.id}:{export.state}", told)


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    """Nothing that is not true any more."""
    export_id, _, state = notice.ref.partition(":")
    export = CommuneExport.objects.filter(pk=export_id, state=state).first()
    if export is None:
        return None
    subject = _SUBJECTS[export.state]
    context = {
        "commune": Collectivite.objects.get(pk=export.collectivite_id).name,
        "export": export,
        "page": page("commune_export", export.id),
    }
    return letter(subject, "commune_export", context)
