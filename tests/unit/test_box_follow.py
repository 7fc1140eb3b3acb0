"""After which connections a box comes back at once, and after which ones ever later."""

from __future__ import annotations

import http.client
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from beffroi_box.agent import Agent
from beffroi_box.download import MemoryDownload
from beffroi_box.errors import CentreRefused, CentreUnreachable
from beffroi_box.store import Identity, Store
from beffroi_protocol.messages import Policy, PolicyMessage, SnapshotFile
from beffroi_protocol.signing import Signer

from tests.fixtures_feed import FEED, T0, Centre, delegation, session


class Answers:
    """A centre's answers about a file: an error, or a response that is cut after these bytes."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer

    def get_file(self, sha256: str, *, start: int) -> http.client.HTTPResponse:
        if isinstance(self.answer, Exception):
            raise self.answer
        pieces = [self.answer, b""]
        found = SimpleNamespace(status=200, getheader=lambda _: "1000", read1=lambda _: pieces.pop(0))
        return cast(http.client.HTTPResponse, found)

    def close(self) -> None: ...


def following(answer: bytes | Exception = b"") -> Agent:
    """An agent that reads lines, and does nothing else."""
    agent = object.__new__(Agent)
    agent.session = session()
    agent._useful = agent._told_time = False
    agent._snapshots = MemoryDownload(Answers(answer))
    vars(agent).update(
        acks=SimpleNamespace(heard=lambda: None),
        status=SimpleNamespace(note=lambda **_: None, disk_trouble=""),
        store=SimpleNamespace(save_trust=lambda _: None),
        _enforce=lambda _: None,
    )
    return agent


FILE = Signer(FEED).line(SnapshotFile(1, "box", 1, 1, T0, T0, "0" * 64, 5000))


def test_a_delegation_alone_is_no_news_and_a_heartbeat_is() -> None:
    agent = following()
    assert not agent._receive(delegation())
    assert not agent._useful
    assert not agent._receive(Centre().snapshot()) and agent._useful


@pytest.mark.parametrize(
    ("answer", "useful"),
    [
        (CentreRefused(429, "too_many"), False),
        (CentreUnreachable("away"), False),
        (b"", False),
        (b"\x78\x9c", True),
    ],
)
def test_a_snapshot_s_file_that_did_not_come_is_asked_for_ever_later_unless_a_piece_of_it_came(
    answer: bytes | Exception, useful: bool
) -> None:
    """After a new epoch all boxes want it, and the centre serves 64 at once."""
    agent = following(answer)
    agent._receive(delegation())
    with pytest.raises((CentreRefused, CentreUnreachable)):
        agent._receive(FILE)
    assert agent._useful is useful


def test_a_box_is_called_as_its_commune_is_now_after_a_restart_too(tmp_path: Path) -> None:
    agent, store = following(), Store(tmp_path)
    store.prepare()
    mine = Identity(1, "box_1", "col_1", "Chagny", "", "")
    vars(agent).update(store=store, identity=mine, enforcer=SimpleNamespace(policy_version=4))
    agent._save = lambda write: write() is None
    store.save_identity(mine)

    def hear(owner: str, name: str) -> str:
        agent._receive(Signer(FEED).line(PolicyMessage(1, owner, 4, T0, Policy(), collectivite_name=name)))
        return agent.identity.collectivite_name

    agent._receive(delegation())
    assert hear("col_1", "") == "Chagny", "a centre of before names none"
    assert hear("col_2", "Nuits") == "Chagny", "another one's"
    assert hear("col_1", "Chagny-les-Vignes") == "Chagny-les-Vignes"
    assert store.identity() == agent.identity
