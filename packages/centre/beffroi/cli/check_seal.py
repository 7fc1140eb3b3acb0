"""`check seal PACKAGE`: whether a proof of one file, or an export of a sealed folder, is what it says.

Process: the person's own, on any machine that has this program: no centre, no state, no network.
Output:  French, a line a question. Status 0 when every answer is good, 1 when one is not.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from beffroi.drive.archives import far, names
from beffroi.drive.archives.far import Shown
from beffroi.drive.archives.manifest import Line
from beffroi.lib.errors import BeffroiError

MOST_TOLD = 20


class KeyUnclear(BeffroiError):
    """A key of seals is 64 hexadecimal digits, as the audit log of the collectivité names it."""

    code = "cli.key_unclear"


class NotReadable(BeffroiError):
    """{} cannot be read: {}"""

    code = "cli.not_readable"


class NoProof(BeffroiError):
    """This is an export of a whole folder; --document goes with the proof of one file."""

    code = "cli.no_proof"


def main(package: Path, *, document: Path | None, key: str) -> int:
    """Errors: Malformed, KeyUnclear, NotReadable, NoProof."""
    try:
        wanted = bytes.fromhex(key)
    except ValueError:
        raise KeyUnclear() from None
    if key and len(wanted) != 32:
        raise KeyUnclear()
    try:
        shown = far.show(package, wanted or None)
    except OSError as error:
        raise NotReadable(package, error.strerror) from None
    if document is not None and shown.proved is None and not shown.is_proof:
        raise NoProof()
    of = shown.statement.subject
    end = f"jusqu’au {_day(of.until_s)}" if of.until_s is not None else "sans terme"
    print(f"Dossier « {names.escaped(of.name)} », {shown.statement.files} fichiers")
    print(f"scellé le {_day(of.sealed_at_s)}, {end}\n")
    _tell(
        shown.is_signed,
        "Signature",
        f"par la clé {shown.key.hex()}" if shown.is_signed else "elle n’est pas de cette clé",
    )
    if not key and shown.is_signed:
        print(
            f"{'':11}La clé est celle du paquet : comparez-la à celle du journal de la collectivité (ou --key)."
        )
    if shown.is_proof:
        is_good = _tell_proof(shown, document)
    else:
        is_good = _tell_bag(shown)
    if shown.has_stamp:
        print("[  --  ] Horodatage : joint ; openssl ts le vérifie (docs/internals/drive-archives.md)")
    return 0 if shown.is_signed and is_good else 1


def _tell_proof(shown: Shown, document: Path | None) -> bool:
    line = shown.proved
    if line is None:
        _tell(
            False,
            "Preuve",
            "elle ne mène pas à ce sceau : elle a été changée, ou elle est d’un autre dossier",
        )
        return False
    _tell(
        True,
        "Preuve",
        f"« {names.shown(line.path)} » était dans ce dossier, {line.size_bytes} octets, SHA-256 {line.sha256}",
    )
    if document is None:
        return True
    is_same = _is_same(document, line)
    _tell(is_same, "Document", "c’est ce fichier, octet pour octet" if is_same else "ce n’est pas ce fichier")
    return is_same


def _tell_bag(shown: Shown) -> bool:
    what = (
        "chacun des fichiers scellés, et aucun autre"
        if shown.is_whole
        else "ce ne sont pas les fichiers qui ont été scellés"
    )
    _tell(shown.is_whole, "Contenu", what)
    if not shown.damages:
        _tell(True, "Paquet", "complet, chaque fichier a son empreinte")
    for one in shown.damages[:MOST_TOLD]:
        _tell(False, names.escaped(one.path) or "Paquet", one.kind.sentence)
    if len(shown.damages) > MOST_TOLD:
        print(f"{'':9}et {len(shown.damages) - MOST_TOLD} autres")
    return shown.is_whole and not shown.damages


def _is_same(document: Path, line: Line) -> bool:
    """Errors: NotReadable."""
    try:
        with document.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == line.sha256
    except OSError as error:
        raise NotReadable(document, error.strerror) from None


def _tell(is_good: bool, what: str, said: str) -> None:
    print(f"[{'bon' if is_good else 'FAUX':^6}] {what} : {said}")


def _day(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%d/%m/%Y à %H:%M UTC")
