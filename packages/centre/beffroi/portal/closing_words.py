"""Words for closed mailboxes: their exports, and their erasure."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy

from beffroi.mail.closing.models import Erasure, Export
from beffroi.portal import tags

EXPORTS = {
    "waiting": (gettext_lazy("Commence dans un instant"), "warn", "clock"),
    "running": (gettext_lazy("En préparation"), "warn", "clock"),
    "ready": (gettext_lazy("Prêt"), "good", "check"),
    "ended": (gettext_lazy("Fichier supprimé"), "quiet", "x"),
    "failed": (gettext_lazy("N’a pas abouti"), "bad", "triangle-alert"),
}
ERASURES = {
    "asked": (gettext_lazy("Attend l’accord du Département"), "warn", "clock"),
    "granted": (gettext_lazy("Effacement accordé"), "warn", "clock"),
    "erasing": (gettext_lazy("Effacement en cours"), "warn", "clock"),
    "done": (gettext_lazy("Effacée"), "quiet", "check"),
    "refused": (gettext_lazy("Effacement refusé"), "quiet", "x"),
    "withdrawn": (gettext_lazy("Effacement abandonné"), "quiet", "undo-2"),
}
FAILURES = {
    "disk": gettext_lazy(
        "Le disque du centre n’a plus assez de place. Prévenez le Département ; ensuite, demandez un nouvel export."
    ),
    "open": gettext_lazy("La boîte a été rouverte pendant l’export : elle n’est plus à archiver."),
    "engine": gettext_lazy(
        "Le serveur de courrier n’a pas répondu, malgré plusieurs essais. Demandez un nouvel export ; si cela se"
        " répète, prévenez le Département."
    ),
}
WAITS_FOR = {
    "": gettext_lazy("Cela commence dans un instant."),
    "incident": gettext_lazy(
        "Un dossier d’incident concerne cette boîte : rien n’est effacé avant qu’il soit clos."
    ),
    "export": gettext_lazy("Un export de cette boîte est en cours : l’effacement attend sa fin."),
    "restored": gettext_lazy(
        "La base de données du centre vient d’être remise comme à une sauvegarde : rien n’est effacé pendant un jour,"
        " le temps d’y renoncer encore."
    ),
    "engine": gettext_lazy(
        "Le serveur de courrier ne répond pas : l’effacement sera repris dès son retour. Rien n’est effacé encore."
    ),
    "backup": gettext_lazy(
        "La clé est détruite, plus personne ne peut lire cette boîte. Les fichiers partent dès que la sauvegarde en"
        " cours est finie."
    ),
}


def export(row: Export) -> dict[str, Any]:
    """What a list shows of an export."""
    return {
        "row": row,
        "state": tags.tag(EXPORTS, row.state),
        "under_way": row.state in ("waiting", "running"),
        "percent": round(100 * row.done / row.total) if row.total else 0,
        "failure": FAILURES.get(row.error, "") if row.state == "failed" else "",
        "unreadable": row.total - row.done if row.state in ("ready", "ended") else 0,
    }


def erasure(row: Erasure) -> dict[str, Any]:
    """What a page shows of an erasure."""
    return {
        "row": row,
        "state": tags.tag(ERASURES, row.state),
        "can_be_called_back": row.state in ("asked", "granted"),
        "waits": WAITS_FOR.get(row.waits_for, "") if row.waits_for or row.state == "erasing" else "",
    }
