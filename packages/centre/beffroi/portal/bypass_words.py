"""What a boîtier says of the machines behind it, as sentences: which go round it, and which somebody should look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.portal.counts import Count
from beffroi.portal.words import when

if TYPE_CHECKING:
    from beffroi.boxes.models import BoxBypass

BYPASSES = {
    "own_resolver": gettext_lazy(
        "Des ordinateurs ne demandent jamais au boîtier l’adresse d’un site :"
        " un autre service leur répond, ou un tunnel (VPN)."
    ),
    "foreign_dns": gettext_lazy(
        "Des ordinateurs demandent l’adresse des sites à un autre service que le boîtier."
    ),
    "doh": gettext_lazy(
        "Des ordinateurs demandent l’adresse des sites à un service chiffré : le boîtier ne voit pas lesquels."
    ),
    "dot": gettext_lazy(
        "Des ordinateurs demandent l’adresse des sites à un service chiffré : le boîtier ne voit pas lesquels."
    ),
}
OBSERVED = {
    "dns_flood": gettext_lazy(
        "%(machine)s demande plus de 200 noms de sites par seconde. Le boîtier le fait attendre, les autres postes ne "
        "sont pas gênés. Un programme s’emballe, ou c’est un logiciel malveillant : faites examiner ce poste."
    ),
    "cleartext_password": gettext_lazy(
        "%(machine)s se connecte à un service sans chiffrement (FTP ou Telnet) : le mot de passe y passe en clair. "
        "Demandez à l’éditeur du logiciel, ou à qui entretient l’appareil, le même service chiffré (SFTP, SSH)."
    ),
    "flow_flood": gettext_lazy(
        "%(machine)s ouvre des milliers de connexions à la fois. Le boîtier en refuse de nouvelles à ce poste, "
        "les autres ne sont pas gênés. C’est un logiciel malveillant qui cherche d’autres machines, ou un "
        "logiciel de partage : faites examiner ce poste."
    ),
    "dhcp_flood": gettext_lazy(
        "%(machine)s demande bien plus d’adresses qu’un poste n’en a besoin. Le boîtier retient ses demandes : il en "
        "reste pour les autres. C’est une borne Wi-Fi mal réglée, ou un logiciel malveillant qui veut "
        "donner les adresses à sa place : faites examiner cet appareil."
    ),
    "gateway_spoof": gettext_lazy(
        "%(machine)s se fait passer pour la box internet ou pour le boîtier. Le boîtier ne s’y laisse pas "
        "prendre, mais les autres postes peuvent être trompés : débranchez cet appareil et faites-le examiner. "
        "C’est un logiciel malveillant, ou un appareil réglé à la main sur une adresse déjà prise."
    ),
    "newcomers_flood": gettext_lazy(
        "Des appareils vus ici depuis moins d’une heure, ou un seul qui se fait passer pour beaucoup, ouvrent plus de "
        "connexions, ou demandent plus de noms ou d’adresses, que le boîtier n’en admet. Les postes déjà là ne sont "
        "pas gênés ; un appareil qui arrive peut rester sans internet. Débranchez ce qui a été branché ou connecté au "
        "Wi-Fi en dernier, et faites-le examiner. Dans l’heure qui suit une coupure de courant, tous les postes "
        "comptent ainsi : si cela cesse, il n’y a rien à faire."
    ),
    "flows_full": gettext_lazy(
        "Le boîtier n’a presque plus de place pour de nouvelles connexions : des sites peuvent ne plus s’ouvrir, pour "
        "tout le monde. Plusieurs postes infectés à la fois, ou un appareil qui se fait passer pour beaucoup, les "
        "retiennent : éteignez les postes un à un jusqu’à ce que cela cesse, et appelez le Département."
    ),
    "other_dhcp": gettext_lazy(
        "Un autre appareil de la mairie donne leurs adresses aux postes (DHCP). Si ce n’est pas votre serveur, "
        "cherchez ce qui a été branché et débranchez-le : il peut détourner tout ce qui part des postes."
    ),
    "other_router": gettext_lazy(
        "Un autre appareil de la mairie se présente comme la sortie vers internet (IPv6). Cherchez ce qui a été "
        "branché et débranchez-le : il peut détourner tout ce qui part des postes."
    ),
}
"""These go round nothing: somebody on the spot looks at them."""


def bypasses(rows: Iterable[BoxBypass]) -> list[str]:
    """Who goes round a boîtier, and since when it was not seen again."""
    said = []
    for one in rows:
        if one.kind not in OBSERVED:
            how = BYPASSES.get(
                one.kind,
                _("Des postes passent à côté du boîtier, par exemple par le Wi-Fi de la box internet."),
            )
            counted = _("Postes ou tentatives : %(n)s ; dernière fois : %(when)s.")
            said.append(f"{how} {counted % {'n': Count(one.count), 'when': when(one.last_at)}}")
    return said


def observed(rows: Iterable[BoxBypass]) -> list[str]:
    """What a machine does, what to do first, since when."""
    said = []
    for one in rows:
        if (what := OBSERVED.get(one.kind)) is not None:
            times = {"first": when(one.first_at), "last": when(one.last_at)}
            seen = _("Vu la première fois : %(first)s ; la dernière : %(last)s.") % times
            said.append(f"{what % {'machine': one.machine}} {seen}")
    return said
