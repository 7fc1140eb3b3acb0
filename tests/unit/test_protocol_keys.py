"""Who may sign what, and for how long: delegations, retired keys, requests of a box."""

from __future__ import annotations

import pytest
from beffroi_protocol.errors import (
    KeyExpired,
    KeyNotYet,
    KeyRetired,
    KeyUnknown,
    MessageMalformed,
    ProtocolError,
    SignatureInvalid,
)
from beffroi_protocol.messages import (
    Policy,
    PolicyMessage,
)
from beffroi_protocol.requests import sign_request, verify_request
from beffroi_protocol.signing import (
    ROLE_ROOT,
    ROOT_KID,
    Signer,
    TrustStore,
    b64,
    delegate,
    key_id,
    public_bytes,
    split_line,
    unb64,
)

from tests.fixtures_feed import (
    FEED,
    OTHER,
    ROOT,
    T0,
    THIRD,
    YEAR_S,
    Centre,
    delegation,
    entry,
    refusal,
    session,
)


def test_only_the_roots_delegate_may_sign() -> None:
    door = session()
    assert refusal(door.receive(Centre(key=OTHER).snapshot(), monotonic=0.0)) is KeyUnknown
    assert refusal(door.receive(Signer(OTHER, kid=key_id(public_bytes(FEED))).line(
        PolicyMessage(1, "col_a", 1, T0, Policy())), monotonic=0.0)) is SignatureInvalid  # fmt: skip
    forged = delegate(OTHER, public_bytes(OTHER), serial=9, not_before=0, not_after=T0 + YEAR_S)
    assert refusal(door.receive(forged, monotonic=0.0)) is SignatureInvalid


def test_a_line_cannot_be_replayed_in_another_role() -> None:
    door, root_signer = session(), Signer(ROOT, role=ROLE_ROOT, kid=ROOT_KID)
    kid, signature, payload = split_line(delegation())
    moved = b" ".join((b"bf1", key_id(public_bytes(FEED)).encode(), b64(signature).encode(), payload))
    assert refusal(door.receive(moved, monotonic=0.0)) is SignatureInvalid
    assert refusal(
        door.receive(root_signer.line(PolicyMessage(1, "col_a", 1, T0, Policy())), monotonic=0.0)
    ) is (MessageMalformed)
    assert kid == ROOT_KID


def test_current_and_previous_key_overlap_and_the_one_before_is_retired() -> None:
    trust = TrustStore(public_bytes(ROOT))
    lines = [delegation(key, serial) for serial, key in enumerate((FEED, OTHER, THIRD), 1)]
    for line in lines[:2]:
        trust.add_delegation(line)
    assert len(trust.lines) == 2
    trust.add_delegation(lines[2])
    trust.verify(Centre(key=OTHER).snapshot(), now=T0)
    with pytest.raises(KeyUnknown):
        trust.verify(Centre(key=FEED).snapshot(), now=T0)
    with pytest.raises(KeyRetired):
        trust.add_delegation(lines[0])
    assert set(trust.lines.values()) == set(lines[1:])


def test_replaying_an_older_delegation_of_the_same_key_brings_no_retired_key_back() -> None:
    trust = TrustStore(public_bytes(ROOT))
    old = delegation(THIRD, 3)
    for line in (old, delegation(THIRD, 5)):
        trust.add_delegation(line)
    for line in (old, delegation(OTHER, 3)):
        with pytest.raises(KeyRetired):
            trust.add_delegation(line)
    assert list(trust.lines) == [key_id(public_bytes(THIRD))]


def test_a_serial_two_higher_retires_a_stolen_key_at_once() -> None:
    door = session()
    door.receive(delegation(OTHER, 3), monotonic=0.0)
    assert refusal(door.receive(Centre().snapshot(), monotonic=0.0)) is KeyUnknown


def test_a_message_outside_its_keys_term_is_refused_and_teaches_no_time() -> None:
    door, centre = session(), Centre()
    centre.now = T0 + 2 * YEAR_S
    assert refusal(door.receive(centre.snapshot(), monotonic=0.0)) is KeyExpired
    centre.now = T0 - 2 * YEAR_S
    assert refusal(door.receive(centre.snapshot(), monotonic=0.0)) is KeyNotYet
    assert door.clock.floor == 0
    door.clock.floor = T0 + 2 * YEAR_S
    centre.now = T0
    assert refusal(door.receive(centre.snapshot(), monotonic=0.0)) is KeyExpired


def test_a_delegation_under_another_name_or_backwards_in_time_is_malformed() -> None:
    from beffroi_protocol.messages import Delegation

    signer = Signer(ROOT, role=ROLE_ROOT, kid=ROOT_KID)
    public = b64(public_bytes(FEED))
    for wrong in (
        Delegation(1, "root", public, ("feed",), 1, T0, T0),
        Delegation(1, key_id(public_bytes(FEED)), public, ("feed",), 1, T0, T0 - 1),
        Delegation(1, key_id(b""), "", ("feed",), 1, T0, T0),
    ):
        with pytest.raises(MessageMalformed):
            TrustStore(public_bytes(ROOT)).add_delegation(signer.line(wrong))


def test_every_flipped_bit_of_a_line_is_refused() -> None:
    line = Centre().batch([entry(1)])
    for position in range(len(line)):
        for bit in range(8):
            changed = bytearray(line)
            changed[position] ^= 1 << bit
            trust = TrustStore(public_bytes(ROOT))
            trust.add_delegation(delegation())
            with pytest.raises(ProtocolError):
                trust.verify(bytes(changed), now=T0)


def test_only_one_spelling_of_base64url_is_read() -> None:
    text = b64(bytes(64))
    assert unb64(text) == bytes(64)
    for other in (text + "==", text[:-1] + "B", text.replace("A", "A\n", 1), "+/", "é"):
        with pytest.raises(MessageMalformed):
            unb64(other)


def test_a_box_request_is_bound_to_box_method_path_nonce_and_body() -> None:
    asked = {"method": "POST", "path": "/v1/acks", "body": b"{}"}
    headers = sign_request(FEED, box_id="box_1", nonce="n", **asked)  # type: ignore[arg-type]
    verify_request(public_bytes(FEED), headers, **asked)  # type: ignore[arg-type]
    for change in ({"method": "GET"}, {"path": "/v1/facts"}, {"body": b"[]"}):
        with pytest.raises(SignatureInvalid):
            verify_request(public_bytes(FEED), headers, **(asked | change))  # type: ignore[arg-type]
    for name in headers:
        with pytest.raises(ProtocolError):
            verify_request(public_bytes(FEED), headers | {name: "box_2\nGET"}, **asked)  # type: ignore[arg-type]
        with pytest.raises(MessageMalformed):
            less = {k: v for k, v in headers.items() if k != name}
            verify_request(public_bytes(FEED), less, **asked)  # type: ignore[arg-type]
    with pytest.raises(SignatureInvalid):
        verify_request(b"short", headers, **asked)  # type: ignore[arg-type]
