"""Keys of the signed-in person, and the ways in with them: django-allauth's views on our addresses.

Input:  hostile; what the browser says a key signed. See ``portal.passkey_forms`` for what is taken.
Fails:  closed. A key that is not one's own is not there.
"""

from __future__ import annotations

from typing import Any

from allauth.core.ratelimit import respond_429
from allauth.mfa.webauthn import views
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from beffroi.core.identity import limits
from beffroi.core.identity.second_factors import claimed_email
from beffroi.core.identity.sign_ins import client_address
from beffroi.portal.web.signin import refuse_blocked

CHALLENGES_A_MINUTE = 120
"""Of one network, a whole town hall."""


class _Said:
    """What was wrong stands on the page that the person comes back to."""

    request: HttpRequest

    def say(self, form: Any) -> None:
        for errors in form.errors.values():
            for error in errors:
                messages.error(self.request, error)


class Login(_Said, views.LoginWebAuthnView):  # type: ignore[misc] # allauth is untyped
    """GET (JSON): a challenge for this session. POST: its answer."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        tried = request.method == "POST"
        email = claimed_email(request.POST.get("credential", "")) if tried else ""
        refused = refuse_blocked(request, email=email, person_unknown=not tried)
        if refused is None and not tried and _too_many_challenges(request):
            refused = respond_429(request)
        answer: HttpResponseBase = refused or super().dispatch(request, *args, **kwargs)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        self.say(form)
        return HttpResponseRedirect(reverse("account_login"))


class Reauthenticate(_Said, views.ReauthenticateWebAuthnView):  # type: ignore[misc] # the same
    def form_invalid(self, form: Any) -> HttpResponse:
        self.say(form)
        return HttpResponseRedirect(self.passthrough_next_url(reverse("mfa_reauthenticate_webauthn")))


class _Change:
    """The change and its entry in the audit log are one transaction."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with transaction.atomic():
            answer: HttpResponse = super().post(request, *args, **kwargs)  # type: ignore[misc] # the view beside
        return answer


class Add(_Change, views.AddWebAuthnView):  # type: ignore[misc] # the same
    pass


class Rename(_Change, views.EditWebAuthnView):  # type: ignore[misc] # the same
    pass


class Remove(_Change, views.RemoveWebAuthnView):  # type: ignore[misc] # the same
    pass


def _too_many_challenges(request: HttpRequest) -> bool:
    """Each makes a session: whoever only asks would fill the table."""
    network = limits.network_of(client_address(request))
    return not limits.take("passkey-challenge", network, limit=CHALLENGES_A_MINUTE, window_s=60)


login = Login.as_view()
reauthenticate = Reauthenticate.as_view()
add = Add.as_view()
rename = Rename.as_view()
remove = Remove.as_view()
