"""Signs that one change of a file carries. Pure; no memory of other changes (``scoring`` has that).

Hostile: names and structures come from the device that is judged. A device that is taken over can write what it likes;
         what it cannot do is make the people's files useless and keep the structure that their programs need.
Rule:    a sign names what was seen, never the content; names are kept as hashes and extensions alone.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal

import msgspec

from beffroi.drive.guard.formats import armour
from beffroi.drive.guard.kinds import UNCHECKED, by_name, extension, family
from beffroi.drive.guard.structure import Structure


class Sign(StrEnum):
    """Of one change, or of a pair of changes."""

    LOST = "structure lost"
    TORN = "cut off or blank"
    KIND = "another kind under the same name"
    CONTAINER = "a container under the name of a document"
    SEALED = "sealed by a password"
    NOISE = "random where it was not"
    HOLES = "parts of a film, picture or archive rewritten in place"
    NO_OVERLAP = "nothing of the version before is left"
    SUFFIX = "an unknown extension added"
    SCRAMBLED = "a name that tells nothing any more"
    KNOWN = "an extension that ransomware leaves"
    NOTE = "a note about decryption"
    REPLACED = "replaced by a copy that cannot be read"
    REPLACED_SEALED = "replaced by an archive with a password"
    PACKED = "a folder replaced by an archive with a password"


What = Literal["created", "changed", "renamed", "deleted"]


class Change(msgspec.Struct, frozen=True):
    """One change of one file, as the journal has it.

    ``at_s``: when the centre took it, epoch seconds; ``number``: which change of the journal it is. ``node``,
    ``folder``: ids. ``name_before``: of a rename; where only the folder changed, there is nothing to judge. ``before``,
    ``after``: what ``structure.look`` said of the version before and of the new one; None where there is none.
    ``chunks_before``: chunks of the version before, ``chunks_kept``: how many of them the new version has. An upload to
    a temporary name that is then moved over a file is "changed" of that file. ``spoiler``: the device of the same
    person that emptied what was ``before``; "" where it is the same. ``folders``: of a deletion, (id, name) of the
    folders that it lay in, the innermost first.
    """

    at_s: float
    node: str
    folder: str
    name: str
    what: What
    name_before: str = ""
    before: Structure | None = None
    after: Structure | None = None
    size_before_bytes: int = 0
    size_bytes: int = 0
    chunks_before: int = 0
    chunks_kept: int = 0
    number: int = 0
    spoiler: str = ""
    folders: tuple[tuple[str, str], ...] = ()


# Each has to be one that nobody would write: .lock, .aac, .enc, .crypt, .djvu, .micro stand on public lists, and are
# ordinary.
_KNOWN_WORDS = (
    "wncry wcry wncryt lockbit ryk ryuk akira alphv blackcat 8base medusalocker blackbasta rhysida cl0p clop egregor "
    "revil sodinokibi zeppelin avoslocker qilin lockfile makop cerber locky zepto bitpaymer doppelpaymer netwalker"
)
_ORDINARY_WORDS = (
    # copies, temporary files and downloads
    "bak old orig original save sav sauvegarde archive archivé tmp temp part partial crdownload download swp new copy "
    "copie backup lock lnk url dat log "
    # what an antivirus leaves of what it took
    "vir virus vbn quarantine quarantined qua qtn infected blocked malware suspect suspected dangerous "
    # signatures, checks, and programs with which people lock or pack a file of their own
    "sig sign p7m p7s p7b asc gpg pgp age axx aes enc crypt c9r cpt sha1 sha256 md5 torrent aac djvu micro"
)
_KNOWN = frozenset(_KNOWN_WORDS.split())
_ORDINARY = frozenset(_ORDINARY_WORDS.split())
_SERIAL = re.compile(r"v?[\d\-_]+|\d+[a-z]?")
# Two thoughts in one name: that something was done to files, and what to do about it.
_NOTE = re.compile(
    r"(?=.*(decrypt|ransom|unlock|recover|restore|encrypted|get.?back|dechiffr|déchiffr|recuper|récupér))"
    r"(?=.*(files?|data|how|read|help|instruction|note|your|info|fichiers?|comment|lire|aide))",
)
_NOTE_EXTENSIONS = frozenset(("txt", "html", "htm", "hta", "md", "rtf", "png", "bmp", "jpg"))
_PLAIN = frozenset(("", "dwg", "bmp", "dbase", "sqlite", "ole", "shapefile", "tiff", "ico"))
"""Kinds whose content is mostly not packed, and of which a look reads a part alone."""
_IN_PLACE = frozenset(
    ("riff", "jpeg", "tiff", "heif", "boxes", "mp3", "ogg", "flac", "zip", "7z", "rar", "packed")
)
_IN_PLACE_LEAST_CHUNKS = 8
_NEVER_TEXT = frozenset(("ooxml", "odf"))
"""Documents under whose name no program saves HTML, CSV or RTF, as many do under those of the older ones; ciphertext
may be written so that it is a text."""
_MAYBE_RAW = frozenset(("tiff", "riff"))
_PACKED = 0.9
"""Mean density from which on a scan or a recording is packed; a raw one is as long after any change of its light or
loudness."""
_DENSER = 0.1


def of(change: Change) -> tuple[Sign, ...]:
    """Signs of one change, the heaviest first."""
    if change.what == "changed":
        return _of_content(change)
    if change.what == "renamed":
        return _of_name(change)
    if change.what == "created" and is_note(change.name, change.size_bytes):
        return (Sign.NOTE,)
    if change.what == "created" and is_unreadable(change.after) and is_known_extension(change.name):
        return (Sign.KNOWN,)
    return ()


def _of_content(change: Change) -> tuple[Sign, ...]:
    before, after = change.before, change.after
    if before is None or after is None or before.state in {"broken", "torn"}:
        return ()
    none_left = (Sign.NO_OVERLAP,) if change.chunks_before and not change.chunks_kept else ()
    if after.state == "broken" or (after.state == "torn" and not _is_torn(before, after, change)):
        return (Sign.LOST, *none_left)
    if after.state == "torn":
        return (Sign.TORN,)
    if after.state == "sealed" and before.state == "sound" and family(after.kind) == family(before.kind):
        return (Sign.SEALED,)
    if after.kind == armour.KIND != before.kind:
        return _of_armour(before, after)
    if before.kind in _NEVER_TEXT and after.kind == "text":
        return (Sign.KIND,)
    if before.kind and family(after.kind) != family(before.kind):
        if by_name(change.name) == after.kind:
            return ()  # the name says it: a new file of another kind was saved over it
        return (
            Sign.CONTAINER if after.kind in UNCHECKED or family(after.kind) == "container" else Sign.KIND,
        )
    if _is_noisier(before, after, change):
        return (Sign.NOISE,)
    if _has_holes(change):
        return (Sign.HOLES,)
    return ()


def _of_armour(before: Structure, after: Structure) -> tuple[Sign, ...]:
    """What was something else is written as base64 or the like: nothing is lost where it holds what can be read.
    Programs write keys, hashes and codes over texts, so that a text counts less."""
    if after.state == "sound":
        return () if before.kind in ("", "text") or not after.reason else (Sign.KIND,)
    return (Sign.KIND,) if before.kind == "text" else (Sign.CONTAINER,) if before.kind else ()


def _is_torn(before: Structure, after: Structure, change: Change) -> bool:
    """What was cut off is shorter; what is blank became so, and was not made longer to look so. Else its end is there,
    and cannot be read. A table in a wrong place is a fault of PDF, and none that any other kind comes to have."""
    if after.reason == "cut off":
        return change.size_bytes < change.size_before_bytes
    if after.reason in ("blank", "member"):
        is_blanker = (
            after.noise.blank_share > before.noise.blank_share or after.noise.tail * 2 < before.noise.tail
        )
        return is_blanker and change.size_bytes <= change.size_before_bytes
    if after.reason == "cross-reference":
        return before.kind == "pdf"
    return True


def _is_noisier(before: Structure, after: Structure, change: Change) -> bool:
    """What has no structure known here became random at its old length: nearly all of it, or one block in two, or the
    beginning alone. A document into which photos were put is longer."""
    if before.kind != after.kind or before.kind not in _PLAIN:
        return False
    if not 0 <= change.size_bytes - change.size_before_bytes <= 64 * 1024:
        return False
    old, new = before.noise, after.noise
    if new.random_share - old.random_share >= 0.4 or new.mean - old.mean >= 0.3:
        return change.chunks_kept * 4 <= change.chunks_before * 3
    return new.head >= 1.0 and old.head < 0.9 and change.size_before_bytes > 8192


def _has_holes(change: Change) -> bool:
    """Same length, and chunks lost all over: films, pictures and archives are written anew or not at all. A raw picture
    or sound has to be denser, too."""
    before, after = change.before, change.after
    if before is None or after is None:
        return False
    if before.kind in _MAYBE_RAW and before.noise.mean < _PACKED:
        denser = after.noise.mean - before.noise.mean
        if denser < _DENSER and after.noise.random_share - before.noise.random_share < _DENSER:
            return False
    return (
        before.kind in _IN_PLACE
        and change.chunks_before >= _IN_PLACE_LEAST_CHUNKS
        and 0 <= change.size_bytes - change.size_before_bytes <= 4096
        and change.chunks_kept * 10 <= change.chunks_before * 7
    )


def _of_name(change: Change) -> tuple[Sign, ...]:
    new = added_extension(change.name_before, change.name)
    if new in _KNOWN:
        return (Sign.KNOWN,)
    if is_scrambled(change.name_before, change.name):
        return (Sign.SCRAMBLED,)
    return (Sign.SUFFIX,) if new else ()


def is_scrambled(name_before: str, name: str) -> bool:
    """Whether a file of a known kind lost its ending and all that it was called: no three signs in a row are left. An
    ordinary ending is an antivirus's, or a person's."""
    if not by_name(name_before) or by_name(name) or extension(name) in _ORDINARY:
        return False
    old, new = _in_threes(name_before), _in_threes(name)
    return bool(old and new) and old.isdisjoint(new)


def _in_threes(name: str) -> set[str]:
    stem = name.rpartition(".")[0].casefold() or name.casefold()
    return {stem[at : at + 3] for at in range(len(stem) - 2)}


def added_extension(name_before: str, name: str) -> str:
    """The extension that a rename hung behind (or put in the place of) one of a known kind; empty where it is
    ordinary."""
    new, old = extension(name), extension(name_before)
    if not new or new == old or not by_name(name_before) or by_name(name):
        return ""
    added = new.removeprefix(old).strip("_-~ ")  # photo.jpg_original of ExifTool, notes.txt~ of editors
    return "" if not added or added in _ORDINARY or _SERIAL.fullmatch(added) else new


def is_note(name: str, size_bytes: int) -> bool:
    """A name as ransomware gives to what it leaves in each folder, of at most 1 MiB."""
    return (
        size_bytes <= 1024 * 1024 and extension(name) in _NOTE_EXTENSIONS and bool(_NOTE.match(name.lower()))
    )


def is_known_extension(name: str) -> bool:
    """One that ransomware leaves, and that nobody else would write."""
    return extension(name) in _KNOWN


def is_unreadable(structure: Structure | None) -> bool:
    """New content that no program reads: of no known kind, or not of the kind that its name promises; and random.
    Zeros behind what is random are no excuse."""
    return (
        structure is not None
        and (structure.state in {"broken", "opaque"} or structure.reason == "blank")
        and (
            structure.state == "broken"
            or structure.kind == armour.KIND
            or structure.noise.random_share >= 0.3
            or structure.noise.head >= 1.0
        )
    )
