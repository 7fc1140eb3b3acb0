"""The shelf of new software after a power cut at any step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from beffroi_box.software import Plan, Shelf


class PowerCut(BaseException):
    pass


@pytest.mark.parametrize("steps", range(4))
def test_no_package_of_before_is_left_without_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    shelf = Shelf(tmp_path)
    shelf.place.mkdir()
    shelf.next.write_bytes(b"next")
    shelf.former.write_bytes(b"former")
    shelf.save_plan(Plan(5, "2.0"))
    shelf.save_plan(Plan(5, "2.0", "installed"))
    unlink, done = Path.unlink, 0

    def cut(path: Path, *, missing_ok: bool = False) -> None:
        nonlocal done
        if done == steps:
            raise PowerCut
        done += 1
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", cut)
        with pytest.raises(PowerCut):
            shelf.clear()
    left = Shelf(tmp_path)
    assert left.plan() == Plan(5, "2.0", "installed")  # it is told again, and cleared
    left.clear()
    assert (left.plan(), left.former.exists(), left.next.exists()) == (None, False, False)


def test_a_plan_whose_successor_did_not_get_its_name_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path)
    shelf.place.mkdir()
    shelf.save_plan(Plan(5, "2.0"))
    replace = os.replace

    def cut(source: str, target: str, **at: int) -> None:
        if target == "plan":
            raise PowerCut
        replace(source, target, **at)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", cut)
        with pytest.raises(PowerCut):
            shelf.save_plan(Plan(5, "2.0", "installed"))
    assert Shelf(tmp_path).plan() == Plan(5, "2.0")
