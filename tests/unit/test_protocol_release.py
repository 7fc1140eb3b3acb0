"""Software for boxes: only a key of the software role, which the root delegated, can make a release."""

from __future__ import annotations

import msgspec
import pytest
from beffroi_protocol.errors import KeyExpired, KeyUnknown, MessageMalformed, ProtocolError
from beffroi_protocol.messages import Delegation, Policy, PolicyMessage, Release, decode_feed, encode
from beffroi_protocol.session import FeedSession, Refused, TrustedClock
from beffroi_protocol.signing import (
    ROLE_FEED,
    ROLE_SOFTWARE,
    Signer,
    TrustStore,
    delegate,
    public_bytes,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

T0 = 1_800_000_000
ROOT, FEED, SOFTWARE = (Ed25519PrivateKey.generate() for _ in range(3))
RELEASE = Release(1, 7, "0.2.0", "ab" * 32, 1234, T0, T0, T0 + 86400)


def delegation(key: Ed25519PrivateKey, role: str, serial: int = 1) -> bytes:
    return delegate(
        ROOT, public_bytes(key), serial=serial, not_before=T0 - 10, not_after=T0 + 10**6, role=role
    )


@pytest.fixture
def session() -> FeedSession:
    trust = TrustStore(public_bytes(ROOT))
    trust.add_delegation(delegation(FEED, ROLE_FEED))
    trust.add_delegation(delegation(SOFTWARE, ROLE_SOFTWARE))
    return FeedSession(trust, ("box",), TrustedClock(floor=T0))


def refused(session: FeedSession, line: bytes) -> ProtocolError:
    result = session.receive(line, monotonic=0.0)
    assert isinstance(result, Refused), result
    return result.error


def test_a_release_of_the_software_key_is_believed_and_tells_no_time(session: FeedSession) -> None:
    later = msgspec.structs.replace(RELEASE, issued_at=T0 + 5000)
    assert session.receive(Signer(SOFTWARE, role=ROLE_SOFTWARE).line(later), monotonic=0.0) == later
    assert session.clock.floor == T0


def test_the_feed_key_signs_no_software_in_any_role(session: FeedSession) -> None:
    assert isinstance(refused(session, Signer(FEED).line(RELEASE)), MessageMalformed)
    for role in (ROLE_SOFTWARE, "root"):
        refused(session, Signer(FEED, role=role).line(RELEASE))


def test_the_software_key_signs_nothing_of_the_feed(session: FeedSession) -> None:
    policy = PolicyMessage(1, "col_1", 1, T0, Policy())
    assert isinstance(refused(session, Signer(SOFTWARE, role=ROLE_SOFTWARE).line(policy)), MessageMalformed)
    refused(session, Signer(SOFTWARE, role=ROLE_FEED).line(policy))


def test_an_unknown_or_ended_software_key_is_refused(session: FeedSession) -> None:
    stranger = Signer(Ed25519PrivateKey.generate(), role=ROLE_SOFTWARE).line(RELEASE)
    assert isinstance(refused(session, stranger), KeyUnknown)
    late = msgspec.structs.replace(RELEASE, issued_at=T0 + 2 * 10**6)
    assert isinstance(refused(session, Signer(SOFTWARE, role=ROLE_SOFTWARE).line(late)), KeyExpired)


def test_rotating_one_role_retires_no_key_of_the_other_and_one_key_has_one_role(session: FeedSession) -> None:
    for serial in (2, 9):
        session.trust.add_delegation(delegation(Ed25519PrivateKey.generate(), ROLE_FEED, serial))
    line = Signer(SOFTWARE, role=ROLE_SOFTWARE).line(RELEASE)
    assert session.receive(line, monotonic=0.0) == RELEASE
    assert isinstance(refused(session, Signer(FEED).line(PolicyMessage(1, "c", 1, T0, Policy()))), KeyUnknown)
    with pytest.raises(MessageMalformed):
        session.trust.add_delegation(delegation(SOFTWARE, ROLE_FEED, 10))


def test_both_roles_survive_a_restart(session: FeedSession) -> None:
    again = TrustStore(public_bytes(ROOT))
    for line in session.trust.lines.values():
        assert isinstance(again.add_delegation(line), Delegation)
    assert again.lines == session.trust.lines


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"version": "../../etc"},
        {"version": "1; rm -rf /"},
        {"sha256": "AB" * 32},
        {"size_bytes": 2**40},
        {"expires_at": T0},
    ],
)
def test_a_release_that_cannot_be_is_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(MessageMalformed):
        decode_feed(encode(msgspec.structs.replace(RELEASE, **changes)))
