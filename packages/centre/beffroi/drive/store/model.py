"""What the drive keeps of a file, as typed values, and the errors of the store. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from beffroi.drive.store.manifest import Manifest
from beffroi.lib.errors import BeffroiError, Conflict, NotFound


class AbsentNode(NotFound):
    """There is no such file or folder, or it is not yours."""

    code = "drive.absent"


class ParentAbsent(Conflict):
    """The folder that this should lie in does not exist."""

    code = "drive.parent_absent"


class NameTaken(Conflict):
    """Something of this name is there already, perhaps with other capitals."""

    code = "drive.name_taken"
    http_status = 409


class KindDiffers(Conflict):
    """A folder stands where a file is meant, or a file where a folder is."""

    code = "drive.kind_differs"


class IntoItself(BeffroiError):
    """A folder cannot be moved or copied into itself."""

    code = "drive.into_itself"
    http_status = 403


class CopyTooLarge(BeffroiError):
    """At most {} files and folders are copied at once; copy one folder after the other."""

    code = "drive.copy_too_large"
    http_status = 507


class RootFixed(BeffroiError):
    """This folder is part of the drive; it cannot be moved, renamed or deleted."""

    code = "drive.root_fixed"
    http_status = 403


class ReadOnly(BeffroiError):
    """You may read here, but change nothing."""

    code = "drive.read_only"
    http_status = 403


class Changed(BeffroiError):
    """It was changed meanwhile; look at it again."""

    code = "drive.changed"
    http_status = 412


class Locked(BeffroiError):
    """Somebody has it open and locked; try again later."""

    code = "drive.locked"
    http_status = 423
    retryable = True

    def __init__(self, node: int = 0) -> None:
        """``node``: what was locked, that it or what lies below it may not be changed; 0 where it is not told."""
        super().__init__()
        self.node, self.precondition = node, ""


class QuotaFull(BeffroiError):
    """There is no room left; delete something, or ask the Département for more."""

    code = "drive.quota_full"
    http_status = 507


class TooManyEntries(BeffroiError):
    """The collectivité has as many files, folders and versions as it may; delete some for good."""

    code = "drive.too_many_entries"
    http_status = 507


class StoreFull(BeffroiError):
    """The Département's disk is full; nothing was changed."""

    code = "drive.store_full"
    http_status = 507
    retryable = True


@dataclass(frozen=True)
class Act:
    """Who changes something, from where, and when. ``device_id``: the app password, a browser
    (``browsers``), or "" for what the centre does on a person's word.

    ``lock_holder``: whose locks count as the person's own, their tokens shown: an editor holds one for all who write in
    a file together; "" for nobody's. ``lock_program``: the person's locks whose owner names it count as shown.
    ``share_id``: of another collectivité, by which they come; "" for its own people.
    """

    person_id: str
    device_id: str
    now_s: int
    lock_tokens: frozenset[str] = frozenset()
    lock_holder: str = ""
    lock_program: str = ""
    share_id: str = ""


class Node(NamedTuple):
    """One file or folder as a row of ``node``, in this order.

    ``etag``: number of its last change, of a folder also of anything below it; never used twice in a collectivité.
    ``size_bytes`` of a folder: all files below it. ``sha1``, ``sha256``: hex, "" for a folder or where unknown.
    ``manifest``: which chunks it is made of (drive-format.md). ``properties``: JSON of WebDAV's dead properties, or "".
    """

    id: int
    parent: int
    name: str
    is_folder: int
    size_bytes: int
    mtime_s: int
    etag: int
    created_s: int
    sha1: str
    sha256: str
    manifest: bytes
    properties: str


NO_LIMIT = -1


class Weight(NamedTuple):
    """What takes room. ``size_bytes``: of present contents; ``entries``: files, folders and versions."""

    size_bytes: int = 0
    entries: int = 0
    version_bytes: int = 0

    @property
    def all_bytes(self) -> int:
        return self.size_bytes + self.version_bytes

    def plus(self, other: Weight) -> Weight:
        return Weight(
            self.size_bytes + other.size_bytes,
            self.entries + other.entries,
            self.version_bytes + other.version_bytes,
        )

    def minus(self, other: Weight) -> Weight:
        return self.plus(Weight(-other.size_bytes, -other.entries, -other.version_bytes))


NOTHING = Weight()


class Limits(NamedTuple):
    """Where nothing else is said: of a person, of the collectivité, and its entries. NO_LIMIT: none."""

    person_bytes: int = NO_LIMIT
    whole_bytes: int = NO_LIMIT
    entries: int = NO_LIMIT


class InlineChunk(NamedTuple):
    """A chunk that is small enough to lie in the metadata. ``seal``: gives it as it is kept; called in the change that
    keeps it."""

    id: bytes
    seal: Callable[[], bytes]


@dataclass(frozen=True)
class Content:
    """What a body became: its chunks lie in the objects already, or come along in ``inline``.

    ``manifest``: its chunks in order (``Manifest.pack``). ``stored``: of each chunk that was written to the objects for
    it, the length there. ``since``: the number (``refs.now``) before its first chunk was looked for or written: what
    was collected after that is not taken for granted.
    """

    size_bytes: int
    sha1: str
    sha256: str
    manifest: bytes
    inline: tuple[InlineChunk, ...] = ()
    stored: Mapping[bytes, int] = field(default_factory=dict)
    since: int = 0

    def differs_from(self, claimed: str) -> bool:
        """``claimed``: a client's "SHA1:hex" or "SHA256:hex"; other algorithms are not judged."""
        kind, _, digest = claimed.partition(":")
        own = {"SHA1": self.sha1, "SHA256": self.sha256}.get(kind.strip().upper())
        return own is not None and own != digest.strip().lower()


EMPTY = Content(
    0,
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    Manifest().pack(),
)
