"""Packages of seals that somebody made to deceive or to exhaust who checks them: each is told, in bounded memory."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.cli import check_seal
from beffroi.drive.archives import bagcheck, bagit, far, manifest, merkle, streams
from beffroi.drive.archives.bagcheck import Damage, Kind
from beffroi.drive.archives.manifest import Malformed
from beffroi.drive.seals.key import public_pem

from tests.archive_entries import KEY, SUBJECT, as_tar, folder, joined
from tests.unit.test_drive_archives_far import ABOUT, FILES, bag, packed, proof, seal
from tests.waiting import PATIENCE_S


def tarred(path: Path, *more: tuple[tarfile.TarInfo, bytes]) -> Path:
    """A valid bag of the seal's files, and members that somebody added."""
    parts = seal().parts() | {"cle.pem": public_pem(KEY)}
    path.write_bytes(as_tar(joined(bagit.bag(folder(FILES), ABOUT, extra=parts))))
    with tarfile.open(path, "a") as package:
        for info, data in more:
            info.size = len(data) if info.isreg() else 0
            package.addfile(info, io.BytesIO(data))
    return path


def base(path: Path) -> str:
    with tarfile.open(path) as package:
        return package.getnames()[0].split("/")[0]


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def kinds(path: Path) -> set[Kind]:
    return {one.kind for one in far.show(path).damages}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_or_device_that_no_list_names_is_a_damage(tmp_path: Path, kind: bytes) -> None:
    path = tarred(tmp_path / "a.tar")
    assert kinds(path) == set()
    top = base(path)
    tarred(path, (member(f"{top}/ailleurs", kind, "/etc"), b""), (member(f"{top}/ailleurs/cron.d/x"), b"x"))
    assert Damage(Kind.UNREADABLE, "ailleurs") in far.show(path).damages
    assert check_seal.main(path, document=None, key="") == 1


@pytest.mark.parametrize("name", ["../../x", "a/../../../x", "..\\..\\x", "a/..\\..\\x"])
def test_a_file_that_lies_outside_of_the_bag_is_a_damage(tmp_path: Path, name: str) -> None:
    path = tarred(tmp_path / "a.tar")
    tarred(path, (member(f"{base(path)}/{name}"), b"x"))
    assert kinds(path) == {Kind.UNSAFE_PATH}
    zipped = bag(tmp_path)
    with zipfile.ZipFile(zipped, "a") as file:
        file.writestr(zipfile.ZipInfo(f"{file.namelist()[0].split('/')[0]}/{name}"), b"x")
    assert kinds(zipped) == {Kind.UNSAFE_PATH}


@pytest.mark.parametrize("top", ["..", "", "C:\\..\\.."])
def test_a_bag_whose_folder_is_another_one_is_no_bag_in_its_place(top: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(zipfile.ZipInfo(f"{top}/bagit.txt"), b"x")
    assert Kind.UNSAFE_PATH in {one.kind for one in bagcheck.archive(out)}


def test_a_link_in_a_zip_is_a_damage_whatever_it_holds(tmp_path: Path) -> None:
    path = bag(tmp_path)
    with zipfile.ZipFile(path) as file:
        parts = [(one, file.read(one)) for one in file.infolist()]
    with zipfile.ZipFile(path, "w") as file:
        for one, data in parts:
            if one.filename.endswith("pv.odt"):
                one.external_attr = 0o120777 << 16
            file.writestr(one, data)
    assert Kind.UNREADABLE in kinds(path)


def test_what_a_zip_says_twice_it_says_alike(tmp_path: Path) -> None:
    """Who unpacks it as a stream gets what was judged."""
    path = bag(tmp_path)
    raw = path.read_bytes()
    assert not kinds(path)
    with zipfile.ZipFile(path) as file:
        start, first = file.start_dir, file.infolist()[1]
    header = first.header_offset
    behind = header + 30 + len(first.orig_filename.encode()) + first.compress_size
    assert raw[behind : behind + 4] == b"PK\x07\x08"
    for place in (header + 6, header + 8, header + 14, header + 18, header + 35, behind, behind + 8):
        path.write_bytes(raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :])
        with pytest.raises(Malformed):
            far.show(path)
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, "w") as other:
        other.writestr(first.orig_filename, b"autre")
    more = hidden.getvalue()[: other.start_dir]
    end = bytearray(raw[start:])
    end[-6:-2] = struct.pack("<L", start + len(more))
    path.write_bytes(raw[:start] + more + end)
    with zipfile.ZipFile(path) as file:
        assert len(file.read(first)) == first.file_size
    assert bagcheck.archive(path.open("rb")) == [Damage(Kind.UNREADABLE)]


def test_another_name_of_a_member_stands_in_its_header_too(tmp_path: Path) -> None:
    path = bag(tmp_path)
    with zipfile.ZipFile(path) as file:
        parts = [(one.filename, file.read(one)) for one in file.infolist()]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        for name, data in parts:
            told = struct.pack("<BL", 1, zlib.crc32(name.encode())) + name.encode()
            info = zipfile.ZipInfo(name)
            info.extra = struct.pack("<2H", 0x7075, len(told)) + told
            package.writestr(info, data)
    raw = out.getvalue()
    assert not bagcheck.archive(io.BytesIO(raw))
    for at in (raw.find(b"\x75\x70"), raw.rfind(b"\x75\x70")):
        changed = raw[:at] + b"\x76" + raw[at + 1 :]
        assert bagcheck.archive(io.BytesIO(changed)) == [Damage(Kind.UNREADABLE)]


def test_one_end_of_a_zip_says_where_its_directory_is(tmp_path: Path) -> None:
    """Readers look for it from the one side or the other, and believe its counts or its lengths."""
    path = bag(tmp_path)
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        start, count = file.start_dir, len(file.infolist())
    size = len(raw) - 22 - start
    for numbers, comment, well in (
        ((0, 0, count, count, size, start), b"", True),
        ((0, 0, count, count, size, start), b"Mairie", True),
        ((0, 0, count, count, size, start), raw[-22:], False),
        ((0, 0, 1, 1, size, start), b"", False),
        ((0, 0, count, count, size, start + 1), b"", False),
        ((1, 1, count, count, size, start), b"", False),
        ((0, 0, 0xFFFF, 0xFFFF, size, start), b"", False),
    ):
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", *numbers, len(comment)) + comment
        found = bagcheck.archive(io.BytesIO(raw[:-22] + end))
        assert found == ([] if well else [Damage(Kind.UNREADABLE)]), numbers
    for more in (b"x", raw[-22:]):
        assert bagcheck.archive(io.BytesIO(raw + more)) == [Damage(Kind.UNREADABLE)]
    assert bagcheck.archive(io.BytesIO(raw[:-22] + b"x" * 30 + raw[-22:])) == [Damage(Kind.UNREADABLE)]


def test_what_lies_behind_a_content_that_says_it_has_ended_is_a_damage() -> None:
    """Who unpacks a stream takes it for what comes next."""
    data = b"un" * 100
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(data) + packer.flush()
    unended = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    for stored, well in (
        (packed, True),
        (packed + b"PK\x03\x04", False),
        (packed[:-1], False),
        (unended.compress(data) + unended.flush(zlib.Z_SYNC_FLUSH), False),
    ):
        sums = zlib.crc32(data), len(stored), len(data)
        head = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 33, *sums, 1, 0)
        entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 8, 0, 33, *sums, 1, *bytes(6)) + b"a"
        raw = head + b"a" + stored + entry
        raw += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(raw) - len(entry), 0)
        with bagcheck.opened(io.BytesIO(raw)) as (member,), member.open() as file:
            if well:
                assert file.read(1000) == data
            else:
                with pytest.raises(zipfile.BadZipFile):
                    file.read(1000)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("seeks", [False, True])
def test_a_zip_of_any_writer_is_read(tmp_path: Path, compression: int, zip64: bool, seeks: bool) -> None:
    with zipfile.ZipFile(bag(tmp_path)) as file:
        parts = [(one.filename, file.read(one)) for one in file.infolist()]
    path = tmp_path / "autre.zip"
    sink = streams.Sink()
    with zipfile.ZipFile(path if seeks else sink, "w", compression) as out:
        out.mkdir(parts[0][0].split("/")[0])
        for name, data in parts:
            with out.open(name, "w", force_zip64=zip64) as member:
                member.write(data)
    if not seeks:
        path.write_bytes(joined(sink.taken()))
    assert far.show(path).is_whole and not kinds(path)


def test_a_proof_that_holds_covers_no_bag_that_was_changed(tmp_path: Path) -> None:
    path = bag(tmp_path, FILES | {"pv.odt": b"autre"})
    assert check_seal.main(path, document=None, key="") == 1
    with zipfile.ZipFile(path) as file:
        top = file.namelist()[0].split("/")[0]
    for place in ("", f"{top}/", f"{top}/beffroi/", f"{top}/autre/"):
        changed = tmp_path / "changed.zip"
        changed.write_bytes(path.read_bytes())
        with zipfile.ZipFile(changed, "a") as file:
            file.writestr(f"{place}preuve.json", proof()["preuve.json"])
        try:
            shown = far.show(changed)
        except Malformed:
            continue
        assert not shown.is_proof and not shown.is_whole, place
    unpacked = tmp_path / "folder"
    with zipfile.ZipFile(path) as file:
        file.extractall(unpacked)
    (unpacked / top / "beffroi" / "preuve.json").write_bytes(proof()["preuve.json"])
    assert not far.show(unpacked / top).is_proof


def test_a_proof_is_read_where_its_folder_was_packed_again(tmp_path: Path) -> None:
    shown = far.show(packed(tmp_path, {f"preuve/{name}": data for name, data in proof().items()}))
    assert shown.is_signed and shown.is_whole


def test_a_path_in_a_proof_writes_nothing_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = replace(manifest.read_files(seal().files)[0], path="\x1b[2J\x1b[31mà jour.pdf").text()
    statement = manifest.Statement(SUBJECT, 1, 2, merkle.root([line]).hex()).text()
    said = manifest.Proof(line, 0, 1, ()).as_json()
    parts = proof(preuve_json=json.dumps(said).encode(), sceau_txt=statement, sceau_sig=KEY.sign(statement))
    assert check_seal.main(packed(tmp_path, parts), document=None, key="") == 0
    told = capsys.readouterr().out
    assert "à jour.pdf" in told and "\x1b" not in told


def test_an_announcement_of_blanks_takes_no_time() -> None:
    tree = {"bagit.txt": b"", "bag-info.txt": b"Payload-Oxum: 1" + b" \t" * 2_000_000 + b"x"}
    bagcheck.examine({name: (lambda data=data: io.BytesIO(data)) for name, data in tree.items()})


def test_lists_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bagcheck, "LIST_BYTES", 100_000)
    line = b"%b  data/%d\n"
    tree = {"bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"} | {
        f"manifest-{name}.txt": b"".join(line % (b"0" * digits, number) for number in range(700))
        for name, digits in (("sha256", 64), ("sha512", 128), ("sha384", 96), ("sha1", 40))
    }
    found = bagcheck.examine({name: (lambda data=data: io.BytesIO(data)) for name, data in tree.items()})
    assert Kind.TOO_LARGE in {one.kind for one in found}


def negative_size() -> bytes:
    """Its next member is itself."""
    info = tarfile.TarInfo("bag/bagit.txt")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 10 + (-tarfile.BLOCKSIZE & 0xFFFF).to_bytes(2)
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:]))
    return bytes(block) + bytes(10240)


def sparse() -> bytes:
    """A file of two exabytes that the list names, of which nothing is there."""
    texts = {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "manifest-sha256.txt": b"0" * 64 + b"  data/x\n",
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as package:
        for name, data in texts.items():
            info = member(f"bag/{name}")
            info.size = len(data)
            package.addfile(info, io.BytesIO(data))
        info, holes = member("bag/data/x"), b"1\n%d\n0\n" % (1 << 61)
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "bag/data/x",
            "GNU.sparse.realsize": str(1 << 61),
        }
        info.size = tarfile.BLOCKSIZE
        package.addfile(info, io.BytesIO(holes.ljust(tarfile.BLOCKSIZE, b"\0")))
    return out.getvalue()


def long_header() -> bytes:
    """Says that its names alone are as long as all memory, and lies on a disk that has so many zeros."""
    info = tarfile.TarInfo("bag/bagit.txt")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    return info.tobuf(tarfile.GNU_FORMAT)


def swelling() -> bytes:
    """Parts that are a thousand times as long as they are here."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name in ("sceau.txt", "cle.pem", "preuve.json"):
            with file.open(f"bag/beffroi/{name}", "w") as part:
                for _ in range(300):
                    part.write(bytes(1 << 20))
    return out.getvalue()


@pytest.mark.parametrize("make", [negative_size, sparse, long_header, swelling])
def test_what_asks_for_all_time_or_memory_is_refused_in_a_program_of_bounded_memory(
    tmp_path: Path, make: Callable[[], bytes]
) -> None:
    path = tmp_path / "paquet"
    with path.open("wb") as file:
        file.write(make())
        if make is long_header:
            file.truncate(1 << 33)
    looking = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
        "from pathlib import Path; from beffroi.drive.archives import bagcheck, far, manifest\n"
        "with open(sys.argv[1], 'rb') as file: assert bagcheck.archive(file), 'whole'\n"
        "try: far.show(Path(sys.argv[1]))\n"
        "except manifest.Malformed: sys.exit(7)"
    )
    command = (sys.executable, "-c", looking, path)
    ended = subprocess.run(command, check=False, timeout=PATIENCE_S, capture_output=True)
    assert ended.returncode == 7, ended.stderr.decode()
