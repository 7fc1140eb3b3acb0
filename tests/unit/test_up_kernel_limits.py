"""Limits of the kernel are raised at the start, never lowered, and their lack is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.supervise.kernel_limits import LIMITS, Limit


@pytest.fixture(params=LIMITS, ids=lambda limit: limit.path.name)
def limit(request: pytest.FixtureRequest, tmp_path: Path) -> Limit:
    found: Limit = request.param
    path = tmp_path.joinpath(*found.path.parts[-3:])
    path.parent.mkdir(parents=True)
    return replace(found, path=path)


def test_a_limit_is_raised_and_never_lowered(limit: Limit) -> None:
    for before in (0, limit.wanted, 4 * limit.wanted):
        limit.path.write_text(f"{before}\n")
        assert limit.raise_() == ""
        assert int(limit.path.read_text()) == max(before, limit.wanted)


@pytest.mark.parametrize("content", ["", "many\n", None])
def test_a_limit_that_cannot_be_read_is_told(limit: Limit, content: str | None) -> None:
    if content is not None:
        limit.path.write_text(content)
    name = ".".join(limit.path.parts[-3:])
    assert f"Next: set {name}={limit.wanted} on the host" in limit.raise_()
    assert content is None or limit.path.read_text() == content


def test_the_kernel_has_them_by_these_names() -> None:
    assert all(limit.path.read_text().strip().isdigit() for limit in LIMITS)
    names = {".".join(limit.path.parts[-3:]) for limit in LIMITS}
    assert names == {"fs.inotify.max_user_instances", "net.ipv4.tcp_mtu_probing"}
