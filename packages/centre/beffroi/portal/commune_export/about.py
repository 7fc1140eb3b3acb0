"""What all parts of an export share: whose it is, where it goes, and what is left out of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from beffroi.core.communes.models import Collectivite
from beffroi.lib.config import Config
from beffroi.portal.commune_export.folder import ExportFolder


@dataclass
class Work:
    """``say`` tells who waits, a line at a time; never a name of a file nor of a folder. ``missing``: what could not be
    read, where it would lie and why, each a line of the export itself; ``counts``: of what is there and of what stays.
    """

    config: Config
    owner: Collectivite
    folder: ExportFolder
    say: Callable[[str], object]
    missing: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, more: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + more

    def miss(self, what: str, why: str) -> None:
        self.missing.append(f"{what} : {why}")

    def write_list(self, key: str, folder: str, name: str, rows: Iterable[dict[str, Any]]) -> int:
        """A JSON list, a row a line; return how many. It is made anew by each run."""
        count = 0
        with self.folder.file(key, folder, name) as out:
            out.write(b"[")
            for row in rows:
                out.write(b",\n" if count else b"\n")
                out.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace"))
                count += 1
            out.write(b"\n]\n")
        return count
