"""Export as a SEDA transfer: ``manifest.xml`` and the files, as the ZIP (SIP) that VITAM takes.

Purpose: hand délibérations, arrêtés and minutes over to an archive service, described and with their hashes.
Input:   paths are hostile: no name of a file is a name in the package (``content/ID…``); what stands in the XML is
         text that XML can hold.
Fails:   ContentChanged, SamePath, TransferInvalid: the stream ends in the middle. ``manifest.xml`` comes last: what is
         broken off has none.
Source:  SEDA 2.1, 2.2, 2.3 (Archives de France), in what the three have in common; NF Z44-022;
         docs/internals/drive-archives.md.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from lxml import etree

from beffroi.drive.archives import formats, names, streams
from beffroi.drive.archives.entries import Entries, SamePath, content
from beffroi.lib.codes import is_insee, is_siren
from beffroi.lib.errors import Invalid

type Version = Literal["2.1", "2.2", "2.3"]
type Scheme = Literal["SIREN", "INSEE", "agreed"]
type Fault = Literal["", "empty", "siren", "insee"]
MANIFEST, CONTENT = "manifest.xml", "content"
MAX_DEPTH = 40
"""Folders in folders that become units in units; what lies deeper stays in the last one, with its path as title."""
_TOKEN = re.compile(r"[ \t\r\n]+")
_FAULTS: dict[Fault, str] = {
    "empty": "a field is empty",
    "siren": "a SIREN has 9 digits, the last of which checks the others",
    "insee": "an INSEE code of a commune has 5 signs",
}


class TransferInvalid(Invalid):
    """This transfer cannot be made: {}."""

    code = "drive.transfer_invalid"


@dataclass(frozen=True)
class Agency:
    """``identifier``: SIREN (9 digits) or INSEE code of a commune (5), or what the archive service agreed upon;
    ``scheme``: which."""

    identifier: str
    scheme: Scheme
    name: str

    @property
    def fault(self) -> Fault:
        """Of the identifier: that there is none, or what it should be and is not; "" for a good one."""
        if not _token(self.identifier):
            return "empty"
        if self.scheme == "SIREN" and not is_siren(self.identifier):
            return "siren"
        return "insee" if self.scheme == "INSEE" and not is_insee(self.identifier) else ""


@dataclass(frozen=True)
class Rule:
    """A management rule of the archive service: its code there, from when it counts."""

    code: str
    start: date


@dataclass(frozen=True)
class Transfer:
    """``document_type``: as of ``retention.TABLE``, a French title; ``agreement``: the "contrat d'entrée";
    ``final``: what comes after the appraisal rule; ``first``, ``last``: dates of the documents."""

    identifier: str
    at: datetime
    title: str
    document_type: str
    first: date
    last: date
    archival: Agency
    transferring: Agency
    originating: Agency
    agreement: str = ""
    appraisal: Rule | None = None
    final: Literal["Keep", "Destroy"] = "Keep"
    access: Rule | None = None
    version: Version = "2.2"

    def check(self) -> None:
        """Errors: TransferInvalid."""
        for one in (self.archival, self.transferring, self.originating):
            if one.fault:
                raise TransferInvalid(_FAULTS[one.fault])
        rules = [rule.code for rule in (self.appraisal, self.access) if rule is not None]
        for text in (self.identifier, self.title, self.document_type, *rules):
            if not _token(text):
                raise TransferInvalid(_FAULTS["empty"])
        if self.at.tzinfo is None:
            raise TransferInvalid("its time has no zone")
        if self.last < self.first:
            raise TransferInvalid("its last date is before the first")

    @property
    def namespace(self) -> str:
        return f"fr:gouv:culture:archivesdefrance:seda:v{self.version}"


@dataclass(frozen=True, slots=True)
class _File:
    """One file that was written. ``folders``, ``name``: of its path."""

    number: int
    folders: tuple[str, ...]
    name: str
    uri: str
    size_bytes: int
    mtime_s: int
    sha512: str
    format: formats.Format


def package(entries: Entries, transfer: Transfer) -> Iterator[bytes]:
    """Give the ZIP piece by piece. Errors: TransferInvalid at once; ContentChanged, SamePath, OSError of the store."""
    transfer.check()
    return _pieces(entries, transfer)


def _pieces(entries: Entries, transfer: Transfer) -> Iterator[bytes]:
    out = streams.ZipStream()
    seen: set[str] = set()
    files = []
    for number, entry in enumerate(entries, 1):
        if entry.path in seen:
            raise SamePath(number)
        seen.add(entry.path)
        *folders, name = entry.path.split("/")
        uri = f"{CONTENT}/ID{number}{names.extension(name)}"
        digest, look = hashlib.sha512(), formats.Look()
        pieces = content(entry, number, digest, look)
        yield from out.member(uri, entry.size_bytes, entry.mtime_s, pieces)
        kind = look.found(name)
        files.append(
            _File(
                number, tuple(folders), name, uri, entry.size_bytes, entry.mtime_s, digest.hexdigest(), kind
            )
        )
    files.sort(key=lambda file: (file.folders, file.name))
    yield from out.member(MANIFEST, None, int(transfer.at.timestamp()), _manifest(transfer, files))
    yield from out.close()


def _manifest(transfer: Transfer, files: Sequence[_File]) -> Iterator[bytes]:
    """The XML in pieces: no tree of it is ever in memory."""
    sink = streams.Sink()
    with etree.xmlfile(sink, encoding="UTF-8", buffered=False) as out:
        out.write_declaration()
        write = _Writer(out, transfer.namespace)
        with write.element("ArchiveTransfer"):
            write.text("Comment", transfer.title)
            write.text("Date", transfer.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            write.token("MessageIdentifier", transfer.identifier)
            if _token(transfer.agreement):
                write.token("ArchivalAgreement", transfer.agreement)
            _code_lists(write, transfer)
            with write.element("DataObjectPackage"):
                for file in files:
                    _data_object(write, file)
                    yield from sink.taken()
                with write.element("DescriptiveMetadata"):
                    yield from _units(write, sink, transfer, files)
                _management_metadata(write, transfer)
            _agency(write, "ArchivalAgency", transfer.archival)
            _agency(write, "TransferringAgency", transfer.transferring)
    yield from sink.taken()


class _Writer:
    """Elements of one namespace, into lxml's incremental file."""

    def __init__(self, out: Any, namespace: str) -> None:
        self._out, self._namespace = out, namespace

    def element(self, name: str, **attributes: str) -> Any:
        return self._out.element(f"{{{self._namespace}}}{name}", attributes, nsmap={None: self._namespace})

    def text(self, name: str, text: str, **attributes: str) -> None:
        with self.element(name, **attributes):
            self._out.write(names.shown(text))

    def token(self, name: str, text: str, **attributes: str) -> None:
        """As xsd:token wants it."""
        self.text(name, _token(text), **attributes)


def _code_lists(write: _Writer, transfer: Transfer) -> None:
    with write.element("CodeListVersions"):
        write.token("MessageDigestAlgorithmCodeListVersion", "SHA-512")
        write.token("MimeTypeCodeListVersion", "IANA")
        write.token("FileFormatCodeListVersion", "PRONOM")
        if transfer.appraisal is not None:
            write.token("AppraisalRuleCodeListVersion", transfer.archival.identifier)
        if transfer.access is not None:
            write.token("AccessRuleCodeListVersion", transfer.archival.identifier)


def _data_object(write: _Writer, file: _File) -> None:
    with (
        write.element("DataObjectGroup", id=f"GROUP{file.number}"),
        write.element("BinaryDataObject", id=f"ID{file.number}"),
    ):
        write.token("DataObjectVersion", "BinaryMaster_1")
        write.text("Uri", file.uri)
        write.text("MessageDigest", file.sha512, algorithm="SHA-512")
        if file.size_bytes:  # the schema knows no file of 0 bytes
            write.text("Size", str(file.size_bytes))
        with write.element("FormatIdentification"):
            write.text("FormatLitteral", file.format.literal)
            write.token("MimeType", file.format.media_type)
            if file.format.pronom:
                write.token("FormatId", file.format.pronom)
        with write.element("FileInfo"):
            write.text("Filename", _titled(file.name))
            if modified := _modified(file.mtime_s):
                write.text("LastModified", modified)


def _units(write: _Writer, sink: streams.Sink, transfer: Transfer, files: Sequence[_File]) -> Iterator[bytes]:
    """One unit for the whole, in it one a folder, in it one a file. ``files``: in order of their folders."""
    open_units: list[tuple[str, Any]] = []
    number = 0
    with write.element("ArchiveUnit", id="UNIT"):
        _management(write, transfer)
        with write.element("Content"):
            write.text("DescriptionLevel", "RecordGrp")
            write.text("Title", transfer.title)
            write.text("DocumentType", transfer.document_type)
            with write.element("OriginatingAgency"):
                write.token("Identifier", transfer.originating.identifier, **_scheme(transfer.originating))
            write.text("StartDate", transfer.first.isoformat())
            write.text("EndDate", transfer.last.isoformat())
        for file in files:
            folders, rest = file.folders[:MAX_DEPTH], file.folders[MAX_DEPTH:]
            same = 0
            while same < min(len(open_units), len(folders)) and open_units[same][0] == folders[same]:
                same += 1
            while len(open_units) > same:
                open_units.pop()[1].__exit__(None, None, None)
            for folder in folders[same:]:
                number += 1
                unit = write.element("ArchiveUnit", id=f"FOLDER{number}")
                unit.__enter__()
                open_units.append((folder, unit))
                with write.element("Content"):
                    write.text("DescriptionLevel", "RecordGrp")
                    write.text("Title", _titled(folder))
            with write.element("ArchiveUnit", id=f"UNIT{file.number}"):
                with write.element("Content"):
                    write.text("DescriptionLevel", "Item")
                    write.text("Title", _titled("/".join((*rest, file.name))))
                with write.element("DataObjectReference"):
                    write.text("DataObjectGroupReferenceId", f"GROUP{file.number}")
            yield from sink.taken()
        while open_units:
            open_units.pop()[1].__exit__(None, None, None)


def _management(write: _Writer, transfer: Transfer) -> None:
    if transfer.appraisal is None and transfer.access is None:
        return
    with write.element("Management"):
        if transfer.appraisal is not None:
            with write.element("AppraisalRule"):
                write.token("Rule", transfer.appraisal.code)
                write.text("StartDate", transfer.appraisal.start.isoformat())
                write.text("FinalAction", transfer.final)
        if transfer.access is not None:
            with write.element("AccessRule"):
                write.token("Rule", transfer.access.code)
                write.text("StartDate", transfer.access.start.isoformat())


def _management_metadata(write: _Writer, transfer: Transfer) -> None:
    with write.element("ManagementMetadata"):
        write.text("LegalStatus", "Public Archive")
        write.token(
            "OriginatingAgencyIdentifier", transfer.originating.identifier, **_scheme(transfer.originating)
        )
        write.token(
            "SubmissionAgencyIdentifier", transfer.transferring.identifier, **_scheme(transfer.transferring)
        )


def _agency(write: _Writer, name: str, agency: Agency) -> None:
    with write.element(name):
        write.token("Identifier", agency.identifier, **_scheme(agency))


def _scheme(agency: Agency) -> dict[str, str]:
    """The name stands here, since the schema leaves an agency's description open."""
    scheme: dict[str, str] = {} if agency.scheme == "agreed" else {"schemeID": agency.scheme}
    return {**scheme, "schemeName": names.shown(agency.name)} if agency.name else scheme


def _titled(name: str) -> str:
    """Never empty: a title is what an archivist sees."""
    seen = any(unicodedata.category(letter)[0] not in "ZC" for letter in name)
    return name if seen else "(sans nom)"


def _token(text: str) -> str:
    return _TOKEN.sub(" ", names.shown(_TOKEN.sub(" ", text))).strip(" ")


def _modified(mtime_s: int) -> str:
    """ "" for a time that XML's dates of four digits cannot say."""
    try:
        at = datetime.fromtimestamp(mtime_s, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at.year >= 1000 else ""
