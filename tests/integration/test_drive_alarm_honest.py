"""Honest work by the pages and by programs, through the real server: nobody is stopped for it. One person does all of
it within minutes, so that what each thing weighs adds up. Names of chance, one after the other, are an alarm."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from beffroi.drive import recovery
from beffroi.drive.web import granted
from PIL import Image

from tests import drive_alarming, drive_files
from tests.drive_alarming import (
    COLLEAGUE,
    COMMON,
    act,
    content_of,
    judged,
    metadata,
    raised,
    stopped_after,
    town_hall,
)
from tests.drive_files import made
from tests.drive_server import Served
from tests.integration.test_drive_abuse import _cookie as cookie

drive = drive_alarming.drive
FOLDERS = 4


def photo(rng: random.Random, edge_px: int, quality: int) -> bytes:
    out = io.BytesIO()
    noise = Image.effect_noise((edge_px, edge_px), rng.randrange(20, 60))
    noise.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


def by_page(drive: Served, folder: str, name: str, data: bytes) -> None:
    with metadata(drive) as database, database.reading() as reading:
        ids = dict(reading.all("SELECT name, id FROM node WHERE is_folder = 1"))
    told = {"folder": ids[folder], "name": name, "size_bytes": len(data), "taken": "replace"}
    headers = {
        "Cookie": cookie(drive, granted.IN_PATH, "per_alice"),
        "X-Beffroi-File": quote(json.dumps(told)),
    }
    answer = drive.exchange("POST", "/coffre/envoi/fichier", data, headers)
    assert answer[0] == 201, (answer, raised(drive))


def put(drive: Served, path: str, data: bytes) -> None:
    assert drive.ask("PUT", f"{COMMON}/{quote(path)}", data)[0] in (201, 204)


def places(count: int, ending: str) -> Iterator[tuple[str, str]]:
    for number in range(count):
        yield f"f{number % FOLDERS}", f"piece {number}.{ending}"


def smaller_photos(drive: Served, rng: random.Random) -> None:
    """Of a telephone, replaced by the page with smaller ones of the same names."""
    for folder, name in places(40, "jpg"):
        put(drive, f"{folder}/{name}", photo(rng, 300, 95))
    for folder, name in places(40, "jpg"):
        by_page(drive, folder, name, photo(rng, 120, 60))


def saved_as_docx(drive: Served, rng: random.Random) -> None:
    """By a script over WebDAV."""
    for number, (folder, name) in enumerate(places(60, "odt")):
        put(drive, f"{folder}/{name}", made("odt", number % 8))
    for number, (folder, name) in enumerate(places(60, "odt")):
        put(drive, f"{folder}/{name[:-4]}.docx", made("docx", number % 8))
        assert drive.ask("DELETE", f"{COMMON}/{folder}/{quote(name)}")[0] == 204


def printed_to_pdf(drive: Served, rng: random.Random) -> None:
    for number, (folder, name) in enumerate(places(40, "pdf")):
        by_page(drive, folder, name, made("pdf", number % 8))


def scanned_with_password(drive: Served, rng: random.Random) -> None:
    """The copier's last scan, over and over, and forty of their own names."""
    for number in range(40):
        data = drive_files.pdf_with_password(rng)
        put(drive, "f0/dernier.pdf", data)
        put(drive, f"f0/numérisation {number}.pdf", data)


def tables_with_passwords(drive: Served, rng: random.Random) -> None:
    """Twelve get one, and are saved with it day by day."""
    for folder, name in places(12, "xlsx"):
        put(drive, f"{folder}/{name}", made("xlsx", 1))
    for _ in range(3):
        for folder, name in places(12, "xlsx"):
            by_page(drive, folder, name, drive_files.docx_with_password(rng))


def film_sent_while_it_is_written(drive: Served, rng: random.Random) -> None:
    data = drive_files.film(rng, 900_000)
    for end in (0, len(data) // 3, data.rindex(b"moov") - 4, len(data)):
        put(drive, "f1/fête.mp4", data[:end])


def unpacked(drive: Served, rng: random.Random) -> None:
    """An archive is sent and unpacked over what was there; then it goes."""
    put(drive, "f2/dossier.zip", made("zip", 1))
    for number, (folder, name) in enumerate(places(40, "docx")):
        put(drive, f"{folder}/{name}", made("docx", (number + 5) % 8))
    assert drive.ask("DELETE", f"{COMMON}/f2/dossier.zip")[0] == 204


def named_anew(drive: Served, rng: random.Random) -> None:
    """All that is chosen gets one name and a number."""
    for number, (folder, name) in enumerate(places(40, "jpg")):
        target = f"{drive.url}{COMMON}/{folder}/Mairie%20-%20{number:03}.jpg"
        assert drive.ask("MOVE", f"{COMMON}/{folder}/{quote(name)}", Destination=target)[0] == 201


HONEST = [
    smaller_photos,
    saved_as_docx,
    printed_to_pdf,
    scanned_with_password,
    tables_with_passwords,
    film_sent_while_it_is_written,
    unpacked,
    named_anew,
]


def test_a_day_of_honest_work_stops_nobody(drive: Served) -> None:
    for number in range(FOLDERS):
        assert drive.ask("MKCOL", f"{COMMON}/f{number}")[0] == 201
    rng = random.Random(230)
    for work in HONEST:
        work(drive, rng)
        judged(drive)
        assert raised(drive) == [], work.__name__


@pytest.mark.parametrize("ending", ["", ".x{}q"])
def test_who_gives_names_of_chance_is_stopped_and_the_names_come_back(drive: Served, ending: str) -> None:
    files = town_hall(drive)
    judged(drive)
    rng = random.Random(231)

    def rename(number: int, path: str) -> list[int]:
        folder = path.partition("/")[0]
        target = f"{drive.url}{COMMON}/{folder}/{rng.randbytes(8).hex()}{ending.format(number)}"
        return [drive.ask("MOVE", f"{COMMON}/{path}", Destination=target)[0]]

    assert stopped_after(drive, files, rename) <= 31, (
        "docs/internals/ransomware.md: 30, and one that came meanwhile"
    )
    (alarm,) = raised(drive)
    assert alarm.counts == {"scrambled": 30}
    with metadata(drive) as database:
        recovery.carry_out(database, act(), alarm.device_id)
    assert content_of(drive, files) == files
    assert drive.ask("PROPFIND", COLLEAGUE, login="amir", Depth="0")[0] == 207
