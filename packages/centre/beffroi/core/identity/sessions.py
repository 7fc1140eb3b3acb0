"""What a session carries: one membership of a person, or one administrator.

A membership is chosen at sign-in when there is one, else on a page; changing it renews the session's key.
"""

from __future__ import annotations

from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from django.contrib.auth import logout
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from beffroi.core.identity import queries, sign_ins
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Administrator, Membership, Person
from beffroi.lib.errors import NotFound

MEMBERSHIP_KEY = "membership_id"
FORMS_KEY = "forms_of"
ADMINISTRATOR_KEY = "administrator_id"
VERSION_KEY = "administrator_session"


def person_actor(request: HttpRequest) -> Actor | None:
    """The actor of a signed-in person, or None. Takes the first current membership if none was chosen; where the chosen
    one ended the session does, too: what its pages still send is not for another collectivité. So does one that goes on
    from an address that the login door refuses."""
    if not request.user.is_authenticated:
        return None
    current = queries.current_memberships(str(request.user.pk))
    chosen = request.session.get(MEMBERSHIP_KEY)
    membership = next((one for one in current if chosen in (None, one.id)), None)
    if current and (membership is None or _is_over(request.session, current[0].person)):
        logout(request)
        return None
    if membership is None:
        return None
    if not sign_ins.goes_on(request, current, membership):
        logout(request)
        return None
    if chosen is None:
        request.session[MEMBERSHIP_KEY] = membership.id
    return actor_of(membership)


def choose_membership(request: HttpRequest, membership_id: str) -> Actor:
    """Carry another of the person's own memberships from now on. Errors: NotFound."""
    for one in queries.current_memberships(str(request.user.pk)):
        if one.id == membership_id:
            request.session.cycle_key()
            _part_forms(request, one.id)
            request.session[MEMBERSHIP_KEY] = one.id
            # What waits for a confirmation was sent for the former.
            request.session.pop(STATE_SESSION_KEY, None)
            sign_ins.record(one, sign_ins.client_address(request))
            return actor_of(one)
    raise NotFound("membership")


def _part_forms(request: HttpRequest, membership_id: str) -> None:
    """A form that another tab shows is of the membership before, and is refused until that one is chosen again: each
    has its own secret against forged forms."""
    kept = dict(request.session.get(FORMS_KEY, {}))
    kept[request.session.get(MEMBERSHIP_KEY, "")] = request.META.get("CSRF_COOKIE")
    request.session[FORMS_KEY] = kept
    rotate_token(request)
    if kept.get(membership_id):
        request.META["CSRF_COOKIE"] = kept[membership_id]


def _is_over(session: SessionBase, person: Person) -> bool:
    """Whether the person's sessions were ended after this one began (``actions.end_sessions``)."""
    return str(session.get(sign_ins.ENDED_KEY, "")) != sign_ins.ended_last(person)


def actor_of(membership: Membership) -> Actor:
    return Actor("person", membership.person_id, membership.collectivite_id, membership.role)


def start_administrator_session(session: SessionBase, administrator: Administrator) -> None:
    """After a successful ``authenticate_administrator``: a fresh session key, against fixation."""
    session.flush()
    session[ADMINISTRATOR_KEY] = administrator.id
    session[VERSION_KEY] = administrator.session_version


def administrator_actor(request: HttpRequest) -> Actor | None:
    administrator_id = request.session.get(ADMINISTRATOR_KEY)
    if administrator_id is None:
        return None
    found = Administrator.objects.filter(
        pk=administrator_id, is_active=True, session_version=int(request.session.get(VERSION_KEY, 0))
    ).first()
    if found is None:
        request.session.flush()
        return None
    return Actor("administrator", found.id, None, "administrator")
