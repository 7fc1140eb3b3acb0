"""Coffre: the collectivité's référent reads that all of it is to be erased, as long as it can be called back.

Access: the référent, of their own collectivité. Who asks, grants and calls back is the Département, on the console.
"""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from beffroi.core.identity.actor import Actor
from beffroi.drive import erasures
from beffroi.drive.store.keys import is_erased
from beffroi.portal import words


def told(actor: Actor) -> list[dict[str, str]]:
    """(title, why) for the top of the home and of the Coffre's lists: none, or what is asked for or granted."""
    owner = actor.leads
    if owner is None or is_erased(settings.BEFFROI.state / "drive" / owner):
        return []
    if (granted := erasures.granted(owner)) is not None:
        title = _("Tout le Coffre sera effacé %(when)s, au plus tôt") % {
            "when": words.since(erasures.due_at(granted))
        }
        why = _(
            "Deux administrateurs du Département l’ont décidé. Les clés seront détruites, sans retour : plus personne "
            "n’ouvrira les fichiers, les versions, la corbeille, les agendas, les contacts, ni leurs sauvegardes. "
            "D’ici là, téléchargez ce que la commune doit garder. Ce n’est pas voulu ? Appelez le Département tout de "
            "suite : il peut encore y renoncer."
        )
    elif erasures.waiting(owner).exists():
        title = _("L’effacement de tout le Coffre est demandé")
        why = _(
            "Rien n’est effacé : un second administrateur du Département doit l’accorder, puis un jour de délai court. "
            "Ce n’est pas voulu ? Appelez le Département."
        )
    else:
        return []
    return [{"title": title, "why": why}]
