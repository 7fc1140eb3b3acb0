"""A step-up: a person shows again who they are before what nobody else at their screen may do.

Fails:   closed: it is due, too, for who is not signed in; ``ErrorPages`` sends them to the sign-in.
"""

from __future__ import annotations

from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from django.http import HttpRequest


def is_due(request: HttpRequest) -> bool:
    """Whether the last step-up, or sign-in by a key alone, is longer ago than ``ACCOUNT_REAUTHENTICATION_TIMEOUT``.

    A sign-in by password and code is none: who relays it to a false page has both, once (docs/decisions/0197)."""
    # Of an app's name allauth reads that app's settings, which demand none.
    return bool(is_reauthentication_required(request, app=""))


def require(request: HttpRequest) -> None:
    """Errors: ReauthenticationRequired: allauth's middleware sends the person there and back, with what was typed."""
    if is_due(request):
        raise ReauthenticationRequired
