"""Who sends in a domain's name, in plain words: what each source is, and what to do about it.

Who reads it knows neither SPF nor DKIM, and is the only one who knows what the town hall's programs are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from beffroi.mail.reports import rules
from beffroi.mail.reports.rules import Advice, Kind, Source
from beffroi.portal.counts import Count

_MOVE = gettext_lazy(
    "Le plus simple : faites-le passer par nos serveurs. Sinon, demandez-lui de signer en DKIM au nom de la commune, ou"
    " faites-le ajouter aux autres expéditeurs autorisés (SPF)."
)
_SAY = gettext_lazy(
    "Ce peut être une lettre d’information, un logiciel métier, un copieur, le site internet. Dites-nous si c’est vous."
)
SAID: dict[tuple[Kind, str], tuple[str, Any, Any]] = {
    (Kind.OURS, ""): ("sender_well", gettext_lazy("Nos serveurs, et tout est reconnu."), ""),
    (Kind.BROKEN, ""): (
        "domain_bad",
        gettext_lazy("Nos serveurs, mais une partie n’est pas reconnue : un enregistrement manque dans DNS."),
        gettext_lazy("Voyez la page du domaine : ce qui est à corriger y est dit."),
    ),
    (Kind.PASSES, ""): (
        "sender_well",
        gettext_lazy("Reconnu : autorisé, ou un courriel à vous qui a été réexpédié sans être modifié."),
        gettext_lazy("Rien à faire."),
    ),
    (Kind.FORWARDED, ""): (
        "sender_passed_on",
        gettext_lazy("Des courriels réexpédiés, par une liste de diffusion par exemple."),
        gettext_lazy("Rien à faire : les serveurs qui reçoivent en tiennent compte."),
    ),
    (Kind.SERVICE, ""): (
        "sender_ask",
        gettext_lazy("Un service connu sous son propre nom écrit avec une adresse de la commune."),
        _SAY,
    ),
    (Kind.SERVICE, "ours"): (
        "domain_warn",
        gettext_lazy("Un service à vous, qui n’est pas encore autorisé."),
        _MOVE,
    ),
    (Kind.STRANGER, ""): (
        "sender_ask",
        gettext_lazy("Rien ne prouve que ces courriels viennent de la commune."),
        _SAY,
    ),
    (Kind.STRANGER, "ours"): (
        "domain_warn",
        gettext_lazy("Un envoi à vous, que rien n’autorise encore."),
        _MOVE,
    ),
}
_NOT_OURS = (
    "sender_false",
    gettext_lazy("Ce n’est pas vous : quelqu’un se sert du nom de la commune."),
    gettext_lazy(
        "Une règle plus stricte le fait refuser par les autres serveurs ; vous n’avez rien d’autre à faire."
    ),
)
TLS_KINDS = {
    "starttls-not-supported": gettext_lazy("notre serveur n’a pas proposé de chiffrement"),
    "certificate-host-mismatch": gettext_lazy("le certificat porte un autre nom"),
    "certificate-expired": gettext_lazy("le certificat est périmé"),
    "certificate-not-trusted": gettext_lazy("le certificat n’est pas d’une autorité reconnue"),
    "validation-failure": gettext_lazy("la vérification a échoué"),
    "tlsa-invalid": gettext_lazy("le certificat annoncé dans DNS est un autre"),
    "dnssec-invalid": gettext_lazy("la signature de DNS est fausse"),
    "dane-required": gettext_lazy("DNS n’annonce pas de certificat"),
    "sts-policy-fetch-error": gettext_lazy("la règle MTA-STS n’a pas pu être lue"),
    "sts-policy-invalid": gettext_lazy("la règle MTA-STS n’est pas valable"),
    "sts-webpki-invalid": gettext_lazy("le certificat du site de la règle MTA-STS n’est pas bon"),
}
REFUSED = {
    "report.none": gettext_lazy("courriel sans rapport"),
    "report.too_big": gettext_lazy("trop gros"),
    "report.too_many": gettext_lazy("trop de parties ou de lignes"),
    "report.unreadable": gettext_lazy("illisible"),
    "report.declared": gettext_lazy("piégé (déclarations XML)"),
    "report.other_domain": gettext_lazy("domaine inconnu ici"),
    "report.crashed": gettext_lazy("lecture interrompue"),
}
_POLICIES = {
    "none": gettext_lazy("surveiller seulement"),
    "quarantine": gettext_lazy("classer les faux en indésirables"),
    "reject": gettext_lazy("faire refuser les faux"),
}


@dataclass(frozen=True)
class Said:
    """``tag``: a name of ``words.STATES``; ``asks``: a person's word is wanted."""

    tag: str
    said: str
    todo: str
    asks: bool


def source(one: Source) -> Said:
    kind = one.kind
    word = one.word if kind in (Kind.SERVICE, Kind.STRANGER) else ""
    tag, said, todo = _NOT_OURS if word == "not_ours" else SAID[kind, word]
    return Said(tag, str(said), str(todo), kind in (Kind.SERVICE, Kind.STRANGER))


def policy(name: str) -> str:
    return str(_POLICIES.get(name, name))


def advice(found: Advice) -> str:
    """What stands in the way of a stricter policy, or that nothing does."""
    if found.code == "last":
        return _("La règle la plus stricte est choisie : les faux sont refusés.")
    if found.code == "quiet":
        text = ngettext(
            "Trop peu de rapports pour juger : %(n)s jour sur les %(all)s derniers, il en faut %(wanted)s.",
            "Trop peu de rapports pour juger : %(n)s jours sur les %(all)s derniers, il en faut %(wanted)s.",
            found.days,
        )
        return text % {"n": Count(found.days), "all": rules.CLEAN_DAYS, "wanted": rules.CLEAN_REPORTED_DAYS}
    if found.code == "open":
        text = ngettext(
            "%(n)s source est encore à régler avant une règle plus stricte.",
            "%(n)s sources sont encore à régler avant une règle plus stricte.",
            len(found.blocking),
        )
        return text % {"n": Count(len(found.blocking))}
    return _("Les rapports sont propres : le domaine peut passer à une règle plus stricte.")


def operator(name: str) -> str:
    """A network is an address for who knows; our own servers have no other name."""
    if name == "@":
        return _("Nos serveurs")
    return _("serveur sans nom, %(network)s") % {"network": name} if "/" in name else name
