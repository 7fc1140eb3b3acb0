"""Words for a collectivité that leaves, and for the erasure of all of it."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.core.communes.models import Collectivite
from beffroi.leaving import applying, continuing, erasing, erasures, queries
from beffroi.leaving.models import CommuneErasure, Leaving
from beffroi.mail.closing.models import Erasure
from beffroi.mail.models import Mailbox
from beffroi.portal import closing_words, tags
from beffroi.portal.counts import Count

ERASURES = closing_words.ERASURES | {"done": (gettext_lazy("Tout est effacé"), "good", "circle-check")}
WAITS_FOR = {
    "leaving": gettext_lazy("Il commence quand les accès de la collectivité ont pris fin."),
    "incident": gettext_lazy("Un dossier d’incident est ouvert : rien n’est effacé avant qu’il soit clos."),
    "export": gettext_lazy("Un export de la collectivité est en cours : l’effacement attend sa fin."),
    "restored": closing_words.WAITS_FOR["restored"],
    "mailboxes": gettext_lazy("Les boîtes partent l’une après l’autre."),
    "backup": gettext_lazy(
        "La clé est détruite ; sa copie de secours part dès que la sauvegarde en cours est finie."
    ),
    "fault": gettext_lazy(
        "Une étape n’a pas abouti : elle est reprise chaque minute. Si cela dure, voyez l’état du centre."
    ),
    "registrar": gettext_lazy(
        "Le programme qui garde les clés des fournisseurs de noms de domaine ne répond pas : voyez l’état du centre."
    ),
}
STAGES = (
    ("mailboxes", gettext_lazy("Boîtes aux lettres : clé détruite, puis fichiers")),
    ("drive", gettext_lazy("Coffre, agendas, contacts, et leurs sauvegardes")),
    ("rows", gettext_lazy("Réglages, traces, reprises, domaines, boîtier")),
    ("persons", gettext_lazy("Noms et adresses des personnes")),
    ("keys", gettext_lazy("Clé de la collectivité")),
)
REMAINS = (
    (
        gettext_lazy("Le journal, les accords et cette attestation"),
        gettext_lazy(
            "ils prouvent ce qui a été fait, et par qui ; les personnes effacées n’y ont plus de nom"
        ),
    ),
    (
        gettext_lazy("Les blocages nés des signalements de la collectivité"),
        gettext_lazy("ils protègent toutes les autres ; ils finissent à leur terme"),
    ),
    (
        gettext_lazy("Les dossiers d’incident clos"),
        gettext_lazy("registre des violations et preuves, six ans après la clôture"),
    ),
    (
        gettext_lazy("Traces de courriels échangés avec d’autres, nombres par jour, événements du programme"),
        gettext_lazy("communs à plusieurs collectivités ; ils s’effacent à leur terme, un an environ"),
    ),
    (
        gettext_lazy("Copies de sauvegarde"),
        gettext_lazy("les clés qui les ouvraient n’existent plus ; elles s’effacent à leur terme"),
    ),
)


def leaving(row: Leaving) -> dict[str, Any]:
    """What a page shows of a departure."""
    left = row.state == Leaving.State.LEFT
    return {
        "row": row,
        "left": left,
        "ending": left and row.applied_at is None,
        "undo_until": applying.undo_until(row) if left and row.applied_at else None,
        "erase_by": queries.erase_by(row),
        "late": left and queries.erase_by(row) < queries.today(),
    }


def continued_by(row: Leaving) -> str:
    """The name of the collectivité that gets its mail; "" where nobody was named."""
    found = continuing.continued(row)
    return Collectivite.objects.get(pk=found["by"]).name if found else ""


def continued(row: Leaving) -> dict[str, Any] | None:
    """Who continues it, and where mail for its addresses goes; None where nobody was named."""
    found = continuing.continued(row)
    if found is None:
        return None
    receiver = Mailbox.objects.filter(pk=found["mailbox_id"]).first()
    leads = list(continuing.addresses(row))
    return {
        "by": continued_by(row),
        "receiver": receiver.address if receiver else "",
        "closed": receiver is None or receiver.closed_at is not None,
        "reason": found["reason"],
        "passed": "domains" in found,
        "leads": [(address, [one.address for one in boxes]) for address, boxes in leads if boxes],
        "refused": [address for address, boxes in leads if not boxes],
    }


def erasure(row: CommuneErasure) -> dict[str, Any]:
    """What a page shows of an erasure."""
    return {
        "row": row,
        "state": tags.tag(ERASURES, row.state),
        "can_be_called_back": row.state in ("asked", "granted"),
        "waits": [WAITS_FOR[row.waits_for], *_of_mailboxes(row)] if row.waits_for in WAITS_FOR else [],
        "stages": _stages(row) if row.state == "erasing" else (),
        "call_back_h": erasures.CALL_BACK_H,
    }


def _of_mailboxes(row: CommuneErasure) -> list[Any]:
    """For what some of them wait."""
    if row.waits_for != "mailboxes":
        return []
    waiting = Erasure.objects.filter(approval_id=row.approval_id).exclude(waits_for="")
    found = waiting.order_by("waits_for").values_list("waits_for", flat=True).distinct()
    return [closing_words.WAITS_FOR[one] for one in found if one in closing_words.WAITS_FOR]


def _stages(row: CommuneErasure) -> list[dict[str, Any]]:
    names = [name for name, _said in STAGES]
    now = names.index(row.stage)
    left = erasing.mailboxes_left(row) if row.stage == "mailboxes" else 0
    return [
        {
            "said": said,
            "state": "done" if at < now else "now" if at == now else "next",
            "note": _("encore %(n)s") % {"n": Count(left)} if at == now and left else "",
        }
        for at, (_name, said) in enumerate(STAGES)
    ]
