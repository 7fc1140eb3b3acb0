"""Courrier de contrôle: the mails that the centre sends to itself, by every path, each ten minutes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.mail.probe import queries
from beffroi.mail.probe.paths import ECHO, EXIT
from beffroi.mail.probe.queries import Way
from beffroi.portal.pages import for_administrators, page

PATHS = {
    "incoming": gettext_lazy("Courrier reçu de l’extérieur"),
    "submission": gettext_lazy("Courrier envoyé par une personne connectée"),
    "webmail": gettext_lazy("Courrier écrit dans le portail"),
    "relay": gettext_lazy("Courrier des copieurs, remis par les boîtiers"),
    ECHO: gettext_lazy("Courrier qui sort et revient"),
}
LATE_IN_WEBMAIL = (
    gettext_lazy("Écrit, mais pas envoyé à temps."),
    gettext_lazy("Regardez webmail et son journal : ./beffroi status."),
)
SAID = {
    "no_echo": (
        gettext_lazy("Parti, mais pas revenu en dix minutes."),
        gettext_lazy(
            "Regardez ce qui attend dans le courrier sortant ; l’adresse de probe_echo répond-elle encore ?"
        ),
    ),
    "not_here": (
        gettext_lazy(
            "Une adresse d’envoi n’est pas sur cette machine : le courrier qui doit en partir attend."
        ),
        gettext_lazy("Ajoutez-la au réseau de la machine, ou corrigez outgoing_addresses et outgoing_pools."),
    ),
    "": (gettext_lazy("Arrivé."), ""),
    "unreachable": (
        gettext_lazy("Le serveur de courrier ne répond pas."),
        gettext_lazy("Regardez postfix et son journal : ./beffroi status."),
    ),
    "refused": (
        gettext_lazy("Le serveur de courrier l’a refusé ou remis à plus tard."),
        gettext_lazy("Regardez rspamd et mailgate, puis la place sur le disque : ./beffroi status."),
    ),
    "sign_in": (
        gettext_lazy("La connexion pour envoyer a été refusée."),
        gettext_lazy("Regardez dovecot et son journal : ./beffroi status."),
    ),
    "late": (
        gettext_lazy("Accepté, mais pas arrivé à temps dans la boîte."),
        gettext_lazy("Regardez ce qui attend dans le courrier sortant, et dovecot."),
    ),
    "unchecked": (
        gettext_lazy("Arrivé sans avoir été vérifié par la porte du courrier."),
        gettext_lazy("Regardez mailgate : ce qui passe maintenant sera vérifié après coup."),
    ),
    "unread": (
        gettext_lazy("La boîte ne peut pas être lue."),
        gettext_lazy("Regardez dovecot et son journal : ./beffroi status."),
    ),
}


@require_GET
@for_administrators
def probe(request: HttpRequest, actor: Actor) -> HttpResponse:
    found = queries.ways(actor)
    rows = [_row(one) for one in found]
    context = {"place": "mail", "rows": rows, "alarms": sum(one.alarms for one in found)}
    return page(request, "console/probe.html", context)


def _name(path: str) -> str:
    first = EXIT.rstrip("-")
    if path == first:
        return _("Adresse d’envoi")
    if path.startswith(EXIT):
        return _("Adresse d’envoi %(name)s") % {"name": path.removeprefix(EXIT)}
    return str(PATHS.get(path, path))


def _row(one: Way) -> dict[str, Any]:
    said, todo = SAID.get(one.last.code, (one.last.code, ""))
    if (one.path, one.last.code) == ("webmail", "late"):
        said, todo = LATE_IN_WEBMAIL
    tag = "domain_bad" if one.alarms else "domain_warn" if one.failures else "domain_ok"
    return {"way": one, "name": _name(one.path), "said": said, "todo": todo, "tag": tag}
