"""The national register of communes, shipped with the centre: every commune of France of 2026, and its EPCI.

Purpose: enrol a commune by its INSEE code; suggest communes while someone types. No network.
Source:  data/SOURCE.md. Read once, on first use (about 34,970 lines, a tenth of a second).
"""

from __future__ import annotations

import lzma
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "data" / "communes.tsv.xz"


@dataclass(frozen=True, slots=True)
class Commune:
    """Unknown fields are empty, an unknown population is 0 (uninhabited territories overseas)."""

    insee: str
    siren: str
    name: str
    departement: str
    population: int
    epci_siren: str
    epci_name: str


def find(insee: str) -> Commune | None:
    """The commune with this INSEE code today."""
    return _load().communes.get(insee)


def search(text: str, *, departement: str = "", limit: int = 20) -> list[Commune]:
    """Communes whose name has words that begin like those of ``text`` (accents and case apart), or with this code.

    Best first: the whole name, then its beginning, then by population.
    """
    wanted = fold(text)
    if not wanted:
        return []
    exact = find(text.strip().upper())
    words = wanted.split()
    hits = []
    for folded, commune in _load().names:
        if departement in ("", commune.departement) and _fits(words, folded):
            hits.append((folded != wanted, not folded.startswith(wanted), -commune.population, commune))
    hits.sort(key=lambda hit: hit[:3])
    found = [hit[3] for hit in hits[:limit]]
    return [exact, *found][:limit] if exact else found


def fold(text: str) -> str:
    """Lower case, without accents; hyphens and apostrophes become spaces: ``L'Haÿ`` -> ``l hay``."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("œ", "oe").replace("æ", "ae"))
    kept = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(kept.split())


def _fits(words: list[str], folded: str) -> bool:
    return all(f" {word}" in f" {folded}" for word in words)


@dataclass(frozen=True)
class _Register:
    communes: dict[str, Commune]
    names: list[tuple[str, Commune]]


@cache
def _load() -> _Register:
    communes: dict[str, Commune] = {}
    epci_names: dict[str, str] = {}
    for line in lzma.decompress(_FILE.read_bytes()).decode().splitlines():
        kind, *fields = line.split("\t")
        if kind == "E":
            siren, _, epci_names[siren] = fields
            continue
        insee, siren, departement, population, epci, name = fields
        epci_name = epci_names[epci] if epci else ""
        communes[insee] = Commune(insee, siren, name, departement, int(population or 0), epci, epci_name)
    return _Register(communes, [(fold(one.name), one) for one in communes.values()])
