"""A BagIt bag as one ZIP, written from its first byte to its last without a way back. Pure.

Purpose: what archives take in and check without us: every mail as it is (EML), its SHA-256 in ``manifest-sha256.txt``,
         and that of the manifest in ``tagmanifest-sha256.txt``.
Hostile: names of folders. They become names of directories here, without anything that a system could take for more.
Source:  RFC 8493; checked by the Library of Congress's own ``bagit`` in the tests. That library makes bags of
         directories that lie on the disk in clear, which is why it is not used here.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
import zipfile
from collections.abc import Mapping
from datetime import UTC, date, datetime

from beffroi.mail.closing.vault import Sink

ALGORITHM = "sha256"
_MAX_NAME_CHARS = 60
_ALLOWED = " -_'()"


def directory(number: int, folder: str) -> str:
    """Name of the directory of a mail folder: a number, which keeps it apart, then what can be shown of its name."""
    plain = unicodedata.normalize("NFC", folder.replace("/", " - "))
    shown = "".join(sign if sign.isalnum() or sign in _ALLOWED else "_" for sign in plain)
    return f"{number:03d} {shown[:_MAX_NAME_CHARS].strip()}".strip()


def base(address: str, day: date) -> str:
    """Name of the bag of a mailbox, and of its ZIP: an address may hold what a path may not."""
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in ".-") else "-" for sign in address)
    return f"{plain.lstrip('.')}-{day:%Y-%m-%d}"


class Bag:
    """``name``: the one directory at the top of the ZIP. ``out`` is ended by whoever opened it."""

    def __init__(self, out: Sink, name: str, *, at: datetime) -> None:
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)
        self._base, self._at = name, at
        self._manifest: list[str] = []
        self._size_bytes = 0
        self._folders: dict[str, str] = {}

    def folder(self, name: str) -> str:
        """Begin a folder; return the name of its directory."""
        made = directory(len(self._folders) + 1, name)
        self._folders[made] = name
        return made

    def mail(self, folder: str, number: int, data: bytes, received: datetime) -> None:
        """Add one mail to a directory that ``folder`` gave. ``number``: unique in it; ``received``: aware."""
        path = f"data/{folder}/{number:06d} {received.astimezone(UTC):%Y-%m-%d}.eml"
        self._manifest.append(f"{hashlib.sha256(data).hexdigest()}  {path}\n")
        self._size_bytes += len(data)
        self._write(path, data, received)

    def close(self, info: Mapping[str, str], readme: str) -> str:
        """Write what describes the bag, and end the ZIP; return the SHA-256 of the manifest.

        ``info``: lines of ``bag-info.txt`` besides date and size.
        """
        about = {
            "Bagging-Date": f"{self._at:%Y-%m-%d}",
            "Payload-Oxum": f"{self._size_bytes}.{len(self._manifest)}",
            **info,
        }
        folders = json.dumps(self._folders, ensure_ascii=False, indent=1)
        tags = {
            "bagit.txt": "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
            "bag-info.txt": "".join(f"{name}: {' '.join(text.split())}\n" for name, text in about.items()),
            "dossiers.json": folders + "\n",
            "LISEZMOI.txt": readme,
            f"manifest-{ALGORITHM}.txt": "".join(self._manifest),
        }
        sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in tags.items()}
        for name, text in tags.items():
            self._write(name, text.encode(), self._at)
        told = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
        self._write(f"tagmanifest-{ALGORITHM}.txt", told.encode(), self._at)
        self._zip.close()
        return sums[f"manifest-{ALGORITHM}.txt"]

    def abandon(self) -> None:
        """Nothing more is written, not at the end of the object either."""
        self._zip.fp = None

    def _write(self, path: str, data: bytes, at: datetime) -> None:
        # A ZIP knows no time before 1980 nor after 2107.
        moment = at.astimezone(UTC)
        when = moment.timetuple()[:6] if 1980 <= moment.year <= 2107 else (1980, 1, 1, 0, 0, 0)
        member = zipfile.ZipInfo(f"{self._base}/{path}", when)
        member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
        self._zip.writestr(member, data)
