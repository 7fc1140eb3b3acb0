"""Radicale's answers, where a program that people use needs another one.

Process: calendars.
Source:  the sources of Thunderbird, Evolution, KDE's DAV resource, CalDav Synchronizer; docs/internals/calendars.md,
         "Programs".
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from radicale import app

_THUNDERBIRD = "Thunderbird/"
_TOKEN = b"valid-sync-token"


class Application(app.Application):
    """Radicale's, with these differences."""

    def do_REPORT(self, environ: Any, *asked: Any) -> Any:  # noqa: N802 - Radicale's
        """An address book in Thunderbird begins anew after 400 alone: 403, which RFC 6578 has for a sync token that is
        not known any more, ends its synchronization for good (CardDAVDirectory, updateAllFromServerV2)."""
        status, headers, answer, xml = super().do_REPORT(environ, *asked)
        # An answer in text is another 403: there is no right to read.
        is_of_token = status == HTTPStatus.FORBIDDEN and isinstance(answer, bytes) and _TOKEN in answer
        if is_of_token and _THUNDERBIRD in environ.get("HTTP_USER_AGENT", ""):
            status = HTTPStatus.BAD_REQUEST
        return status, headers, answer, xml
