"""What a box says it enforces, and policies that are tried and rolled back."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi_box.acks import STILL_HERE_S, Acknowledger
from beffroi_box.errors import CentreUnreachable
from beffroi_box.trials import LONGEST_S, POLICY_RETRY_S, Trials
from beffroi_protocol.messages import Ack, AckBatch, Policy, PolicyMessage, decode

NOW = 1_800_000_000


class Feed:
    """An open feed, or none."""

    def __init__(self) -> None:
        self.open = True
        self.said: list[AckBatch | None] = []

    def say(self, line: bytes) -> None:
        if not self.open:
            raise CentreUnreachable("no open feed")
        self.said.append(decode(line, AckBatch) if line else None)


def test_what_is_enforced_is_said_at_once_and_again_on_a_new_connection() -> None:
    feed = Feed()
    acks = Acknowledger(feed.say, lambda: 4)
    acks.enforced(Ack("box", 1, 7, 1))
    acks.enforced(Ack("box@col_1", 1, 3, 1))
    feed.open = False
    acks.enforced(Ack("box", 1, 8, 2))
    acks.policy_changed()
    feed.open = True
    acks.joined()
    said = [[(a.channel, a.version) for a in batch.acks] for batch in feed.said if batch]
    assert said == [[("box", 7)], [("box@col_1", 3)], [("box", 8), ("box@col_1", 3)]]
    assert feed.said[-1] is not None and feed.said[-1].policy_version == 4


def test_a_box_with_nothing_to_say_shows_now_and_then_that_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed, at = Feed(), [1000.0]
    monkeypatch.setattr("beffroi_box.acks.time.monotonic", lambda: at[0])
    acks = Acknowledger(feed.say, lambda: 1)
    acks.joined()
    acks.heard()
    at[0] += STILL_HERE_S + 1
    acks.heard()
    acks.heard()
    assert [batch is None for batch in feed.said] == [False, True]


def policy(version: int) -> PolicyMessage:
    return PolicyMessage(1, "col_1", version, NOW, Policy())


def test_a_rolled_back_policy_waits_and_is_tried_again_only_when_sent_again() -> None:
    trials = Trials()
    trials.offer(policy(2), b"line")
    assert trials.due(in_force=1, monotonic=0.0) == (policy(2), b"line")
    trials.failed(2, monotonic=10.0)
    assert trials.due(in_force=1, monotonic=10 + 2 * POLICY_RETRY_S) is None, "nobody sent it again"
    trials.offer(policy(2), b"line")
    trials.failed(2, monotonic=1000.0)
    assert trials.due(in_force=1, monotonic=1000.0 + 6 * POLICY_RETRY_S - 1) is None, "too soon"
    assert trials.due(in_force=1, monotonic=1000.0 + 6 * POLICY_RETRY_S) == (policy(2), b"line"), (
        "kept until then"
    )
    assert trials.due(in_force=1, monotonic=1e9) is None


def test_a_later_policy_is_tried_at_once_and_an_older_one_never() -> None:
    trials = Trials()
    trials.failed(2, monotonic=0.0)
    trials.offer(policy(2), b"")
    trials.offer(policy(3), b"")
    trials.offer(policy(1), b"")
    assert trials.due(in_force=1, monotonic=1.0) == (policy(3), b"")
    trials.proved()
    trials.offer(policy(3), b"")
    assert trials.due(in_force=3, monotonic=2.0) is None


def test_a_policy_that_failed_is_not_tried_by_a_restarted_agent_and_ever_more_seldom(tmp_path: Path) -> None:
    path = tmp_path / "policy-failed.json"
    now = 5000.0
    for pause in (POLICY_RETRY_S, 6 * POLICY_RETRY_S, 36 * POLICY_RETRY_S, LONGEST_S, LONGEST_S):
        Trials(path, monotonic=now).failed(2, monotonic=now)
        again = Trials(path, monotonic=now)
        again.offer(policy(2), b"line")
        assert again.due(in_force=1, monotonic=now + pause - 1) is None
        assert again.due(in_force=1, monotonic=now + pause) is not None
    later = Trials(path, monotonic=now)
    later.offer(policy(3), b"line")
    assert later.due(in_force=1, monotonic=now) is not None, "a later version is tried at once"
    later.proved()
    assert not path.exists()
