"""Enrolment: from a code typed by a technician to an identity whose root key is pinned.

Purpose: ask ``POST /v1/enrol`` until a second person confirmed the fingerprint in the console.
Trust:   the code carries a check of the root key, so the first contact is not trusted blindly; delegations and the
         first policy must verify under that root before anything is stored.
Input:   the answer is hostile until the root key fits the code.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from beffroi_protocol.enrolment_code import EnrolmentCode, WrongCentre, prove_key
from beffroi_protocol.messages import VERSION, EnrolAnswer, EnrolRequest, PolicyMessage, decode, encode
from beffroi_protocol.signing import b64, fingerprint, key_id, public_bytes, unb64

from beffroi_box import AGENT_VERSION
from beffroi_box.client import Centre
from beffroi_box.config import BoxConfig
from beffroi_box.errors import CentreRefused, CentreUnreachable, EnrolRefused, NotConfirmed
from beffroi_box.store import Asked, Identity, Store

POLL_S = 2.0


def serial_of(public_key: bytes) -> str:
    """Serial for the label when the maker gave none: follows from the key."""
    return "BF-" + key_id(public_key)[:10].upper()


def enrol(
    config: BoxConfig,
    store: Store,
    code: EnrolmentCode,
    *,
    serial: str,
    wait_s: float,
    say: Callable[[str], None],
) -> Identity:
    """The code stays on the disk until it served or the centre refused it: ``FirstBoot`` goes on after a power cut.

    Errors: EnrolRefused, NotConfirmed, CentreUnreachable, CentreRefused, WrongCentre, OSError, and those of signing.
    """
    store.prepare()
    public = public_bytes(store.key())
    known = store.asked()
    heard = known is not None and known.code == code.text() and known.heard
    store.save_asked(Asked(code.text(), serial, heard))
    try:
        identity = _until_confirmed(config, store, code, serial, public, wait_s, say)
    except (EnrolRefused, WrongCentre, CentreRefused) as error:
        if not isinstance(error, NotConfirmed) and getattr(error, "status", 403) == 403:
            store.forget_asked()
        raise
    store.forget_asked()
    return identity


def _until_confirmed(  # noqa: PLR0917 - called in one place
    config: BoxConfig,
    store: Store,
    code: EnrolmentCode,
    serial: str,
    public: bytes,
    wait_s: float,
    say: Callable[[str], None],
) -> Identity:
    request = encode(EnrolRequest(VERSION, code.locator, serial, b64(public), AGENT_VERSION))
    say(f"Fingerprint of this box: {fingerprint(public)}")
    centre = Centre(config)
    end = time.monotonic() + wait_s
    told = False
    while True:
        answer = _ask(centre, request, end)
        if answer is not None and answer.root_public_key:
            code.require_root(unb64(answer.root_public_key))
        if answer is not None and answer.state == "active":
            return _accept(config, store, answer)
        if answer is not None and answer.state != "pending":
            raise EnrolRefused(answer.state[:40])
        if answer is not None and not told:
            say("Waiting: compare the fingerprint in the console and confirm it there.")
            store.save_asked(Asked(code.text(), serial, heard=True))
            told = True
        if time.monotonic() >= end:
            raise NotConfirmed()
        time.sleep(POLL_S)


def recover(config: BoxConfig, store: Store) -> Identity:
    """Ask the centre who this box is, with its key and without a code, when its identity is damaged.

    The root pinned at enrolment must be the centre's: a box is not taken over by who answers at its address.
    Errors: KeyUnreadable, EnrolRefused, CentreUnreachable, CentreRefused, and those of signing.
    """
    pin = store.pinned_root()
    if pin is None:
        raise EnrolRefused("the pinned root key is damaged too; enrol with a new code")
    key = store.key()
    public = public_bytes(key)
    request = EnrolRequest(VERSION, "", serial_of(public), b64(public), AGENT_VERSION, proof=prove_key(key))
    centre = Centre(config, store.centre_addresses())
    answer = decode(centre.post_unsigned("/v1/enrol", encode(request)), EnrolAnswer)
    if answer.root_public_key != b64(pin):
        raise EnrolRefused("it is not the centre that this box was enrolled with")
    if answer.state != "active":
        raise EnrolRefused(answer.state[:40])
    return _accept(config, store, answer)


def _ask(centre: Centre, request: bytes, end: float) -> EnrolAnswer | None:
    """None when the centre cannot answer now and there is still time."""
    try:
        return decode(centre.post_unsigned("/v1/enrol", request), EnrolAnswer)
    except CentreUnreachable:
        if time.monotonic() >= end:
            raise
    except CentreRefused as refusal:
        if refusal.status not in (429, 502, 503, 504):
            raise
    return None


def _accept(config: BoxConfig, store: Store, answer: EnrolAnswer) -> Identity:
    identity = Identity(
        VERSION,
        answer.box_id,
        answer.collectivite_id,
        answer.collectivite_name,
        answer.root_public_key,
        config.centre,
    )
    trust = store.trust(identity)  # with the delegations seen before: a recovery must not forget a newer one
    for line in answer.delegations:
        trust.add_delegation(line.encode())
    if not answer.box_id or not answer.collectivite_id:
        raise EnrolRefused("the answer names no box")
    if answer.policy:
        policy = answer.policy.encode()
        message, _ = trust.verify(policy, now=0)
        if not isinstance(message, PolicyMessage) or message.collectivite_id != answer.collectivite_id:
            raise EnrolRefused("the policy is for another collectivité")
        store.save_policy(policy, "policy-candidate")
    store.save_trust(trust)
    store.save_identity(identity)
    return identity
