"""Why something is never blocked, in words of people: the lists say it in English, the project's language.

Purpose: one sentence part for each reason of ``ProtectedList.check``, behind "Protégé, jamais bloqué :".
Fails:   a reason that has no words yet is shown as it is.
"""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_WORDS = {
    "a public service": gettext_lazy("un service public"),
    "the centre's own or a member's": gettext_lazy("à ce centre ou à une collectivité membre"),
    "used by everyone": gettext_lazy("utilisé par tout le monde"),
    "a shared platform": gettext_lazy("une plateforme partagée"),
    "writes for everyone": gettext_lazy("un service qui écrit au nom de tout le monde"),
    "a public suffix": gettext_lazy("une terminaison commune à beaucoup de sites"),
    "cannot be read": gettext_lazy("illisible"),
    "the mark of empty content": gettext_lazy("l’empreinte d’un contenu vide"),
    "a file that everyone has": gettext_lazy("un fichier que tout le monde a"),
    "one of the most visited sites": gettext_lazy("un des sites les plus visités"),
    "a well-known service stands under it": gettext_lazy("un service connu en dépend"),
    "a bank": gettext_lazy("une banque"),
    "Microsoft's services": gettext_lazy("un service de Microsoft"),
    "Google's services": gettext_lazy("un service de Google"),
    "Apple's services": gettext_lazy("un service d’Apple"),
    "Wikimedia": gettext_lazy("Wikimédia"),
    "a connection check of devices": gettext_lazy("une vérification de connexion des appareils"),
    "a content network": gettext_lazy("un réseau de diffusion partagé"),
    "a large mail service": gettext_lazy("un grand service de courriel"),
    "a public resolver": gettext_lazy("un résolveur public"),
    "a server of top-level names": gettext_lazy("un serveur des noms en .fr, .com, .net ou .org"),
    "a root server": gettext_lazy("un serveur racine du DNS"),
    "6to4": gettext_lazy("une adresse de passage entre IPv4 et IPv6"),
    "benchmarks": gettext_lazy("une adresse réservée aux essais"),
    "documentation": gettext_lazy("une adresse réservée aux exemples"),
    "link-local": gettext_lazy("une adresse locale"),
    "loopback": gettext_lazy("une adresse locale"),
    "multicast": gettext_lazy("une adresse de groupe"),
    "not a global unicast address": gettext_lazy("une adresse qui n’est pas publique"),
    "private": gettext_lazy("une adresse privée"),
    "reserved": gettext_lazy("une adresse réservée"),
    "shared by an operator's customers": gettext_lazy("une adresse partagée par les clients d’un opérateur"),
    "this network": gettext_lazy("une adresse locale"),
    "never again, said the Département": gettext_lazy("le Département a dit : plus jamais"),
    "serves a member or a protected name": gettext_lazy("sert une collectivité membre ou un nom protégé"),
}
_UNDER, _WIDER = " stands under it", "wider than "


def protection(reason: str) -> str:
    """``reason``: as ``ProtectedList.check`` returns it; "" stays ""."""
    if words := _WORDS.get(reason):
        return str(words)
    if reason.endswith(_UNDER):
        return _("%(name)s en dépend") % {"name": reason.removesuffix(_UNDER)}
    if reason.startswith(_WIDER):
        return _("une plage plus large que %(size)s") % {"size": reason.removeprefix(_WIDER)}
    name, _colon, kind = reason.rpartition(": ")
    return f"{name} ({_WORDS[kind]})" if kind in _WORDS else reason
