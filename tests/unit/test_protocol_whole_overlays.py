"""A door that asks for every overlay forgets those that the centre does not know: after a restore from a backup, else,
what was decided for one commune since would stay at that door until its own end."""

from __future__ import annotations

import pytest
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import VERSION, Action, Batch, Entry, Snapshot
from beffroi_protocol.session import FeedSession, TrustedClock
from beffroi_protocol.signing import Signer, TrustStore, delegate, public_bytes
from beffroi_protocol.table import Change
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

T0 = 1_800_000_000
ROOT, FEED = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
ENTRY = Entry("exc_1", Indicator(Kind.DOMAIN, "exemple.top"), Action.ALLOW, T0 + 9999, "local_exception")


def snapshot(channel: str, *, version: int = 1, entries: tuple[Entry, ...] = ()) -> bytes:
    message = Snapshot(
        VERSION, channel, 1, version, T0, T0 + 600, f"{version:064d}", entries, audit_head=""
    )  # fmt: skip
    return Signer(FEED).line(message)


def heartbeat(channel: str, *, version: int = 1) -> bytes:
    return Signer(FEED).line(
        Batch(VERSION, channel, 1, version, version, T0, T0 + 600, prev=f"{version:064d}")
    )


@pytest.fixture
def session() -> FeedSession:
    """It has an overlay of each of two communes, from a connection before."""
    trust = TrustStore(public_bytes(ROOT))
    trust.add_delegation(
        delegate(ROOT, public_bytes(FEED), serial=1, not_before=T0 - 10, not_after=T0 + 10**6)
    )
    session = FeedSession(trust, ("mail", "mail@*"), TrustedClock(floor=T0))
    session.since()
    receive(session, snapshot("mail"), snapshot("mail@col_a", entries=(ENTRY,)), snapshot("mail@col_b"))
    receive(session, heartbeat("mail"))
    assert session.forgotten() == ()
    return session


def receive(session: FeedSession, *lines: bytes) -> None:
    for line in lines:
        assert isinstance(session.receive(line, monotonic=0.0), Change)


def test_an_overlay_that_the_answer_leaves_out_is_forgotten(session: FeedSession) -> None:
    session.since()
    receive(session, snapshot("mail@col_b"), heartbeat("mail"))
    (gone,) = session.forgotten()
    assert (gone.channel, gone.removed, gone.reset) == ("mail@col_a", (ENTRY,), True)
    assert sorted(session.tables) == ["mail", "mail@col_b"]
    assert session.forgotten() == ()


def test_it_stays_until_the_answer_is_complete_and_while_no_connection_is_made(session: FeedSession) -> None:
    receive(session, heartbeat("mail"), heartbeat("mail"))
    assert "mail@col_a" in session.tables
    session.since()
    receive(session, snapshot("mail"), snapshot("mail@col_b"), heartbeat("mail@col_b"))
    assert "mail@col_a" in session.tables


def test_a_line_about_it_that_is_refused_keeps_it_all_the_same(session: FeedSession) -> None:
    receive(session, snapshot("mail@col_a", version=5, entries=(ENTRY,)))
    session.since()
    session.receive(snapshot("mail@col_a", version=2), monotonic=0.0)  # of the past
    receive(session, snapshot("mail@col_b"), heartbeat("mail"))
    assert session.forgotten() == ()
    assert list(session.tables["mail@col_a"]) == [ENTRY]


def test_overlays_asked_for_by_name_are_never_forgotten() -> None:
    session = FeedSession(TrustStore(public_bytes(ROOT)), ("box", "box@col_a"), TrustedClock(floor=T0))
    session.trust.add_delegation(
        delegate(ROOT, public_bytes(FEED), serial=1, not_before=T0 - 10, not_after=T0 + 10**6)
    )
    session.since()
    receive(session, snapshot("box"), heartbeat("box"))
    assert session.forgotten() == ()
    assert "box@col_a" in session.tables
