"""Mails of the centre to people's mailboxes, in the communes' language, with the portal's addresses."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from beffroi.mail.held import links
from beffroi.mail.held.notices import Letter

LANGUAGE = "fr"
"""The commune's: nobody's own is known outside of a browser."""
PORTAL_URLS = "beffroi.portal.urls_web"


def letter(subject: str, template: str, context: dict[str, Any]) -> Letter:
    """``template``: the name of two files, in plain text and in HTML."""
    text, html = (render_to_string(f"file/{template}.{kind}", context) for kind in ("txt", "html"))
    return Letter(subject, text, html)


def page(name: str, *arguments: int | str) -> str:
    """The whole address of a page of the portal."""
    return links.address(settings.BEFFROI, reverse(name, urlconf=PORTAL_URLS, args=arguments))
