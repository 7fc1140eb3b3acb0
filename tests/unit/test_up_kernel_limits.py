"""Limits of the kernel are raised at the start, never lowered, and their lack is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi.supervise import kernel_limits


@pytest.mark.parametrize(("before", "after"), [("128", 16_384), ("16384", 16_384), ("65536", 65_536)])
def test_watchers_are_raised_and_never_lowered(tmp_path: Path, before: str, after: int) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text(f"{before}\n")
    assert kernel_limits.raise_watchers(limit) == ""
    assert int(limit.read_text()) == after


@pytest.mark.parametrize("content", ["", "many\n"])
def test_a_limit_that_cannot_be_read_is_told(tmp_path: Path, content: str) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text(content)
    assert "fs.inotify.max_user_instances=16384" in kernel_limits.raise_watchers(limit)
    assert limit.read_text() == content


def test_a_limit_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "Next: " in kernel_limits.raise_watchers(tmp_path / "none")
