"""Keys of the signed-in person, and the ways in with them: django-allauth's views on our addresses.

Input:  hostile; what the browser says a key signed. See ``portal.passkey_forms`` for what is taken.
Fails:  closed. A key that is not one's own is not there.
"""

from __future__ import annotations

from typing import Any

from allauth.mfa.webauthn import views
from allauth.mfa.webauthn.internal.auth import STATE_SESSION_KEY
from django.contrib import messages
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from beffroi.core.identity import limits
from beffroi.core.identity.second_factors import claimed_email
from beffroi.portal.passkey_forms import refusal
from beffroi.portal.web.signin import refuse_blocked

COOKIE = "__Host-beffroi_passkey"
SALT = "passkey-challenge"
LIFE_S = 600
"""Of a challenge: somebody looks for their key."""


class _Said:
    """What was wrong stands on the page that the person comes back to."""

    request: HttpRequest

    def say(self, form: Any) -> None:
        for errors in form.errors.values():
            for error in errors:
                messages.error(self.request, error)


class Login(_Said, views.LoginWebAuthnView):  # type: ignore[misc] # allauth is untyped
    """GET (JSON): a challenge. POST: its answer. In between the browser keeps the challenge, signed, and the centre
    nothing: whoever only asks fills nothing, from however many networks."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        tried = request.method == "POST"
        email = claimed_email(request.POST.get("credential", "")) if tried else ""
        refused = refuse_blocked(request, email=email, person_unknown=not tried)
        if tried:
            request.session[STATE_SESSION_KEY] = _kept(request)
        answer: HttpResponseBase = refused or super().dispatch(request, *args, **kwargs)
        state = request.session.pop(STATE_SESSION_KEY, None)
        if tried:
            answer.delete_cookie(COOKIE, samesite="Lax")
        elif state:
            kept = signing.dumps(state, salt=SALT)
            answer.set_cookie(COOKIE, kept, max_age=LIFE_S, secure=True, httponly=True, samesite="Lax")
        return answer

    def form_valid(self, form: Any) -> HttpResponse:
        if not limits.once(SALT, self.request.COOKIES[COOKIE], within_s=LIFE_S):
            form.add_error(None, refusal())
            return self.form_invalid(form)
        answer: HttpResponse = super().form_valid(form)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        self.say(form)
        return HttpResponseRedirect(reverse("account_login"))


def _kept(request: HttpRequest) -> Any:
    """The challenge that this browser was given, None for one that is too old or not ours."""
    try:
        return signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=LIFE_S)
    except signing.BadSignature:
        return None


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


login = Login.as_view()
reauthenticate = Reauthenticate.as_view()
add = Add.as_view()
rename = Rename.as_view()
remove = Remove.as_view()
