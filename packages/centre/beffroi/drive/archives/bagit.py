"""Export as a bag: the files under ``data/``, two lists of hashes, what the bag is. A ZIP, as a stream.

Purpose: an archive service, or anybody with ``sha256sum``, checks that everything arrived.
Input:   paths are hostile: ``names`` gives each its place. The hashes are of what was written.
Fails:   ContentChanged, SamePath: the stream ends in the middle. The lists come last, so what is broken off has none.
Source:  RFC 8493 (BagIt 1.0); docs/internals/drive-archives.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from beffroi.drive.archives import names, streams
from beffroi.drive.archives.entries import Entries, content
from beffroi.lib.errors import Invalid

DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
ALGORITHMS = ("sha256", "sha512")
OWN = "beffroi"
NAMES = f"{OWN}/noms.tsv"
"""Files whose name had to change: name in the bag, tab, path in the folder (``names.quoted``)."""
_EXTRA = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")


class BagInvalid(Invalid):
    """This bag cannot be made: {}."""

    code = "drive.bag_invalid"


@dataclass(frozen=True)
class About:
    """``name``: of the bag's folder; ``organisation``: the commune and its SIREN; ``description``: a line;
    ``identifier``: of the sealed folder; ``made_on``: the day of the export."""

    name: str
    organisation: str
    description: str
    identifier: str
    made_on: date


def encoded(path: str) -> str:
    """A path as a list of hashes writes it (RFC 8493 section 2.1.3)."""
    return path.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def bag(entries: Entries, about: About, *, extra: Mapping[str, bytes] | None = None) -> Iterator[bytes]:
    """Give the package piece by piece. ``extra``: tag files by plain name, under ``beffroi/``: the seal's parts.

    Errors: ContentChanged, SamePath, BagInvalid; OSError of the store."""
    extra = extra or {}
    for name in extra:
        if not _EXTRA.fullmatch(name) or f"{OWN}/{name}" == NAMES:
            raise BagInvalid("a tag file has no plain name")
    return _pieces(entries, about, extra)


def _pieces(entries: Entries, about: About, extra: Mapping[str, bytes]) -> Iterator[bytes]:
    out = streams.ZipStream()
    base = names.component(about.name)
    given = names.Names()
    lists: dict[str, list[str]] = {algorithm: [] for algorithm in ALGORITHMS}
    renamed: list[str] = []
    size_bytes = count = newest_s = 0
    for count, entry in enumerate(entries, 1):
        path = f"data/{given.add(entry.path)}"
        sha512 = hashlib.sha512()
        pieces = content(entry, count, sha512)
        yield from out.member(f"{base}/{path}", entry.size_bytes, entry.mtime_s, pieces)
        # What the store says is what was written: ``content`` has compared it.
        for algorithm, digest in zip(ALGORITHMS, (entry.sha256, sha512.hexdigest()), strict=True):
            lists[algorithm].append(f"{digest}  {encoded(path)}\n")
        if path != f"data/{entry.path}":
            renamed.append(f"{path}\t{names.quoted(entry.path)}\n")
        size_bytes += entry.size_bytes
        newest_s = max(newest_s, entry.mtime_s)
    if not count:  # a bag without it is none (RFC 8493 section 2.1.2)
        yield from out.folder(f"{base}/data")
    tags = {
        "bagit.txt": DECLARATION,
        "bag-info.txt": _info(about, size_bytes, count),
        **{
            f"manifest-{algorithm}.txt": "".join(sorted(lines)).encode() for algorithm, lines in lists.items()
        },
        **{f"{OWN}/{name}": data for name, data in sorted(extra.items())},
    }
    if renamed:
        tags[NAMES] = "".join(sorted(renamed)).encode()
    for algorithm in ALGORITHMS:
        tags[f"tagmanifest-{algorithm}.txt"] = _tag_list(algorithm, tags)
    for path, data in tags.items():
        yield from out.member(f"{base}/{path}", len(data), newest_s, [data] if data else [])
    yield from out.close()


def _tag_list(algorithm: str, tags: Mapping[str, bytes]) -> bytes:
    listed = ((path, data) for path, data in tags.items() if not path.startswith("tagmanifest-"))
    return "".join(f"{hashlib.new(algorithm, data).hexdigest()}  {path}\n" for path, data in listed).encode()


def _info(about: About, size_bytes: int, count: int) -> bytes:
    fields: Iterable[tuple[str, str]] = (
        ("Source-Organization", about.organisation),
        ("External-Description", about.description),
        ("External-Identifier", about.identifier),
        ("Bagging-Date", about.made_on.isoformat()),
        ("Bag-Size", f"{size_bytes} B"),
        ("Payload-Oxum", f"{size_bytes}.{count}"),
        ("Bag-Software-Agent", "Beffroi"),
    )
    return "".join(f"{label}: {names.shown(value).strip()}\n" for label, value in fields).encode()
