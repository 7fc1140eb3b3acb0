"""Mail domains in plain words: what each record is for, what a check found, and what to do about it.

For the pages and the command ``check domain`` alike. Who reads it may never have heard of DNS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from beffroi.mail.domains.records import Purpose
from beffroi.portal import domain_reach_words as reach
from beffroi.portal.counts import Count
from beffroi.portal.domain_reach_words import CENTRE as _CENTRE
from beffroi.portal.domain_reach_words import HOST as _HOST
from beffroi.portal.domain_reach_words import LATER as _LATER

PURPOSES = {
    Purpose.MX: gettext_lazy("Dit où remettre les courriels envoyés à la commune."),
    Purpose.SPF: gettext_lazy("Dit quels serveurs ont le droit d’envoyer au nom de la commune."),
    Purpose.DKIM: gettext_lazy("Permet de vérifier que nos courriels sont signés et n’ont pas été modifiés."),
    Purpose.DMARC: gettext_lazy(
        "Dit quoi faire d’un courriel qui se fait passer pour la commune, et où l’annoncer."
    ),
    Purpose.STS: gettext_lazy("Annonce que le courrier ne doit nous être remis que chiffré."),
    Purpose.STS_HOST: gettext_lazy("L’adresse où se lit cette règle de chiffrement."),
    Purpose.TLS_RPT: gettext_lazy(
        "Demande aux autres serveurs de signaler les remises chiffrées qui échouent."
    ),
    Purpose.AUTOCONFIG: gettext_lazy("Règle Thunderbird tout seul : on ne saisit que son adresse."),
    Purpose.AUTODISCOVER: gettext_lazy("Règle Outlook tout seul : on ne saisit que son adresse."),
    Purpose.SRV_IMAPS: gettext_lazy("Indique aux téléphones et logiciels où lire le courrier."),
    Purpose.SRV_SUBMISSIONS: gettext_lazy("Indique où envoyer le courrier, chiffré dès le premier octet."),
    Purpose.SRV_SUBMISSION: gettext_lazy("Indique où envoyer le courrier."),
    Purpose.SRV_SIEVE: gettext_lazy("Indique aux logiciels où ranger leurs règles de classement."),
    Purpose.SRV_AUTODISCOVER: gettext_lazy("Indique à Outlook où trouver ses réglages."),
    Purpose.CAA: gettext_lazy(
        "Limite qui peut émettre un certificat pour ce domaine. Gardez aussi l’autorité du site internet."
    ),
    Purpose.REPORTS: gettext_lazy("Autorise les rapports de ce domaine à nous être envoyés."),
    Purpose.DELEGATION: gettext_lazy("Confie ce nom aux serveurs DNS du Département."),
}
LABELS = {
    "resolver": gettext_lazy("Résolveur"),
    "mx": gettext_lazy("Remise du courrier (MX)"),
    "spf": gettext_lazy("Serveurs autorisés (SPF)"),
    "spf_lookups": gettext_lazy("Longueur de SPF"),
    "dmarc": gettext_lazy("Usurpation (DMARC)"),
    "dmarc_strong": gettext_lazy("Fermeté de DMARC"),
    "reports": gettext_lazy("Réception des rapports"),
    "mta_sts": gettext_lazy("Remise chiffrée (MTA-STS)"),
    "mta_sts_host": gettext_lazy("Adresse de la règle MTA-STS"),
    "mta_sts_policy": gettext_lazy("Règle MTA-STS"),
    "tls_rpt": gettext_lazy("Rapports de chiffrement (TLS-RPT)"),
    "autoconfig": gettext_lazy("Réglage de Thunderbird"),
    "autodiscover": gettext_lazy("Réglage d’Outlook"),
    "srv_imaps": gettext_lazy("Service de lecture (SRV)"),
    "srv_submissions": gettext_lazy("Service d’envoi chiffré (SRV)"),
    "srv_submission": gettext_lazy("Service d’envoi (SRV)"),
    "srv_sieve": gettext_lazy("Service des règles de classement (SRV)"),
    "srv_autodiscover": gettext_lazy("Service d’Outlook (SRV)"),
    "caa": gettext_lazy("Certificats (CAA)"),
    "domainkey": gettext_lazy("Branche des clés"),
    "delegation": gettext_lazy("Délégation à nos serveurs DNS"),
    "dnssec": gettext_lazy("Signature du domaine (DNSSEC)"),
    "dnssec_mx": gettext_lazy("Signature du nom de notre serveur (DNSSEC)"),
    "ns_ipv6": gettext_lazy("Serveurs de noms en IPv6"),
    "mx_ipv6": gettext_lazy("Notre serveur en IPv6"),
    "starttls": gettext_lazy("Chiffrement de notre serveur"),
    "certificate": gettext_lazy("Certificat de notre serveur"),
    "dane": gettext_lazy("Certificat annoncé (DANE)"),
    **reach.LABELS,
    "site_https": gettext_lazy("Site internet"),
    "site_http": gettext_lazy("Site sans chiffrement"),
    "site_certificate": gettext_lazy("Certificat du site"),
    "site_same": gettext_lazy("Nom du site"),
    "site_www": gettext_lazy("Site avec et sans www"),
    "site_top_level": gettext_lazy("Fin du nom du site"),
    "declared_site": gettext_lazy("Site déclaré à Service-Public"),
    "declared_address": gettext_lazy("Adresse déclarée à Service-Public"),
    "mx_country": gettext_lazy("Pays de notre serveur"),
}
_ASK = gettext_lazy("L’enregistrement à publier est sur cette page.")
_REPLACE = gettext_lazy("Faites remplacer l’enregistrement par celui de cette page.")
_SITE = gettext_lazy("À demander au prestataire du site ; le courrier n’en dépend pas.")
_PUBLIC = gettext_lazy("La mairie le corrige sur sa page de l’annuaire de service-public.fr.")
_TELL = gettext_lazy("Le Département recopie la page de la commune sur la page du domaine.")
SAID: dict[tuple[str, str], tuple[Any, Any]] = {
    **reach.SAID,
    ("", "ok"): (gettext_lazy("En ordre."), ""),
    ("", "unanswered"): (gettext_lazy("Pas de réponse : on ne sait pas."), _LATER),
    ("", "absent"): (gettext_lazy("Cet enregistrement n’existe pas."), _ASK),
    ("", "differs"): (gettext_lazy("Il existe, mais dit autre chose que prévu."), _REPLACE),
    ("", "several"): (
        gettext_lazy("Il y en a plusieurs : les autres serveurs n’en retiennent alors aucun."),
        gettext_lazy("Faites supprimer les autres et ne garder que celui de cette page."),
    ),
    ("", "elsewhere"): (gettext_lazy("Ce nom mène ailleurs que chez nous."), _REPLACE),
    ("", "without_us"): (gettext_lazy("Nous n’y figurons pas."), _REPLACE),
    ("", "no_host"): (
        gettext_lazy("Pas vérifié : le nom ne mène pas encore chez nous."),
        gettext_lazy("Corrigez d’abord les lignes qui précèdent."),
    ),
    ("resolver", "unanswered"): (
        gettext_lazy("Le résolveur ne répond pas : rien n’a pu être vérifié."),
        gettext_lazy("Vérifiez que le centre fonctionne, ou nommez un autre résolveur."),
    ),
    ("mx", "absent"): (
        gettext_lazy("Aucun serveur n’est indiqué : personne ne peut écrire à la commune."),
        _ASK,
    ),
    ("mx", "elsewhere"): (
        gettext_lazy("Le courrier part chez un autre serveur : l’ancien prestataire, sans doute."),
        gettext_lazy("Le jour de la bascule, faites remplacer les MX par ceux de cette page."),
    ),
    ("mx", "others"): (
        gettext_lazy("Un serveur inconnu figure aussi : une partie du courrier peut y partir."),
        gettext_lazy(
            "Faites supprimer les autres MX. L’ancien serveur n’y figure pas : déclaré sur cette page,"
            " il reçoit de nous ce qui n’a pas encore déménagé."
        ),
    ),
    ("spf", "absent"): (
        gettext_lazy(
            "N’importe quel serveur peut envoyer au nom de la commune, et nos envois sont suspects."
        ),
        _ASK,
    ),
    ("spf", "open"): (
        gettext_lazy("La liste n’est pas fermée : elle laisse passer tout le monde."),
        gettext_lazy("Elle doit finir par « -all » (ou « ~all » pendant le déménagement)."),
    ),
    ("spf", "without_us"): (
        gettext_lazy("Nos serveurs n’y figurent pas : nos envois seront refusés ou classés indésirables."),
        _REPLACE,
    ),
    ("spf_lookups", "too_many"): (
        gettext_lazy("La liste fait poser plus de dix questions : les autres serveurs l’abandonnent."),
        gettext_lazy("Retirez les prestataires qui n’envoient plus pour la commune."),
    ),
    ("dkim", "absent"): (
        gettext_lazy("La clé n’est pas publiée : nos signatures ne peuvent pas être vérifiées."),
        _ASK,
    ),
    ("dkim", "cut"): (
        gettext_lazy("La clé publiée est coupée : le formulaire du prestataire l’a tronquée."),
        gettext_lazy("Copiez la variante « plus de 255 caractères » de cette page."),
    ),
    ("dkim", "differs"): (gettext_lazy("La clé publiée n’est pas la nôtre."), _REPLACE),
    ("dmarc", "absent"): (
        gettext_lazy("Rien n’empêche de se faire passer pour la commune."),
        _ASK,
    ),
    ("dmarc", "no_policy"): (
        gettext_lazy("Il ne dit pas quoi faire (« p= » manque) : il est sans effet."),
        _REPLACE,
    ),
    ("dmarc", "p_not_first"): (
        gettext_lazy("« p= » ne vient pas en premier : certains contrôles, dont RPNT, lisent mal la suite."),
        _REPLACE,
    ),
    ("dmarc", "testing"): (
        gettext_lazy("Il est en mode d’essai (« t=y ») : il est sans effet."),
        _REPLACE,
    ),
    ("dmarc", "no_reports"): (
        gettext_lazy("Les rapports ne nous parviennent pas : nous ne voyons pas qui usurpe la commune."),
        _REPLACE,
    ),
    ("dmarc_strong", "weak"): (
        gettext_lazy("La commune surveille, mais ne fait pas encore refuser les faux."),
        gettext_lazy("Quand les rapports sont propres, passez à « quarantine », puis à « reject »."),
    ),
    ("reports", "absent"): (
        gettext_lazy("Notre adresse de rapports n’est pas autorisée pour ce domaine."),
        _CENTRE,
    ),
    ("mta_sts_policy", "silent"): (gettext_lazy("La page de la règle ne répond pas."), _CENTRE),
    ("mta_sts_policy", "certificate"): (
        gettext_lazy("La page de la règle n’a pas de certificat valable : la règle est ignorée."),
        _CENTRE,
    ),
    ("mta_sts_policy", "missing"): (gettext_lazy("La page de la règle est vide."), _CENTRE),
    ("mta_sts_policy", "differs"): (gettext_lazy("La page montre une autre règle que prévu."), _CENTRE),
    ("caa", "absent"): (
        gettext_lazy("Toute autorité peut émettre un certificat pour ce domaine."),
        _HOST,
    ),
    ("caa", "without_us"): (
        gettext_lazy("Notre autorité n’y figure pas : nos certificats pour ce domaine seront refusés."),
        gettext_lazy("Faites ajouter les lignes CAA de cette page, sans retirer celle du site internet."),
    ),
    ("domainkey", "no_name"): (
        gettext_lazy("Le serveur de noms dit que la branche des clés n’existe pas."),
        _HOST,
    ),
    ("delegation", "zone"): (gettext_lazy("Tout le domaine est délégué à nos serveurs, qui répondent."), ""),
    ("delegation", "names"): (
        gettext_lazy("Les noms du courrier qui changent sont délégués à nos serveurs, qui répondent."),
        "",
    ),
    ("delegation", "elsewhere"): (
        gettext_lazy("Le domaine n’est pas délégué : sa zone est chez un prestataire."),
        gettext_lazy("Rien d’obligatoire : la page du domaine dit comment le demander."),
    ),
    ("delegation", "mixed"): (
        gettext_lazy("Le domaine est délégué à nos serveurs et à d’autres : les réponses peuvent différer."),
        gettext_lazy("Faites retirer les autres serveurs de noms."),
    ),
    ("delegation", "part"): (
        gettext_lazy("Une partie seulement des noms est déléguée à nos serveurs."),
        gettext_lazy("Demandez au prestataire les lignes NS qui manquent."),
    ),
    ("delegation", "lame"): (
        gettext_lazy("La délégation mène à nos serveurs, mais l’un d’eux ne tient pas cette zone."),
        gettext_lazy("C’est au Département de l’y créer : des courriels peuvent être refusés d’ici là."),
    ),
    ("dnssec", "absent"): (gettext_lazy("Les réponses pour ce domaine ne sont pas signées."), _HOST),
    ("dnssec", "not_validated"): (
        gettext_lazy("Le domaine est signé, mais ce résolveur ne vérifie pas la signature."),
        _LATER,
    ),
    ("dnssec_mx", "absent"): (gettext_lazy("Le nom de notre serveur n’est pas signé."), _CENTRE),
    ("dnssec_mx", "not_validated"): (
        gettext_lazy("Le nom est signé, mais ce résolveur ne vérifie pas la signature."),
        _LATER,
    ),
    ("ns_ipv6", "absent"): (
        gettext_lazy("Moins de deux serveurs de noms répondent en IPv6."),
        _HOST,
    ),
    ("mx_ipv6", "absent"): (gettext_lazy("Notre serveur n’a pas d’adresse IPv6."), _CENTRE),
    ("starttls", "no_starttls"): (gettext_lazy("Notre serveur ne propose pas de chiffrement."), _CENTRE),
    ("starttls", "handshake"): (gettext_lazy("Le chiffrement avec notre serveur échoue."), _CENTRE),
    ("starttls", "old"): (gettext_lazy("Notre serveur emploie un chiffrement dépassé."), _CENTRE),
    ("certificate", "untrusted"): (
        gettext_lazy("Le certificat de notre serveur n’est pas d’une autorité publique."),
        _CENTRE,
    ),
    ("dane", "absent"): (gettext_lazy("Le certificat de notre serveur n’est pas annoncé dans DNS."), _CENTRE),
    ("dane", "differs"): (
        gettext_lazy("Le certificat annoncé n’est pas celui du serveur : certains refusent de nous écrire."),
        _CENTRE,
    ),
    ("site_https", "not_answering"): (gettext_lazy("Le site ne répond pas comme il faut en HTTPS."), _SITE),
    ("site_http", "not_https"): (gettext_lazy("En HTTP, le site ne renvoie pas vers HTTPS."), _SITE),
    ("site_certificate", "certificate"): (gettext_lazy("Le certificat du site n’est pas valable."), _SITE),
    ("site_same", "foreign"): (gettext_lazy("Le site renvoie vers un autre nom de domaine."), _SITE),
    ("site_www", "one_only"): (gettext_lazy("Le site ne répond pas à la fois avec et sans « www »."), _SITE),
    ("site_top_level", "foreign"): (
        gettext_lazy("Le nom du site ne se termine pas comme RPNT le demande (.fr, par exemple)."),
        _PUBLIC,
    ),
    ("declared_site", "not_told"): (gettext_lazy("Pas encore recopié ici : on ne sait pas."), _TELL),
    ("declared_site", "not_https"): (gettext_lazy("Il y est écrit sans « https:// »."), _PUBLIC),
    ("declared_site", "malformed"): (
        gettext_lazy("Ce qui y est écrit n’est pas une adresse de site."),
        _PUBLIC,
    ),
    ("declared_address", "not_told"): (gettext_lazy("Pas encore recopiée ici : on ne sait pas."), _TELL),
    ("declared_address", "malformed"): (
        gettext_lazy("RPNT n’accepte pas cette adresse : ni accent, ni signe +."),
        _PUBLIC,
    ),
    ("declared_address", "generic"): (
        gettext_lazy("C’est encore une adresse générique : les citoyens écrivent à l’ancienne boîte."),
        _PUBLIC,
    ),
    ("declared_address", "other_domain"): (
        gettext_lazy("Son nom de domaine n’est pas à la fois celui du courrier et celui du site."),
        _PUBLIC,
    ),
    ("mx_country", "not_told"): (
        gettext_lazy("Le centre ne dit pas où il se trouve (mail_country)."),
        _CENTRE,
    ),
    ("mx_country", "outside"): (gettext_lazy("Notre serveur est hors de l’Union européenne."), _CENTRE),
    ("dane", "unsigned"): (
        gettext_lazy("Annoncé sans signature DNSSEC : personne n’en tient compte."),
        _CENTRE,
    ),
}
STATES = {
    "ok": "domain_ok",
    "warn": "domain_warn",
    "bad": "domain_bad",
    "unknown": "domain_unknown",
    "none": "domain_open",
}
"""Keys of ``words.STATES``."""
MARKS = {
    "ok": gettext_lazy("bon"),
    "warn": gettext_lazy("à revoir"),
    "bad": gettext_lazy("faux"),
    "unknown": "?",
    "none": "-",
}
DMARC = {
    "none": gettext_lazy("Surveiller (none)"),
    "quarantine": gettext_lazy("Classer les faux en indésirables (quarantine)"),
    "reject": gettext_lazy("Faire refuser les faux (reject)"),
}
STS = {
    "none": gettext_lazy("Aucune"),
    "testing": gettext_lazy("À l’essai"),
    "enforce": gettext_lazy("Exigée"),
}
KEY_STATES = {
    "active": gettext_lazy("signe les courriels"),
    "next": gettext_lazy("attend son tour"),
    "retired": gettext_lazy("ne signe plus ; reste publiée quelques jours"),
}


@dataclass(frozen=True)
class Line:
    """One result in words. ``state``: ok, warn, bad, unknown, none; ``tag``: a key of ``words.STATES``."""

    item: str
    label: str
    state: str
    tag: str
    said: str
    todo: str
    seen: str


def label(item: str) -> str:
    name, _sep, selector = item.partition(":")
    if name == "dkim":
        return _("Clé de signature (DKIM %(selector)s)") % {"selector": selector}
    return str(LABELS.get(name, name))


def line(item: str, state: str, code: str, seen: str) -> Line:
    name = item.partition(":")[0]
    said, todo = SAID.get((name, code)) or SAID.get(("", code), (code, ""))
    return Line(item, label(item), state, STATES.get(state, "domain_unknown"), str(said), str(todo), seen)


def lines(items: Iterable[tuple[str, Sequence[str]]]) -> list[Line]:
    """From ``DomainCheck.items``: what must be done first stands first."""
    found = []
    for item, (state, text) in items:
        code, _sep, seen = text.partition("|")
        found.append(line(item, state, code, seen))
    order = ("bad", "warn", "unknown", "none", "ok")
    return sorted(found, key=lambda one: order.index(one.state) if one.state in order else 2)


def lead(found: Sequence[Line]) -> str:
    """The first sentence of a domain's page."""
    bad = sum(one.state == "bad" for one in found)
    warn = sum(one.state == "warn" for one in found)
    if not found:
        return _("Ce domaine n’a pas encore été vérifié.")
    if bad:
        return ngettext(
            "À corriger : %(n)s point empêche ou menace le courrier de ce domaine.",
            "À corriger : %(n)s points empêchent ou menacent le courrier de ce domaine.",
            bad,
        ) % {"n": Count(bad)}
    if warn:
        return _("Le courrier fonctionne ; points à améliorer : %(n)s.") % {"n": Count(warn)}
    return _("Tout ce qui a été vérifié est en ordre.")


def declared_wrong() -> str:
    return _("Ces choix ne sont pas valables. Recopiez la page de la commune : https://www.exemple.fr")
