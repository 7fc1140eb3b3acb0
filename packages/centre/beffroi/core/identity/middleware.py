"""Who is asking: ``request.actor`` from the session, and from nothing else in the request.

``MembershipMiddleware`` (web): the session of a person carries exactly one membership; on PostgreSQL the database
shows nothing of another collectivité meanwhile.
``AdministratorMiddleware`` (console): the session names an administrator of the Département.
Fails: closed; a membership or account that ended gives no actor, and the session is emptied.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from beffroi.core.communes import row_security
from beffroi.core.identity import sessions

Next = Callable[[HttpRequest], HttpResponseBase]


class MembershipMiddleware:
    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        actor = sessions.person_actor(request)
        request.actor = actor  # type: ignore[attr-defined]
        if actor is None or actor.collectivite_id is None:
            return self.get_response(request)
        with row_security.limited_to(actor.collectivite_id):
            return self.get_response(request)


class AdministratorMiddleware:
    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.actor = sessions.administrator_actor(request)  # type: ignore[attr-defined]
        return self.get_response(request)
