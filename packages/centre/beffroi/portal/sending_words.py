"""Why an account was noticed or held, in plain words."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from beffroi.mail.sending.models import SendingAlarm
from beffroi.portal.counts import Count


def why(alarm: SendingAlarm) -> str:
    """One clause, without a capital letter or a stop."""
    said = {
        "hour_messages": _("plus de %(n)s courriels en une heure"),
        "day_messages": _("plus de %(n)s courriels en un jour"),
        "hour_recipients": _("plus de %(n)s destinataires en une heure"),
        "day_recipients": _("plus de %(n)s destinataires en un jour"),
        "complaints": ngettext(
            "%(n)s plainte de destinataire en une semaine",
            "%(n)s plaintes de destinataires en une semaine",
            alarm.most,
        ),
        "relay_recipients": _(
            "le relais des copieurs a voulu écrire à qui ses réglages n’admettent pas :"
            " le boîtier est-il bien à sa place ?"
        ),
        "relay_rate": _("le relais des copieurs envoie plus que ses réglages : %(n)s courriels en une heure"),
        "unknown": ngettext(
            "%(n)s destinataire inconnu de son serveur en une heure : une liste d’adresses volée ou inventée ?",
            "%(n)s destinataires inconnus de leur serveur en une heure : une liste d’adresses volée ou inventée ?",
            alarm.most,
        ),
        "takeover": _("nouveau renvoi, filtre ou script, après une connexion depuis un réseau jamais vu"),
    }
    return said[alarm.limit] % {"n": Count(alarm.most)}
