"""Courrier: search in all folders of a mailbox at once.

Input:  hostile: the words of the address, and everything in a mail; text is escaped by the template.
Access: ``mail.access``: what is hidden from a delegate is not found either.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.mail import access, folders
from beffroi.mail.access import Right
from beffroi.portal.pages import for_agents, page, sought
from beffroi.portal.web import delegations
from beffroi.portal.web.folders import folder_context
from beffroi.portal.web.mail import MAX_SEARCH_CHARS


@require_GET
@for_agents
def everywhere(request: HttpRequest, actor: Actor, mailbox_id: str) -> HttpResponse:
    box = access.access(actor, mailbox_id, Right.READ)
    asked = sought(request, MAX_SEARCH_CHARS)
    with access.open_mailbox(settings.BEFFROI, box) as opened:
        found, total = folders.search_everywhere(opened, asked) if asked else ([], 0)
    context = {
        "place": "mail",
        "mailbox": box.mailbox,
        **delegations.shown(box),
        "asked": asked,
        "total": total,
        "found": [{"message": one, **folder_context(folder, [])} for folder, one in found],
    }
    return page(request, "portal/mail_search.html", context)
