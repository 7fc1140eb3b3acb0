"""`remove` of what is no centre."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi.cli import remove
from beffroi.mail.engines import patterns


@pytest.mark.parametrize("place", ["missing", "empty", "of another"])
def test_a_directory_that_is_no_centre_is_not_said_to_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """The command goes on to the environment and the packages, with which another directory's centre runs."""
    cache = tmp_path / "cache" / "patterns"
    cache.mkdir(parents=True)
    monkeypatch.setattr(patterns, "CACHE", cache)
    state = tmp_path / "autre"
    if place != "missing":
        state.mkdir()
    if place == "of another":
        (state / "letter.txt").write_text("mine")
    with pytest.raises(remove.NotACentre) as refused:
        remove.main(["--yes", "--state", str(state)])
    assert str(refused.value).startswith(f"{state} holds nothing of Beffroi")
    assert capsys.readouterr().out == "" and cache.exists()
    assert state.exists() == (place != "missing")
    assert place != "of another" or (state / "letter.txt").read_text() == "mine"


def test_where_nothing_was_named_what_was_installed_goes_without_a_centre_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache" / "patterns"
    cache.mkdir(parents=True)
    monkeypatch.setattr(patterns, "CACHE", cache)
    state = tmp_path / "usual"
    monkeypatch.setattr(remove, "DEFAULT_STATE", state)
    assert remove.main(["--yes", "--state", str(state)]) == 0
    assert not cache.exists()
    state.mkdir()
    (state / "letter.txt").write_text("mine")
    with pytest.raises(remove.NotACentre):
        remove.main(["--yes", "--state", str(state)])
