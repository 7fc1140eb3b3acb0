"""Plain French for what can go wrong when a mail is written or sent: what it is, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from beffroi.lib.errors import BeffroiError
from beffroi.mail.compose import MAX_FILES_BYTES, MAX_RECIPIENTS, DraftInvalid
from beffroi.mail.drafts import DraftChanged
from beffroi.mail.sendings import AlreadyLeaving
from beffroi.portal import address_words
from beffroi.portal.counts import Count
from beffroi.portal.words import size


def trouble(error: BeffroiError) -> str:
    """One or two sentences, or "" when the error has no words of its own here."""
    if isinstance(error, DraftInvalid):
        return _draft(error)
    if isinstance(error, DraftChanged):
        return _(
            "Ce brouillon a été modifié ou envoyé depuis une autre fenêtre. Rien n’est envoyé : ouvrez le dossier"
            " Brouillons pour voir l’autre version, et copiez-y ce que vous avez écrit ici."
        )
    if isinstance(error, AlreadyLeaving):
        return _("Ce message est déjà en train de partir : il ne peut plus être modifié.")
    return ""


def files_too_large() -> str:
    return _(
        "Non ajouté : %(most)s au plus ensemble, car beaucoup de serveurs refusent davantage. Envoyez plusieurs"
        " messages, ou réduisez le fichier."
    ) % {"most": size(MAX_FILES_BYTES)}


def _draft(error: DraftInvalid) -> str:
    if said := address_words.wrong(error):
        return said
    if error.why == "not_yours":
        return _("Vous ne pouvez pas écrire avec cette adresse. Choisissez-en une autre dans « De ».")
    if error.why == "nobody":
        return _("Indiquez au moins un destinataire.")
    if error.why == "held":
        return _("La pièce jointe « %(value)s » fait partie d’une attaque reconnue : elle ne part pas.") % {
            "value": error.value
        }
    if error.field_name == "files":
        if error.why == "too_many":
            return _("Un message porte 50 pièces jointes au plus. Envoyez-les en plusieurs messages.")
        return files_too_large()
    if error.why == "too_many":
        return _(
            "Un message part à %(most)s destinataires au plus, et vous en avez mis %(n)s. Retirez les derniers,"
            " envoyez-le, puis, dans « Envoyés », transférez-le à ceux que vous avez retirés."
        ) % {"most": MAX_RECIPIENTS, "n": Count(error.value)}
    if error.why == "too_long":
        return _("Ce texte est trop long pour un message.")
    return _("Ce champ contient un saut de ligne ou un signe invisible : effacez-le et saisissez de nouveau.")


def refusal(reason: str, addresses: Sequence[str]) -> str:
    """Why a message was not taken, and what to do; its draft is among the drafts."""
    if reason == "recipient":
        return _(
            "Ces adresses sont refusées : %(addresses)s. Corrigez-les ou retirez-les, puis envoyez de nouveau ;"
            " personne n’a reçu le message."
        ) % {"addresses": ", ".join(addresses[:5])}
    if reason == "full":
        return _(
            "Ces boîtes sont pleines : %(addresses)s. Prévenez ces personnes, ou retirez-les, puis envoyez de nouveau ;"
            " personne n’a reçu le message."
        ) % {"addresses": ", ".join(addresses[:5])}
    words = {
        "size": _("Le message est trop lourd. Retirez des pièces jointes, puis envoyez de nouveau."),
        "content": _(
            "Le contrôle du courrier a refusé ce message. Vérifiez ses liens et ses pièces jointes ; si le refus"
            " dure, montrez-le à votre référent."
        ),
        "limit": _("La limite d’envoi est atteinte. Attendez une heure, puis envoyez de nouveau."),
        "sender": _("Cette boîte ne peut pas envoyer en ce moment. Prévenez votre référent."),
        "sign_in": _("Cette boîte ne peut pas envoyer en ce moment. Prévenez votre référent."),
        "closed": _("Cette boîte est fermée : rien n’a été envoyé."),
        "changed": _(
            "Le brouillon a été modifié ailleurs avant de partir : rien n’a été envoyé. Rouvrez-le, puis envoyez."
        ),
    }
    return words.get(
        reason,
        _(
            "Le serveur d’envoi ne répond pas depuis deux heures. Rien n’est perdu : envoyez de nouveau plus tard."
        ),
    )
