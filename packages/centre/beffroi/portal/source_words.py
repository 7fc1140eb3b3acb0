"""Outside sources in words: states, errors, doubts, weights. An unknown code is shown as it is."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.portal.counts import Count

FORMATS = {
    "plain": gettext_lazy("Liste simple, un indice par ligne"),
    "csv": gettext_lazy("Tableau (CSV)"),
    "hosts": gettext_lazy("Fichier hosts"),
    "misp": gettext_lazy("Événement MISP (JSON)"),
    "misp_feed": gettext_lazy("Flux MISP (manifest.json)"),
    "stix": gettext_lazy("STIX 2.1"),
    "taxii": gettext_lazy("Serveur TAXII 2.1"),
    "rss": gettext_lazy("Actualités (RSS), pour information"),
}
WEIGHTS = {
    "list": gettext_lazy("Bloque : appliquée par toutes les portes"),
    "evidence": gettext_lazy("Appuie : renforce un signalement, ne bloque pas seule"),
    "observe": gettext_lazy("Observe : comptée, sans effet"),
}
SHORT_WEIGHTS = {
    "list": gettext_lazy("bloque"),
    "evidence": gettext_lazy("appuie"),
    "observe": gettext_lazy("observe"),
}
ERRORS = {
    "source.unusable": gettext_lazy(
        "Le centre n’a pas pu traiter cette source. Voyez le journal du processus « sources »."
    ),
    "source.address_invalid": gettext_lazy("L’adresse n’est pas une adresse https valable."),
    "source.key_missing": gettext_lazy(
        "L’éditeur de cette source demande une clé : obtenez-la chez lui, puis saisissez-la dans « Compte chez"
        " l’éditeur »."
    ),
    "source.address_inside": gettext_lazy(
        "L’adresse mène à un réseau privé. S’il s’agit d’un serveur du Département, ajoutez son réseau au réglage"
        " sources_networks."
    ),
    "source.unreachable": gettext_lazy("Le serveur ne répond pas."),
    "source.not_trusted": gettext_lazy("Le certificat du serveur n’est pas valable."),
    "source.refused": gettext_lazy("Le serveur a refusé la demande. Vérifiez l’adresse et le compte."),
    "source.moved": gettext_lazy(
        "La source renvoie vers une autre adresse. Rien n’y a été lu : vérifiez, puis changez l’adresse."
    ),
    "source.too_slow": gettext_lazy("La source n’a pas pu être lue dans le temps prévu."),
    "source.too_big": gettext_lazy("La source dépasse la taille permise."),
    "source.archive": gettext_lazy("L’archive ne peut pas être ouverte."),
    "source.not_text": gettext_lazy("Le contenu n’est pas du texte UTF-8."),
    "source.web_page": gettext_lazy(
        "Une page web est arrivée à la place de la liste. Il faut peut-être un compte."
    ),
    "source.unreadable": gettext_lazy("Le contenu n’est pas au format choisi."),
    "source.too_deep": gettext_lazy("Le contenu est anormalement imbriqué : il a été refusé."),
    "source.crashed": gettext_lazy("La lecture demandait trop de mémoire ou de temps : elle a été arrêtée."),
    "source.nothing_in_it": gettext_lazy("La source ne contient aucun indice utilisable."),
}
NOT_REACHED = {
    "the name is not known": gettext_lazy("son nom n’est pas connu du DNS"),
    "no answer for 30 seconds": gettext_lazy("aucune réponse en 30 secondes"),
    "the transfer coding was not asked for": gettext_lazy("réponse comprimée sans qu’on l’ait demandé"),
    "the answer was cut off": gettext_lazy("réponse coupée avant sa fin"),
    "the answer is not HTTP, or was cut off": gettext_lazy("réponse coupée, ou qui n’est pas du HTTP"),
    "TLS failed": gettext_lazy("le chiffrement (TLS) a échoué"),
    "the connection failed": gettext_lazy("la connexion a échoué"),
    "Connection refused": gettext_lazy("connexion refusée"),
    "Connection reset by peer": gettext_lazy("connexion coupée par le serveur"),
    "No route to host": gettext_lazy("aucun chemin jusqu’au serveur"),
    "Network is unreachable": gettext_lazy("le réseau ne mène pas au serveur"),
}
DOUBTS = {
    "first_large": gettext_lazy("première lecture, et la liste est longue"),
    "grew": gettext_lazy("la liste a grossi d’un coup"),
    "shrank": gettext_lazy("la liste a fondu d’un coup"),
    "empty": gettext_lazy("la liste est devenue vide"),
    "protected": gettext_lazy("elle nomme des adresses ou des sites protégés"),
}


def error(code: str) -> str:
    return str(ERRORS.get(code, code))


def detail(text: str) -> str:
    """What an error names: a host, a status, a line, or why nobody answered."""
    return str(NOT_REACHED.get(text, text))


def doubts(codes: Iterable[str]) -> str:
    """One sentence of reasons."""
    found = "\N{NO-BREAK SPACE}; ".join(str(DOUBTS.get(code, code)) for code in codes)
    return found[:1].upper() + found[1:] + "." if found else ""


def days(seconds: int) -> str:
    """``2 jours``, ``6 heures``."""
    whole, rest = divmod(seconds, 86400)
    if whole and not rest:
        return _("%(n)s j") % {"n": Count(whole)}
    return _("%(n)s h") % {"n": Count(seconds // 3600)}
