"""What a proof of one file, or a bag of a sealed folder, shows far from the centre that sealed it.

Purpose: who holds nothing but the package checks it, decades later too; no key, file or clock of a centre is asked.
Input:   hostile: names, sizes and contents of somebody else's archive. Parts are read up to a bound, and nothing is
         unpacked. Names are told as they are.
Fails:   closed: what cannot be read is Malformed or a damage. A signature proves what its key is worth: whose it is,
         the audit log of the collectivité says (``drive:seal:made``, ``key``).
Format:  docs/internals/drive-archives.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from beffroi.drive.archives import bagcheck, manifest, merkle, names
from beffroi.drive.archives.bagcheck import LIST_BYTES, Damage
from beffroi.drive.archives.bagit import NAMES, OWN
from beffroi.drive.archives.manifest import PROOF, PUBLIC, Line, Malformed, Sealed, Statement

HASHES, RENAMED = "manifest-sha256.txt", NAMES.removeprefix(f"{OWN}/")
_SMALL_BYTES = 1 << 20
_MOST_BYTES = {manifest.FILES: LIST_BYTES, HASHES: LIST_BYTES, RENAMED: LIST_BYTES}
_WANTED = frozenset(
    (manifest.STATEMENT, manifest.SIGNATURE, manifest.STAMP, manifest.FILES, PROOF, PUBLIC, HASHES, RENAMED)
)


@dataclass(frozen=True)
class Shown:
    """``key``: 32 bytes, the one asked for, else the package's own. ``proved``: the file of a proof, where it was in
    the folder. ``damages``: of a bag. ``is_whole``: a proof holds, or a bag has what was sealed, and nothing else.
    """

    statement: Statement
    key: bytes
    is_signed: bool
    has_stamp: bool
    is_proof: bool
    proved: Line | None
    damages: Sequence[Damage]
    is_whole: bool


def show(path: Path, key: bytes | None = None) -> Shown:
    """``path``: the ZIP of a proof; a bag, as ZIP, tar or folder. ``key``: 32 bytes that alone are believed.

    Errors: Malformed (it is neither), OSError."""
    with ExitStack() as stack:
        if path.is_dir():
            parts = _parts((found.name, _opener(found)) for found in _beside(path))
            damages = bagcheck.directory(path)
        else:
            file = stack.enter_context(path.open("rb"))
            parts = _of_archive(file)
            damages = [] if PROOF in parts else bagcheck.archive(file)
    try:
        statement = manifest.read_statement(parts[manifest.STATEMENT])
        sealed = Sealed(parts[manifest.STATEMENT], parts.get(manifest.FILES, b""), parts[manifest.SIGNATURE])
        key = key or public_key(parts[PUBLIC])
    except KeyError as missing:
        raise Malformed(f"{missing.args[0]} is not in it") from None
    proved = _proved(parts[PROOF], statement) if PROOF in parts else None
    return Shown(
        statement,
        key,
        manifest.signed_by([key], sealed) is not None,
        manifest.STAMP in parts,
        PROOF in parts,
        proved,
        damages,
        proved is not None if PROOF in parts else _has_what_was_sealed(parts, statement),
    )


def public_key(pem: bytes) -> bytes:
    """Errors: Malformed."""
    try:
        found = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise Malformed("no Ed25519 key in PEM")
    return found.public_bytes_raw()


def _beside(bag: Path) -> Iterable[Path]:
    found = (bag / HASHES, *(bag / OWN / name for name in sorted(_WANTED - {HASHES, PROOF})))
    return (one for one in found if one.is_file() and not one.is_symlink())


def _opener(path: Path) -> bagcheck.Opener:
    return lambda: path.open("rb")


def _of_archive(file: IO[bytes]) -> dict[str, bytes]:
    try:
        with bagcheck.opened(file) as members:
            parts = _parts((_part(one.name), one.open) for one in members)
            # Beside a proof that holds, a bag that was changed would go unread.
            if PROOF in parts and (HASHES in parts or len(parts) != len(members)):
                raise Malformed("there is more in it than the proof of one file")
            return parts
    except bagcheck.BROKEN as error:
        raise Malformed(f"the archive cannot be read ({type(error).__name__})") from None


def _parts(members: Iterable[tuple[str, bagcheck.Opener]]) -> dict[str, bytes]:
    """Errors: Malformed."""
    parts: dict[str, bytes] = {}
    for name, opener in members:
        if name not in _WANTED:
            continue
        most = _MOST_BYTES.get(name, _SMALL_BYTES)
        with opener() as part:
            data = part.read(most + 1)
        if len(data) > most or name in parts:
            raise Malformed(f"{name} is too long, or there twice")
        parts[name] = data
    return parts


def _part(path: str) -> str:
    """The name of a part, "" for what is none: of a proof at the top, or in one folder; of a bag its list, and what
    lies in ``OWN``."""
    match path.removeprefix("./").split("/"):
        case [name] | [_, name]:
            return name
        case [_, own, name] if own == OWN and name not in (HASHES, PROOF):
            return name
    return ""


def _proved(said: bytes, statement: Statement) -> Line | None:
    """Errors: Malformed."""
    try:
        proof = manifest.read_proof(json.loads(said))
    except (ValueError, RecursionError):
        raise Malformed("the proof is no JSON") from None
    lines = manifest.read_files(proof.line + b"\n")
    if len(lines) != 1:
        raise Malformed("the proof is not about one file")
    return lines[0] if proof.holds(statement) else None


def _has_what_was_sealed(parts: Mapping[str, bytes], statement: Statement) -> bool:
    """The list is the one that was signed, and the bag's files are its own: each content under its name, or under the
    one that the bag says it has in its place. Errors: Malformed."""
    lines = manifest.read_files(parts.get(manifest.FILES, b""))
    is_signed_list = (
        len(lines) == statement.files and merkle.root([one.text() for one in lines]).hex() == statement.root
    )
    renamed = dict(_renamed(parts.get(RENAMED, b"")))
    in_bag = Counter(
        (digest, renamed.get(path, names.escaped(path.removeprefix("data/"))))
        for digest, path in map(bagcheck.told, parts.get(HASHES, b"").splitlines())
    )
    return is_signed_list and in_bag == Counter((one.sha256, one.path) for one in lines)


def _renamed(listed: bytes) -> Iterator[tuple[str, str]]:
    """(path in the bag, path in the folder as a seal writes it). Errors: Malformed."""
    try:
        for line in listed.decode().split("\n"):
            path, _, before = line.partition("\t")
            yield path, names.escaped(names.unescaped(before))
    except (ValueError, OverflowError):
        raise Malformed(f"{RENAMED} cannot be read") from None
