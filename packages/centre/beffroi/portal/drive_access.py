"""The drive as the portal's pages reach it: look-ups and short changes in this process, bytes by grant elsewhere.

Process: web. It opens the metadata of a collectivité; it has no key of contents and never holds a byte of a file.
Access:  ``View`` of the session's person and collectivité: the only way from an identifier to a file.
Source:  docs/decisions/0074-bytes-by-grant.md.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.conf import settings
from django.http import HttpRequest

from beffroi.core.identity import sessions
from beffroi.core.identity.actor import Actor
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.model import Act
from beffroi.drive.views import View
from beffroi.drive.who import Role, Who
from beffroi.lib import clock
from beffroi.lib.errors import NotAllowed

_ROLES: dict[str, Role] = {"agent": "agent", "elu": "elu", "referent": "referent", "dpo": "dpo"}


@cache
def _communes() -> Communes:
    return Communes(settings.BEFFROI.state / "drive", ThreadPoolExecutor(2, thread_name_prefix="drive"))


def who_of(request: HttpRequest, actor: Actor) -> Who:
    """Who asks, as the session says it. Errors: NotAllowed (no collectivité)."""
    if actor.collectivite_id is None or actor.role not in _ROLES:
        raise NotAllowed("no collectivité")
    membership_id = str(request.session.get(sessions.MEMBERSHIP_KEY, ""))
    return Who(actor.id, membership_id, actor.collectivite_id, _ROLES[actor.role], "", "", "")


def view_of(request: HttpRequest, actor: Actor) -> View:
    """Errors: NotAllowed, StoreFull, Unavailable."""
    who = who_of(request, actor)
    return View(_communes().metadata(who.collectivite_id), who)


def act_of(view: View) -> Act:
    """A change by this person, now, from the portal."""
    return Act(view.who.person_id, "", clock.epoch_s())
