"""What a look at a sealed folder found: for people in French sentences, for programs as JSON. Pure.

Purpose: say whether each file is there as it was, whether the signature is ours and what proves the time; nothing is
         called intact that was not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from cryptography.x509 import Certificate

from beffroi.drive.archives import manifest, merkle, stamps
from beffroi.drive.archives.entries import ContentChanged, Entries, Progress, content

type Difference = Literal["content", "size", "date"]
type StampState = Literal["none", "unchecked", "valid", "invalid"]


@dataclass(frozen=True)
class Sentence:
    """``msgid``: a French source string with named places; ``values``: what goes there."""

    msgid: str
    values: Mapping[str, str | int] = field(default_factory=dict)

    def text(self) -> str:
        return self.msgid % self.values


@dataclass(frozen=True)
class Report:
    """Paths are escaped (``names.escaped``), in order. ``read``: whether contents were read again, or only the store's
    hashes compared. ``listed``: the list is the one that the statement's root covers. ``whole``: a statement and a list
    could be read at all; without, nothing else is said. ``stamp``: of the
    outside authority, "unchecked" where none is trusted; ``stamped_at_s``, ``stamped_by``: of a valid one."""

    whole: bool
    signed: bool = False
    listed: bool = False
    read: bool = False
    statement: manifest.Statement | None = None
    present: int = 0
    absent: tuple[str, ...] = ()
    changed: tuple[tuple[str, tuple[Difference, ...]], ...] = ()
    added: tuple[str, ...] = ()
    stamp: StampState = "none"
    stamped_at_s: int = 0
    stamped_by: str = ""

    @property
    def intact(self) -> bool:
        differences = self.absent or self.changed or self.added
        return self.whole and self.signed and self.listed and not differences and self.stamp != "invalid"

    def sentences(self) -> list[Sentence]:
        """The verdict first, then why."""
        if not self.whole or self.statement is None:
            return [
                Sentence(
                    "Le sceau de ce dossier ne peut pas être lu. Rien ne peut être affirmé de son contenu."
                )
            ]
        said = [Sentence(_INTACT if self.intact else _NOT_INTACT)]
        said.append(Sentence(_SIGNED if self.signed else _UNSIGNED))
        if not self.listed:
            said.append(Sentence("La liste des fichiers n'est plus celle qui a été scellée."))
        subject = self.statement.subject
        said.append(Sentence("Dossier scellé le %(day)s.", {"day": _day(subject.sealed_at_s)}))
        if subject.until_s is None:
            said.append(Sentence("Le sceau n'a pas de fin."))
        else:
            said.append(Sentence("Le sceau va jusqu'au %(day)s.", {"day": _day(subject.until_s)}))
        said.append(Sentence(_READ if self.read else _COMPARED))
        counts = (
            ("Fichiers intacts\u00a0: %(count)d.", self.present),
            ("Fichiers absents\u00a0: %(count)d.", len(self.absent)),
            ("Fichiers modifiés\u00a0: %(count)d.", len(self.changed)),
            ("Fichiers ajoutés depuis\u00a0: %(count)d.", len(self.added)),
        )
        said += [Sentence(msgid, {"count": count}) for msgid, count in counts]
        said.append(self._time(subject))
        return said

    def _time(self, subject: manifest.Subject) -> Sentence:
        if self.stamp == "valid":
            values = {"day": _day(self.stamped_at_s), "authority": self.stamped_by}
            return Sentence("Date prouvée par l'horodatage de %(authority)s\u00a0: le %(day)s.", values)
        if self.stamp == "invalid":
            return Sentence("L'horodatage joint n'est pas valable.")
        if self.stamp == "unchecked":
            return Sentence(
                "Un horodatage est joint, mais aucune autorité n'est reconnue ici pour le contrôler."
            )
        return Sentence(
            "Sans horodatage extérieur. Le sceau cite l'entrée %(position)d du journal d'audit\u00a0: "
            "il a été posé après elle.",
            {"position": subject.audit_position},
        )

    def as_json(self) -> dict[str, object]:
        subject = self.statement.subject if self.statement else None
        return {
            "beffroi": "seal-report/1",
            "intact": self.intact,
            "whole": self.whole,
            "signed": self.signed,
            "listed": self.listed,
            "content_read": self.read,
            "sealed_at": manifest.instant(subject.sealed_at_s) if subject else None,
            "until": manifest.instant(subject.until_s) if subject and subject.until_s is not None else None,
            "audit_position": subject.audit_position if subject else None,
            "audit_hash": subject.audit_hash if subject else None,
            "root": self.statement.root if self.statement else None,
            "stamp": self.stamp,
            "stamped_at": manifest.instant(self.stamped_at_s) if self.stamp == "valid" else None,
            "stamped_by": self.stamped_by or None,
            "present": self.present,
            "absent": list(self.absent),
            "changed": [{"path": path, "what": list(what)} for path, what in self.changed],
            "added": list(self.added),
        }


def _day(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%d/%m/%Y à %H:%M (UTC)")


_INTACT = "Le dossier est intact\u00a0: rien n'y manque, rien n'a été modifié ni ajouté."
_NOT_INTACT = "Le dossier n'est plus tel qu'il a été scellé, ou son sceau ne peut pas être cru."
_SIGNED = "La signature du sceau est valable."
_UNSIGNED = "La signature du sceau n'est pas valable, ou n'est pas celle de ce centre."
_READ = "Le contenu de chaque fichier a été relu."
_COMPARED = "Les empreintes connues du coffre ont été comparées, sans relire les contenus."


def verify(
    sealed: manifest.Sealed,
    entries: Entries,
    *,
    keys: Sequence[bytes],
    read: bool,
    authorities: Sequence[Certificate] = (),
    progress: Progress | None = None,
) -> Report:
    """Compare a folder with its seal. ``keys``: trusted public keys; ``authorities``: trusted roots of time stamps;
    ``read``: every content is read again.

    Errors: OSError of the store alone."""
    try:
        statement = manifest.read_statement(sealed.statement)
        lines = {line.path: line for line in manifest.read_files(sealed.files)}
    except manifest.Malformed:
        return Report(whole=False)
    texts = [line.text() for line in lines.values()]
    size_bytes = sum(line.size_bytes for line in lines.values())
    listed = (statement.files, statement.size_bytes, statement.root) == (
        len(texts),
        size_bytes,
        merkle.root(texts).hex(),
    )
    present, seen = 0, set[str]()
    changed: list[tuple[str, tuple[Difference, ...]]] = []
    added: list[str] = []
    for number, entry in enumerate(entries, 1):
        now = manifest.line_of(entry)
        then = lines.get(now.path)
        if then is None or now.path in seen:
            added.append(now.path)
            continue
        seen.add(now.path)
        same: dict[Difference, bool] = {
            "content": then.sha256 == now.sha256,
            "size": then.size_bytes == now.size_bytes,
            "date": then.mtime_s == now.mtime_s,
        }
        if read and same["content"]:
            try:
                for _ in content(entry, number, progress or Progress()):
                    pass
            except ContentChanged:
                same["content"] = False
        if all(same.values()):
            present += 1
        else:
            changed.append((now.path, tuple(what for what, well in same.items() if not well)))
    state, at_s, by = _stamped(sealed, authorities)
    return Report(
        whole=True,
        signed=manifest.signed_by(keys, sealed) is not None,
        listed=listed,
        read=read,
        statement=statement,
        present=present,
        absent=tuple(sorted(path for path in lines if path not in seen)),
        changed=tuple(sorted(changed)),
        added=tuple(sorted(added)),
        stamp=state,
        stamped_at_s=at_s,
        stamped_by=by,
    )


def _stamped(sealed: manifest.Sealed, authorities: Sequence[Certificate]) -> tuple[StampState, int, str]:
    if sealed.stamp is None:
        return "none", 0, ""
    if not authorities:
        return "unchecked", 0, ""
    try:
        stamp = stamps.verify(sealed.stamp, sealed.statement, authorities)
    except stamps.StampInvalid:
        return "invalid", 0, ""
    return "valid", int(stamp.at.timestamp()), stamp.authority
