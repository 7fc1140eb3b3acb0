"""Mails of the centre to people's mailboxes, in the communes' language, with the portal's addresses."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import reverse

from beffroi.core.identity import queries as identity
from beffroi.core.identity.models import Membership
from beffroi.mail.held import links
from beffroi.mail.held.notices import Letter
from beffroi.mail.models import Mailbox

LANGUAGE = "fr"
"""The commune's: nobody's own is known outside of a browser."""
PORTAL_URLS = "beffroi.portal.urls_web"


_HOST = re.compile(r"(?<![\w@.-])(?:[\w-]+\.)+[^\W\d_]{2,}")
"""Not that of a mail address."""


def unlinked(text: str) -> str:
    """Words of a stranger in which no program sees a link: "https[:]//exemple[.]fr". Else a mail that warns of a lure
    would bring its link along, and our own mail door would refuse it for what it names."""
    return _HOST.sub(lambda found: found[0].replace(".", "[.]"), text.replace("://", "[:]//"))


def letter(subject: str, template: str, context: dict[str, Any]) -> Letter:
    """``template``: the name of two files, in plain text and in HTML."""
    context = {**context, "subject": subject}
    text, html = (render_to_string(f"file/{template}.{kind}", context) for kind in ("txt", "html"))
    return Letter(subject, text, html)


def mailboxes_of_those_who_answer(collectivite_id: str) -> QuerySet[Mailbox]:
    """Of its référents and élus: what becomes of all of it is told to them."""
    persons = identity.persons_in_role(collectivite_id, (Membership.Role.REFERENT, Membership.Role.ELU))
    return Mailbox.objects.filter(collectivite_id=collectivite_id, closed_at=None, person_id__in=persons)


def mailbox_of(person_id: str, collectivite_id: str) -> QuerySet[Mailbox]:
    """The person's own there; of nobody who has none."""
    return Mailbox.objects.filter(person_id=person_id, collectivite_id=collectivite_id, closed_at=None)[:1]


def page(name: str, *arguments: int | str) -> str:
    """The whole address of a page of the portal."""
    return links.address(settings.BEFFROI, reverse(name, urlconf=PORTAL_URLS, args=arguments))
