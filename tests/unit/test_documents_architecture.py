"""ARCHITECTURE.md says of each process once what it may and does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

TEXT = Path(__file__).resolve().parents[2] / "ARCHITECTURE.md"


def tables() -> list[list[str]]:
    """First cells of the rows of each table, its head first."""
    found: list[list[str]] = []
    is_inside = False
    for line in TEXT.read_text().splitlines():
        if not line.startswith("|"):
            is_inside = False
            continue
        if not is_inside:
            found.append([])
        is_inside = True
        found[-1].append(line.split("|")[1].strip())
    return found


def test_each_process_has_one_row() -> None:
    processes = [names[2:] for names in tables() if names[0] == "process"]
    assert len(processes) >= 2, "the centre's and the boîtier's"
    for names in processes:
        assert [name for name, count in Counter(names).items() if count > 1] == []
    assert {"front", "web", "console", "drive", "sentry", "drive-keeper", "filescan", "scan"} <= set(
        processes[0]
    )
