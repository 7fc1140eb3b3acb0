"""The portal's forms for a person's second factor: a code opens once (RFC 6238 section 5.2).

Input:  hostile; what was typed.
Fails:  closed. Allauth remembers a used code in the cache, for less time than the code is valid and only while the
        cache has room; here the time step of the last code is kept with the person, so that a used code stays used
        after a restart and in every process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as base
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.models import Authenticator
from allauth.mfa.totp import forms as totp_forms
from django.core.exceptions import ValidationError

from beffroi.core.identity import limits, rescue, totp
from beffroi.core.identity.models import Person
from beffroi.core.identity.secret_fields import decrypt_text
from beffroi.lib import clock

MOST_WRONG_CODES, DAY_S = 30, 24 * 3600
"""Of one person, from wherever; allauth's own limit, five in five minutes, lets the code be found within months. Who
gets as far has the password: the count begins anew with another one, and a rescue code, of 60 bits, opens beside it."""


class AuthenticateForm(base.AuthenticateForm):  # type: ignore[misc] # allauth is untyped
    rescued = False

    def clean_code(self) -> str:
        if rescue.looks_like_one(self.cleaned_data["code"]):
            return self._rescue_code()
        with _few_a_day("sign_in", self.user):
            code = str(super().clean_code())
            _use_once(self, code)
        return code

    def _rescue_code(self) -> str:
        """Errors: ValidationError, also when there were too many tries."""
        forget_try = check_rate_limit(self.user)
        if not rescue.use(self.user, self.cleaned_data["code"]):
            raise get_adapter().validation_error("incorrect_code")
        forget_try()
        self.rescued = True
        return str(self.cleaned_data["code"])

    def save(self) -> None:
        if self.rescued:
            record_authentication(context.request, self.user, method="mfa", type="rescue_code")
        else:
            super().save()


class ReauthenticateForm(base.ReauthenticateForm):  # type: ignore[misc] # allauth is untyped
    def clean_code(self) -> str:
        with _few_a_day("step_up", self.user):
            code = str(super().clean_code())
            _use_once(self, code)
        return code


class ActivateTOTPForm(totp_forms.ActivateTOTPForm):  # type: ignore[misc] # allauth is untyped
    def clean_code(self) -> str:
        code = str(super().clean_code())
        # The steps of a former secret say nothing about this one.
        step = _step(self.secret, code, after_step=0)
        Person.objects.filter(pk=self.user.pk).update(totp_last_step=step or 0)
        return code


@contextmanager
def _few_a_day(of: str, user: Any) -> Iterator[None]:
    """``of``: sign_in, step_up: a stolen session shuts nobody out of signing in. A code that fits does not count, nor
    one that was not even looked at. Errors: ValidationError."""
    tried = limits.take(
        "code", of, user.pk, user.get_session_auth_hash(), limit=MOST_WRONG_CODES, window_s=DAY_S
    )
    if not tried:
        raise get_adapter().validation_error("too_many_codes")
    try:
        yield
    except ValidationError as error:
        if error.code != "incorrect_code":
            limits.give_back(tried)
        raise
    limits.give_back(tried)


def _use_once(form: AuthenticateForm | ReauthenticateForm, code: str) -> None:
    """Errors: ValidationError for a code that was used, or of a time before it. Recovery codes end by themselves."""
    if form.authenticator.type != Authenticator.Type.TOTP:
        return
    person = Person.objects.get(pk=form.user.pk)
    secret = decrypt_text(form.authenticator.data["secret"])
    step = _step(secret, code, after_step=person.totp_last_step)
    # The update decides: of two requests with one code, one changes the row.
    unused = Person.objects.filter(pk=person.pk, totp_last_step__lt=step or 0).update(totp_last_step=step)
    if not unused:
        form._emit_authentication_failed(form.authenticator)
        raise get_adapter().validation_error("incorrect_code")


def _step(secret: str, code: str, *, after_step: int) -> int | None:
    return totp.matching_step(secret, normalize_user_code(code), epoch_s=clock.epoch(), after_step=after_step)
