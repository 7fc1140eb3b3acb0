"""What the box enforces when its kernel, or its own place, is not as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
from beffroi_box import enforce
from beffroi_box.blocked import Blocked
from beffroi_box.client import Centre
from beffroi_box.config import BoxConfig
from beffroi_box.enforce import Enforcer
from beffroi_box.errors import RulesRefused
from beffroi_box.facts import FactSpool
from beffroi_box.kernel import Kernel
from beffroi_box.listed import Listed
from beffroi_box.refusals import Question
from beffroi_box.watch import Watch
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, Entry, Policy, PolicyMessage
from beffroi_protocol.table import Change

NOW = 1_800_000_000


class Sets:
    """The kernel's set of addresses; ``refuses``: so many transactions fail."""

    def __init__(self) -> None:
        self.hot: set[str] = set()
        self.refuses = self.refuses_rules = 0
        self.rules: list[str] = []

    def _commit(self) -> None:
        if self.refuses:
            self.refuses -= 1
            raise RulesRefused("ENOMEM")

    def apply_rules(self, text: str) -> None:
        if self.refuses_rules:
            self.refuses_rules -= 1
            raise RulesRefused("ENOMEM")
        self.rules.append(text)

    def change(self, add_ms: Mapping[str, int], remove: Sequence[str], *_: Sequence[str] | None) -> None:
        self._commit()
        self.hot = (self.hot - set(remove)) | set(add_ms)

    def replace_all(self, hot_ms: Mapping[str, int], *_: Sequence[str]) -> None:
        self._commit()
        self.hot = set(hot_ms)


class Nowhere:
    def addresses(self) -> tuple[str, ...]:
        return self.proved()

    def proved(self) -> tuple[str, ...]:
        return ("185.61.20.5",)


def configured(state: Path) -> BoxConfig:
    return BoxConfig(state=state, centre="https://centre.example:8445", resolver=False)


def enforcer(state: Path, kernel: Sets, policy: Policy | None = None) -> Enforcer:
    centre = cast(Centre, Nowhere())
    message = PolicyMessage(1, "col_1", 1, NOW, policy) if policy else None
    return Enforcer(configured(state), centre, cast(Kernel, kernel), None, lambda: NOW, committed=message)


def blocked(address: str) -> Change:
    entry = Entry(f"dec_{address}", Indicator(Kind.IP, address), Action.BLOCK, NOW + 60)
    return Change("box", 1, 1, (entry,), ())


HEARTBEAT = Change("box", 1, 1, (), ())


def test_what_the_kernel_would_not_take_is_not_said_to_be_enforced_and_is_tried_again(tmp_path: Path) -> None:
    kernel = Sets()
    box = enforcer(tmp_path, kernel)
    kernel.refuses = 3  # the change, all of it again, and once more at the heartbeat
    with pytest.raises(RulesRefused):
        box.apply(blocked("45.83.64.7"))
    with pytest.raises(RulesRefused):
        box.apply(HEARTBEAT)
    assert kernel.hot == set()
    box.apply(HEARTBEAT)
    assert kernel.hot == {"45.83.64.7"}


def test_sets_that_stayed_empty_are_filled_by_the_keeper(tmp_path: Path) -> None:
    kernel = Sets()
    box = enforcer(tmp_path, kernel)
    kernel.refuses = 2
    with pytest.raises(RulesRefused):
        box.apply(blocked("45.83.64.7"))
    box.expire()
    assert kernel.hot == {"45.83.64.7"}


def test_addresses_that_the_box_got_after_its_start_are_protected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: tuple[str, ...] = ()
    monkeypatch.setattr(enforce, "own_networks", lambda _lan, _wan: places)
    kernel = Sets()
    box = enforcer(tmp_path, kernel)
    box.apply(blocked("45.83.64.7"))
    places = ("45.83.64.7", "2a0e:b107:10::1/64")  # a lease came, and a prefix of IPv6
    box.look_at_itself()
    assert kernel.hot == set()
    box.apply(blocked("2a0e:b107:10::7"))  # a machine of the LAN
    assert kernel.hot == set()
    assert box.ground().networks == ("185.61.20.5", "2a0e:b107:10::1/64", "45.83.64.7")
    places = ("45.83.64.8",)
    box.look_at_itself()
    assert kernel.hot == {"45.83.64.7", "2a0e:b107:10::7"}


def test_who_gives_a_bridge_its_address_chooses_nothing_that_is_never_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PC that answers its DHCP with a wide mask, or with the address of its own command server."""
    monkeypatch.setattr(enforce, "own_networks", lambda _lan, _wan: ("45.83.64.9/2", "2a0e:b107:10::1/64"))
    kernel = Sets()
    box = enforcer(tmp_path, kernel, Policy(mode="bridge"))
    box.apply(blocked("45.83.64.9"))
    assert kernel.hot == {"45.83.64.9"}
    box.apply(blocked("2a0e:b107:10::7"))  # IPv6 comes from the internet's side alone
    assert kernel.hot == {"45.83.64.9"}


def test_a_centre_that_moved_is_reached_at_its_new_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restored on another machine: the name leads there, and no policy can say so before the box reaches it."""
    monkeypatch.setattr(enforce, "own_networks", lambda _lan, _wan: ())
    kernel = Sets()
    box = enforcer(tmp_path, kernel, Policy(centre_addresses=("185.61.20.5",)))
    box.look_at_itself()
    assert box.restore() == "" and kernel.rules == []
    monkeypatch.setattr(Nowhere, "addresses", lambda _self: ("185.61.20.9",))
    box.look_at_itself()
    kernel.refuses_rules = 1
    assert box.restore() == "The kernel refused the rules: ENOMEM"
    assert box.restore() == ""
    (text,) = kernel.rules
    assert "add element inet beffroi centre4 { 185.61.20.5/32, 185.61.20.9/32 }" in text
    box.look_at_itself()
    assert box.restore() == "" and len(kernel.rules) == 1


def test_who_forges_the_name_of_the_centre_makes_nothing_unblockable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stands on the line answers with a server of its own beside the centre."""
    monkeypatch.setattr(enforce, "own_networks", lambda _lan, _wan: ())
    monkeypatch.setattr(Nowhere, "addresses", lambda _self: ("185.61.20.5", "45.83.64.7"))
    kernel = Sets()
    box = enforcer(tmp_path, kernel)
    box.look_at_itself()
    box.apply(blocked("45.83.64.7"))
    assert kernel.hot == {"45.83.64.7"}
    box.load([])
    assert "add element inet beffroi keep4 { 185.61.20.5/32 }" in kernel.rules[-1]
    assert "add element inet beffroi centre4 { 185.61.20.5/32, 45.83.64.7/32 }" in kernel.rules[-1]


class Lists:
    def entry_for_name(self, name: str) -> None:
        return None


class Watching:
    def __init__(self) -> None:
        self.questions: list[Question] = []

    def asked(self, question: Question) -> None:
        self.questions.append(question)


@pytest.mark.parametrize("enforce", [True, False])
def test_a_listed_name_that_was_answered_is_not_counted_as_refused(tmp_path: Path, enforce: bool) -> None:
    (tmp_path / "spool").mkdir()
    box = enforcer(tmp_path, Sets(), Policy(enforce=enforce))
    entry = Entry("dec_1", Indicator(Kind.DOMAIN, "colis-suivi.com"), Action.BLOCK, NOW + 60)
    box.apply(Change("box", 1, 1, (entry,), ()))
    watching, spool = Watching(), FactSpool(tmp_path / "spool", "box_1")
    told = Blocked(
        configured(tmp_path), box, cast(Listed, Lists()), cast(Watch, watching), spool, lambda: NOW
    )
    question = Question(f"{'a' * 60}.colis-suivi.com")  # so long that dnsdist tells it, refused or not
    told.refused(question)
    assert spool.waiting() == len(told.recent.latest()) == int(enforce)
    assert watching.questions == ([] if enforce else [question])
