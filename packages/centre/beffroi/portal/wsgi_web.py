"""The portal's WSGI application, made once in each web process.

Purpose: the login door follows the feed from the first second: were it started by the first sign-in, that one
         would be judged by an empty list.
Process: web.
"""

from __future__ import annotations

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application


def application() -> WSGIHandler:
    made = get_wsgi_application()
    from beffroi.core.decisions import door  # noqa: PLC0415 - Django must be set up first

    door.start()
    return made
