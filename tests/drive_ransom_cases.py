"""The tables of docs/internals/ransomware.md, made from the cases that the tests play.

``python -m tests.drive_ransom_cases`` writes them anew.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from statistics import median

from beffroi.drive.guard.reading import InMemory
from beffroi.drive.guard.structure import look

from tests import drive_attacks, drive_files
from tests.drive_files import made
from tests.drive_ransom_attacks import ATTACKS
from tests.drive_ransom_folders import Outcome, run, seen, town_hall
from tests.drive_ransom_honest import HONEST

DOCUMENT = Path(__file__).parent.parent / "docs/internals/ransomware.md"
SEEDS = range(5)


@cache
def attacked(name: str, seed: int) -> Outcome:
    script, kinds, _ = ATTACKS[name]
    return run(script, town_hall(seed, kinds))


@cache
def worked(name: str, seed: int) -> Outcome:
    return run(HONEST[name], town_hall(seed))


def kinds_table() -> list[str]:
    patterns = list(drive_attacks.PATTERNS)
    lines = ["| kind | sound | " + " | ".join(patterns) + " |", "|---|---|" + "---|" * len(patterns)]
    for kind in drive_files.MAKERS:
        sound, cells = 0, dict.fromkeys(patterns, 0)
        for seed in range(8):
            data = made(kind, seed)
            before = seen(data, "a." + kind, None)
            sound += before.state in {"sound", "sealed"}
            for pattern, encrypt in drive_attacks.PATTERNS.items():
                hidden = encrypt(data, seed)
                after = look(InMemory(hidden), "a." + kind, len(hidden), before.kind)
                cells[pattern] += hidden == data or after.state in {"broken", "torn"}
        lines.append(f"| {kind} | {sound} of 8 | " + " | ".join(str(cells[one]) for one in patterns) + " |")
    return lines


def attacks_table() -> list[str]:
    lines = ["| attack | files lost until the alarm: median, worst of 5 orders |", "|---|---|"]
    for name in ATTACKS:
        counts = [attacked(name, seed).files for seed in SEEDS]
        known = [count for count in counts if count is not None]
        said = f"{median(known):g}, {max(known)}" if len(known) == len(counts) else "no alarm"
        lines.append(f"| {name} | {said} |")
    return lines


def honest_table() -> list[str]:
    lines = ["| honest work | alarm |", "|---|---|"]
    for name in HONEST:
        alarms = sum(worked(name, seed).files is not None for seed in SEEDS)
        lines.append(f"| {name} | {alarms or 'none'} |")
    return lines


TABLES = {"kinds": kinds_table, "attacks": attacks_table, "honest": honest_table}


def written(document: str) -> str:
    """The document with its tables made anew."""
    for name, table in TABLES.items():
        made_anew = f"<!-- {name} -->\n" + "\n".join(table()) + f"\n<!-- end of {name} -->"
        document = re.sub(
            f"<!-- {name} -->.*?<!-- end of {name} -->", lambda _, new=made_anew: new, document, flags=re.S
        )
    return document


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8")), "utf-8")
