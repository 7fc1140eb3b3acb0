"""What comes out of mbox, EML and ZIP files, whole and damaged."""

from __future__ import annotations

import io
import mailbox
import random
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from beffroi.lib.errors import Invalid
from beffroi.mail.importing import archive, folders, letters
from beffroi.mail.importing.archive import Found
from beffroi.portal.commune_export.mails import as_mbox
from hypothesis import given, settings
from hypothesis import strategies as st

MAIL = b"From: a@b.fr\nSubject: %d\nMessage-ID: <%d@b>\nDate: Tue, 1 Jan 2019 10:00:00 +0100\n\n%b\n"


def mail(number: int, body: bytes = b"Bonjour") -> bytes:
    return MAIL % (number, number, body)


def read(data: bytes) -> list[Found]:
    return list(archive.read(io.BytesIO(data), "Reprise"))


def bodies(data: bytes) -> list[bytes]:
    return [one.letter.data.partition(b"\r\n\r\n")[2] for one in read(data) if one.letter]


def zipped(entries: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries.items():
            made.writestr(name, data)
    return held.getvalue()


def test_an_mbox_of_pythons_own_making_comes_out_as_it_went_in(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box")
    for number, body in enumerate((b"a", b"From here on\nFrom there", b"")):
        box.add(mail(number, body))
    box.close()
    assert bodies((tmp_path / "box").read_bytes()) == [b"a\r\n", b"From here on\r\nFrom there\r\n", b"\r\n"]


def test_a_line_that_begins_like_a_separator_inside_of_a_mail_cuts_nothing() -> None:
    data = b"From x Tue Jan  1 10:00:00 2019\n" + mail(1, b"Bonjour\nFrom now on\n>>From deeper") + b"\n"
    assert bodies(data) == [b"Bonjour\r\nFrom now on\r\n>From deeper\r\n"]


def test_files_that_were_put_together_without_an_empty_line_come_apart() -> None:
    one = b"From a@b Tue Jan  1 10:00:00 2019\nSubject: 1\n\nBonjour\nFrom Monday to Friday\nno end"
    two = b"From - Wed Oct 12 09:05:01 2022\nSubject: 2\n\nfin\n"
    found = [each.letter for each in archive.read(io.BytesIO(one + b"\n" + two + one), "F")]
    assert [each.data[:10] for each in found if each] == [b"Subject: 1", b"Subject: 2", b"Subject: 1"]
    assert found[0] and found[0].data.endswith(b"From Monday to Friday\r\nno end\r\n")


def test_flags_and_dates_come_from_what_programs_wrote() -> None:
    data = b"".join(
        b"From x Tue Jan  1 10:00:00 2019\n" + extra + mail(number) + b"\n"
        for number, extra in enumerate(
            (b"Status: RO\nX-Status: AF\n", b"X-Mozilla-Status: 0003\n", b"X-Mozilla-Status: 0008\n", b"")
        )
    )
    found = [one.letter for one in read(data) if one.letter]
    assert [one.flags for one in found] == [
        (b"\\Seen", b"\\Answered", b"\\Flagged"),
        (b"\\Seen", b"\\Answered"),
        (),  # the one before it was deleted in Thunderbird
    ]
    assert found[0].at == datetime(2019, 1, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "at"),
    [
        (
            b"Received: by b; Wed, 2 Jan 2019 08:00:00 +0000\nDate: Tue, 1 Jan 2019 10:00:00 +0000",
            (2019, 1, 2),
        ),
        (b"Received: by b; nonsense\nDate: Tue, 1 Jan 2019 10:00:00 +0000", (2019, 1, 1)),
        (b"Date: soon", (2017, 3, 4)),
        (b"Date: Tue, 1 Jan 1801 10:00:00 +0000", (2017, 3, 4)),
    ],
)
def test_a_date_is_the_best_that_can_be_read(header: bytes, at: tuple[int, int, int]) -> None:
    (one,) = read(b"From x Sat Mar  4 10:00:00 2017\n" + header + b"\n\nx\n")
    assert one.letter is not None
    assert (one.letter.at.year, one.letter.at.month, one.letter.at.day) == at


def test_a_zip_gives_mails_and_boxes_in_folders_of_its_own_names() -> None:
    box = b"From x Tue Jan  1 10:00:00 2019\n" + mail(3) + b"\n"
    data = zipped(
        {
            "Boîte/Urbanisme/1.eml": mail(1),
            "../../etc/2.eml": mail(2),
            "Locaux/Envoyés": box,
            "__MACOSX/Boîte/1.eml": mail(9),
        }
    )
    assert {(one.folder, one.reason) for one in read(data)} == {
        ("Reprise/Boîte/Urbanisme", ""),
        ("Reprise/_/_/etc", ""),
        ("Reprise/Locaux/Envoyés", ""),
    }


def test_a_file_of_a_zip_that_is_no_mail_is_named_and_what_systems_leave_there_is_not() -> None:
    data = zipped(
        {
            "Boîte/INBOX.msf": b"// index",
            "archives/2019.pst": b"!BDN",
            "Boîte/1.eml": mail(1),
            "Boîte/Vide": b"",
            "Boîte/.DS_Store": b"x",
            "__MACOSX/Boîte/2.txt": b"x",
        }
    )
    told = {(one.reason, one.name) for one in read(data) if one.letter is None}
    assert told == {("no_mail", "Boîte/INBOX.msf"), ("no_mail", "archives/2019.pst")}


def test_what_is_too_large_or_damaged_is_told_and_the_next_one_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(letters, "MAX_BYTES", 1000)
    large = mail(1, b"x" * 5000)
    box = b"".join(b"From x\n" + one + b"\n" for one in (large, mail(2)))
    assert [one.reason for one in read(box)] == ["too_large", ""]
    assert [one.reason for one in read(large)] == ["too_large"]
    data = zipped({"1.eml": mail(1, b"unique"), "2.eml": mail(2)})
    where = data.index(b"1.eml") + 8
    spoilt = data[:where] + bytes(20) + data[where + 20 :]
    assert [one.reason for one in read(spoilt)] == ["unreadable", ""]


@pytest.mark.parametrize("data", [b"", b"hello\n", b"PK\x03\x04 nothing", b"%PDF-1.4\n"])
def test_any_other_file_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        read(data)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_content_of_an_mbox_breaks_the_reader(noise: bytes) -> None:
    for found in read(b"From x\n" + noise):
        assert found.letter is not None or found.reason


def test_a_damaged_entry_of_any_compression_is_told() -> None:
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as made:
            made.writestr("a.eml", b"From: a@b\n\n" + random.Random(1).randbytes(4000))
        data = bytearray(file.getvalue())
        data[200:220] = b"\xff" * 20
        found = list(archive.read(io.BytesIO(bytes(data)), "F"))
        assert [one.reason for one in found] == ["unreadable"], method


@pytest.mark.parametrize("depth", range(1, 60))
def test_any_depth_of_an_archive_becomes_a_folder_that_can_be_made(depth: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("..a b/" * depth + "boîte.mbox", b"From x\nA: b\n\nc\n")
        made.writestr("..a b/" * depth + "un.eml", b"A: b\n\nc\n")
    for one in archive.read(io.BytesIO(file.getvalue()), "Reprise"):
        assert one.letter and len(one.folder) <= folders.MAX_TARGET_CHARS
        assert all(folders.safe(part) == part for part in one.folder.split("/"))


def test_what_a_collectivite_took_along_is_read_back_as_it_was() -> None:
    """Communes that merge: an exported mailbox of the former is brought into one of the other (runbook merger)."""
    at = datetime(2026, 11, 3, 8, 15, 30, tzinfo=UTC)
    mails = [
        (b"Subject: un\r\nStatus: RO\r\n\r\nFrom here on\r\n>From there\r\n\r\n", (b"\\Seen", b"\\Flagged")),
        (b"Subject: deux\r\n\r\n", ()),
        (b"Subject: trois\r\n\r\nsans fin", (b"\\Answered",)),
    ]
    text = b"".join(as_mbox(data, at, flags) for data, flags in mails)
    found = [one.letter for one in read(text)]
    assert len(found) == len(mails)
    for letter, (data, flags) in zip(found, mails, strict=True):
        assert letter is not None and letter.at == at
        assert set(letter.flags) == set(flags)
        body, was = (one.replace(b"\r\n", b"\n").partition(b"\n\n")[2] for one in (letter.data, data))
        assert body.rstrip(b"\n") == was.rstrip(b"\n")
