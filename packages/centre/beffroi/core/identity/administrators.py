"""The Département's administrators: their own directory, password and second factor, always both.

Input:  hostile; the console's sign-in form.
Fails:  closed; a wrong address, password, code, a used code and a limit reached give the same answer after the
        same work. A code opens once (RFC 6238 section 5.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.hashers import check_password, make_password
from django.db import IntegrityError, transaction
from django.db.models import F

from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import outbox
from beffroi.core.identity import failures, limits, queries, totp
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.erasure import ERASED_DOMAIN
from beffroi.core.identity.models import Administrator
from beffroi.core.identity.secret_fields import decrypt_text, encrypt_text
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict

_WINDOW_S = 900
_PER_ACCOUNT_AND_NETWORK = 5
_PER_NETWORK = 30
MOST_CODES, DAY_S = 30, 24 * 3600
"""Wrong codes of one account in a day, from wherever: who tries them has its password or its session, and perhaps as
many networks as there are tries to make. The count begins anew with another password."""
_ERASING = Actor.system("identity.erasure")


class SignInRefused(BeffroiError):
    """Address, password or code do not fit; or there were too many tries: wait a quarter of an hour."""

    code = "identity.sign_in_refused"
    http_status = 403


@dataclass(frozen=True)
class NewAdministrator:
    """``totp_secret`` (base32) is shown once."""

    record: Administrator
    totp_secret: str


@transaction.atomic
def create_administrator(*, actor: Actor, email: str, name: str, password: str) -> NewAdministrator:
    """Errors: NotAllowed, Invalid, Conflict."""
    actor.require_departement("manage administrators")
    address = queries.checked_address(email)
    full_name, secret = queries.checked_name(name), totp.new_secret()
    try:
        with transaction.atomic():
            record = Administrator.objects.create(
                email=address,
                name=full_name,
                password=make_password(password),
                totp_secret=encrypt_text(secret),
            )
    except IntegrityError:
        raise Conflict("this address has an account") from None
    audit.record(
        actor,
        "identity:administrator:created",
        record.id,
        collectivite_id=None,
        personal={"email": address, "name": record.name},
    )
    return NewAdministrator(record, secret)


def authenticate_administrator(*, email: str, password: str, code: str, address: str) -> Administrator:
    """Return the administrator whose password and present code these are. Errors: SignInRefused.

    ``address``: of the client, as the front saw it. Follow with ``sessions.start_administrator_session``.
    """
    account, network = email.strip().lower()[:254], limits.network_of(address)
    tries = (
        limits.take("console", account, network, limit=_PER_ACCOUNT_AND_NETWORK, window_s=_WINDOW_S),
        limits.take("console-network", network, limit=_PER_NETWORK, window_s=_WINDOW_S),
    )
    blocked = not all(tries)
    found = Administrator.objects.filter(email=account, is_active=True).first()
    # An unknown address costs the same hash as a known one.
    password_fits = check_password(password, found.password if found else _decoy())
    if not blocked and found is not None and password_fits and _use_code(found, code, "sign_in"):
        limits.give_back(*tries)
        _record(found, "identity:administrator:signed_in")
        return found
    if not blocked:  # the limits bound how much is written
        if found is not None:
            _record(found, "identity:administrator:sign_in_refused")
        # Guessing is seen across doors.
        failure = failures.payload(address=address, account=account, door=failures.CONSOLE)
        if failure is not None:
            with transaction.atomic():
                outbox.publish(failures.KIND, failure)
    raise SignInRefused


def accounts_of_domain(domain: str) -> set[str]:
    """The accounts of active administrators whose address has this domain, as digests (``failures``)."""
    if not domain:
        return set()
    rows = Administrator.objects.filter(is_active=True, email__endswith=f"@{domain}")
    return {failures.digest(email) for email in rows.values_list("email", flat=True)}


def confirm_by_code(*, administrator_id: str, code: str, address: str) -> None:
    """The step-up of the console: a present code of who is signed in. Errors: SignInRefused."""
    network = limits.network_of(address)
    tried = limits.take(
        "console-code", administrator_id, network, limit=_PER_ACCOUNT_AND_NETWORK, window_s=_WINDOW_S
    )
    found = Administrator.objects.filter(pk=administrator_id, is_active=True).first()
    if not tried or found is None or not _use_code(found, code, "step_up"):
        raise SignInRefused
    limits.give_back(tried)


@transaction.atomic
def end_administrator_access(*, actor: Actor, administrator: Administrator) -> None:
    """Close the account and its sessions. Errors: NotAllowed; Conflict for the last one left."""
    actor.require_departement("manage administrators")
    outbox.serialise()  # of two who end one another one is left
    others = Administrator.objects.filter(is_active=True).exclude(pk=administrator.pk)
    if not others.exists():
        raise Conflict("this is the last administrator")
    Administrator.objects.filter(pk=administrator.pk).update(
        is_active=False, closed_at=clock.now(), session_version=F("session_version") + 1
    )
    audit.record(actor, "identity:administrator:ended", administrator.id, collectivite_id=None)


@transaction.atomic
def renew_administrator(*, actor: Actor, administrator: Administrator, password: str) -> str:
    """A new password and second factor for who lost theirs; sessions end, a closed account is open again. Return the
    secret (base32), shown once. Errors: NotAllowed; Conflict where the name was erased."""
    actor.require_departement("manage administrators")
    secret = totp.new_secret()
    renewed = Administrator.objects.filter(pk=administrator.pk, erased_at=None).update(
        is_active=True,
        closed_at=None,
        password=make_password(password),
        totp_secret=encrypt_text(secret),
        totp_last_step=0,
        session_version=F("session_version") + 1,
    )
    if not renewed:
        raise Conflict("this account was erased")
    audit.record(actor, "identity:administrator:renewed", administrator.id, collectivite_id=None)
    return secret


@transaction.atomic
def erase_closed(administrator: Administrator) -> int:
    """Erase the name, address and secrets of a closed account; return 1, or 0 when it is open or was erased before.

    The identifier stays, so that the audit log, decisions and incidents still say that one and the same administrator
    acted, and no longer who.
    """
    outbox.serialise()
    closed = Administrator.objects.filter(pk=administrator.pk, is_active=False, erased_at=None)
    if not closed.update(
        email=f"{administrator.pk}@{ERASED_DOMAIN}",
        name="",
        password=make_password(None),
        totp_secret="",
        erased_at=clock.now(),
    ):
        return 0
    named = AuditEntry.objects.filter(object_id=administrator.pk, personal__isnull=False)
    entries = sum(
        audit.erase_personal(actor=_ERASING, entry_id=one) for one in named.values_list("id", flat=True)
    )
    audit.record(
        _ERASING,
        "identity:administrator:erased",
        administrator.pk,
        collectivite_id=None,
        details={"audit_entries": entries},
    )
    return 1


def _use_code(administrator: Administrator, code: str, of: str) -> bool:
    """``of``: sign_in, step_up: who has the password alone keeps nobody at work from confirming."""
    version = str(administrator.session_version)
    tried = limits.take("console-codes", of, administrator.pk, version, limit=MOST_CODES, window_s=DAY_S)
    step = totp.matching_step(
        decrypt_text(administrator.totp_secret),
        code,
        epoch_s=clock.epoch(),
        after_step=administrator.totp_last_step,
    )
    if step is None or not tried:
        return False
    # The update decides: of two requests with one code, one changes the row.
    rows = Administrator.objects.filter(pk=administrator.pk, totp_last_step__lt=step)
    is_used = bool(rows.update(totp_last_step=step))
    if is_used:
        limits.give_back(tried)
    return is_used


_decoys: list[str] = []


def _decoy() -> str:
    if not _decoys:
        _decoys.append(make_password("no account has this password"))
    return _decoys[0]


def _record(administrator: Administrator, verb: str) -> None:
    with transaction.atomic():
        audit.record(
            Actor("administrator", administrator.id, None, "administrator"),
            verb,
            administrator.id,
            collectivite_id=None,
        )
