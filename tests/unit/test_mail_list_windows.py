"""A page of the list asks for windows of UIDs, whatever was deleted between them, never for all of a large folder."""

from __future__ import annotations

import pytest
from beffroi.mail.reader import MailboxReader


class Folder:
    """The UIDs of a folder, asked as ``UID SEARCH UID first:last``; counts what it answered."""

    def __init__(self, uids: list[int]) -> None:
        self.uids, self.answered = uids, 0

    def search(self, criteria: str) -> list[int]:
        first, last = map(int, criteria.removeprefix("UID ").split(":"))
        found = [uid for uid in self.uids if first <= uid <= last]
        self.answered += len(found)
        return found


@pytest.mark.parametrize(
    ("uids", "below"),
    [
        ([], 1),
        ([], 5000),
        ([1], 2),
        (list(range(1, 51)), 51),
        (list(range(1, 52)), 52),
        (list(range(1, 50_001)), 50_001),
        (list(range(1, 50_001)), 25_000),
        ([*range(1, 300), 49_990, 50_000], 50_001),
        (list(range(3, 50_000, 977)), 50_001),
        (list(range(1, 20)), 1),
    ],
)
def test_newest_under_a_uid_are_found_through_gaps(uids: list[int], below: int) -> None:
    folder = Folder(uids)
    found = MailboxReader(folder)._newest(below, 51)
    assert found == sorted((uid for uid in uids if uid < below), reverse=True)[:51]
    assert folder.answered <= 400


def test_pages_follow_one_another_without_loss() -> None:
    reader = MailboxReader(Folder([*range(1, 200), *range(7000, 7100), *range(40_000, 40_030)]))
    pages, below = [], 50_000
    while page := reader._newest(below, 51):
        pages += page
        below = page[-1]
    assert pages == sorted([*range(1, 200), *range(7000, 7100), *range(40_000, 40_030)], reverse=True)
