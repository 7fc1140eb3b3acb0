"""Documents say a thing once: a line that begins as one shortly before, and ends otherwise, was merged badly."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SAME_CHARS = 60
NEAR_LINES = 25


def test_no_line_of_a_document_is_begun_twice() -> None:
    found = [one for path in _documents() for one in _again(path)]
    assert not found, "\n".join(found)


def _documents() -> list[Path]:
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert len(found) > 100
    return found


def _again(path: Path) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if len(line) <= SAME_CHARS:
            continue
        start = line[:SAME_CHARS]
        if number - seen.get(start, -NEAR_LINES - 1) <= NEAR_LINES:
            found.append(f"{path.relative_to(ROOT)}:{number}, and {seen[start]}: {start}")
        seen[start] = number
    return found
