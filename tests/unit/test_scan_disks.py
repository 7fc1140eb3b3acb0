"""Disk images are opened: what mkfs.fat and mtools, mkfs.exfat and exfat-fuse, mkntfs and ntfscp, genisoimage -udf and
qemu-img made of one folder (tests/data/disks) comes out whole; what they would never make ends well.

In hybrid.iso the ISO 9660 part is empty (-hide). In ntfs.img the table of capitals is blank, which nobody reads here.
parts.* are one disk with FAT12, and FAT32 and NTFS in an extended part.
"""

from __future__ import annotations

import lzma
import random
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from beffroi.scan import bodies, disks, kinds, looking, rules
from beffroi.scan.archives import Broken, Budget, Member, TooMuch

from tests import scan_samples as samples
from tests.mail_files import SCRIPT, packed

DATA = Path(__file__).parent.parent / "data/disks"
RULES = rules.Rules({rules.OWN: rules.own()})
PROGRAM = b"MZ\x90\0" + bytes(200)
LONG = b"".join(b"%09d\n" % n for n in range(2000))
VBS = b"Set a=1\n"
FAT = {"facture été 2026.exe": PROGRAM, "LONG.BIN": LONG, "SCRIPT.VBS": VBS}
NTFS = {"facture.exe": PROGRAM, "long.bin": LONG, "long.bin:flux.js": VBS, "script.vbs": VBS}
UDF = {"facture été 2026.exe": PROGRAM, "long.bin": LONG, "script.vbs": VBS}
IMAGES = {
    "fat12.img": [FAT],
    "fat16.img": [FAT],
    "fat32.img": [FAT],
    "exfat.img": [UDF],
    "ntfs.img": [NTFS],
    "hybrid.iso": [UDF],
    "parts.vhd": [FAT, FAT, NTFS],
    "parts.vhdx": [FAT, FAT, NTFS],
}


@cache
def image(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


def told(body: bodies.Body, budget: Budget | None = None) -> list[Member]:
    return [*disks.members(body, budget or Budget())]


def without_the_system(found: list[Member]) -> list[tuple[str, bytes]]:
    return [(one.name, one.data) for one in found if not one.name.startswith("$")]


def codes_of(data: bytes) -> set[str]:
    return set(looking.examine(data, RULES.matches).found)


def changed(data: bytes, *places: tuple[int, bytes]) -> bytes:
    whole = bytearray(data)
    for at, new in places:
        whole[at : at + len(new)] = new
    return bytes(whole)


def partitioned(*, by_gpt: bool, unit: int = 512) -> bytes:
    """FAT12 as the only part."""
    start = 64
    if by_gpt:
        entry = bytes([1]) * 16 + bytes(16) + struct.pack("<QQ", start, start + 9)
        head = b"EFI PART" + bytes(64) + struct.pack("<QII", 2, 4, 128)
        first = bytes(unit) + head.ljust(unit, b"\0") + bytes(128) + entry
    else:
        row = bytes((0x80, 0, 0, 0, 6, 0, 0, 0)) + struct.pack("<II", start, 320)
        first = bytes(446) + row + bytes(48) + b"\x55\xaa"
    return first.ljust(start * unit, b"\0") + image("fat12.img")


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("is_long", [False, True])
def test_every_file_of_a_disk_image_comes_out_whole(name: str, is_long: bool) -> None:
    data = image(name)
    body = bodies.Long(len(data), lambda offset, length: data[offset : offset + length]) if is_long else data
    wanted = [one for volume in IMAGES[name] for one in volume.items()]
    assert without_the_system(told(body)) == wanted


@pytest.mark.parametrize("name", IMAGES)
def test_a_program_in_a_disk_image_is_found_as_in_an_archive(name: str) -> None:
    for data in (image(name), packed(a__bin=image(name))):
        assert codes_of(data) >= {kinds.PROGRAM, kinds.DISK_IMAGE}
    assert kinds.UNREADABLE not in codes_of(image(name))


FAT12 = image("fat12.img")
TABLE_AT, ROOT_AT = 512, FAT12.index(b"LONG    BIN") // 512 * 512
VHD_FOOT = b"conectix" + bytes(52) + bytes((0, 0, 0, 2)) + bytes(448)


@pytest.mark.parametrize(
    "data",
    [
        partitioned(by_gpt=False),
        partitioned(by_gpt=True),
        partitioned(by_gpt=True, unit=4096),
        FAT12 + VHD_FOOT,
        FAT12 + VHD_FOOT[:-1],
        b"GIF89a" + partitioned(by_gpt=False)[6:] + VHD_FOOT,
        b"GIF89a" + image("hybrid.iso")[6:],
    ],
    ids=["mbr", "gpt", "gpt, 4 KiB", "fixed vhd", "old vhd", "vhd behind a picture", "udf behind a picture"],
)
def test_a_program_is_found_by_whatever_leads_to_its_volume(data: bytes) -> None:
    assert kinds.PROGRAM in codes_of(data)


def test_what_only_another_system_reads_is_said_to_be_unreadable() -> None:
    for name in (b"ReFS\0\0\0\0", b"-FVE-FS-"):
        data = b"\xeb\x76\x90" + name + bytes(9000)
        assert codes_of(data) == {kinds.DISK_IMAGE, kinds.UNREADABLE}
    other = changed(image("parts.vhd"), (63, b"\4"))
    assert codes_of(other) == {kinds.DISK_IMAGE, kinds.UNREADABLE}, "the difference to another disk"
    hybrid = image("hybrid.iso")
    lost = changed(hybrid, *((at, bytes(2)) for at in range(257 * 2048, 262 * 2048, 2048)))
    assert kinds.UNREADABLE in codes_of(lost), "nothing leads to the files of the second volume"


def test_texts_pictures_and_what_happens_to_end_like_a_first_sector_are_no_disk_images() -> None:
    rng = random.Random(4)
    for data in (
        b"Bonjour" * 2000,
        bytes(510) + b"\x55\xaa" + bytes(9000),
        *(rng.randbytes(510) + b"\x55\xaa" + rng.randbytes(8000) for _ in range(200)),
    ):
        assert kinds.DISK_IMAGE not in codes_of(data)


def test_a_long_name_that_does_not_belong_to_the_short_one_is_not_the_name() -> None:
    at = FAT12.index(b"FACTUR~1EXE")
    assert told(changed(FAT12, (at - 32 + 13, b"\0")))[0].name == "FACTUR~1.EXE"


@pytest.mark.parametrize("name", ["..\\..\\menu.vbs", "../menu.vbs", "facture\u202efdp.vbs"])
def test_a_name_that_leads_out_or_hides_is_told(name: str) -> None:
    """Nothing is written anywhere; what unpacks it would."""
    units = name.encode("utf-16-le").ljust(52, b"\0")
    short = b"LONG    BIN"
    value = 0
    for one in short:
        value = ((value & 1) << 7 | value >> 1) + one & 0xFF
    halves = [units[:26], units[26:]]
    rows = b"".join(
        bytes((order,)) + half[:10] + bytes((15, 0, value)) + half[10:22] + bytes(2) + half[22:]
        for order, half in ((0x42, halves[1]), (1, halves[0]))
    )
    at = FAT12.index(short)
    entry = FAT12[at : at + 32]
    data = changed(FAT12, (ROOT_AT, rows + entry + bytes(32)))
    assert kinds.DISGUISED in codes_of(data)


NUMBER_OF_ROOTS = int.from_bytes(FAT12[17:19], "little")


def of_many_names(count: int, size_bytes: int) -> bytes:
    """FAT whose root has names that all lead to the same clusters."""
    at = FAT12.index(b"LONG    BIN")
    entry = changed(FAT12[at : at + 32], (28, struct.pack("<I", size_bytes)))
    room = (count * 32 + 511) // 512 * 512
    roots = room // 32
    head = changed(FAT12[:ROOT_AT], (17, struct.pack("<H", roots)))
    return head + (entry * count).ljust(room, b"\0") + FAT12[ROOT_AT + NUMBER_OF_ROOTS * 32 :]


def looped() -> bytes:
    """The table leads each cluster to itself; a file has more than there are."""
    table = b"".join(struct.pack("<I", n | (n + 1) << 12)[:3] for n in range(0, 300, 2))
    return changed(grown_entry(2**32 - 1), (TABLE_AT, table))


def grown_entry(size_bytes: int) -> bytes:
    at = FAT12.index(b"LONG    BIN")
    return changed(FAT12, (at + 28, struct.pack("<I", size_bytes)))


def folder_in_itself() -> bytes:
    at = FAT12.index(b"LONG    BIN")
    entry = changed(FAT12[at : at + 32], (11, b"\x10"))
    return changed(FAT12, (at, entry), (FAT12.index(b"000000000\n"), entry * 16))


def udf_entry_of(size_bytes: int) -> bytes:
    data = image("hybrid.iso")
    at = data.index(struct.pack("<Q", len(LONG)))
    return changed(data, (at, struct.pack("<Q", size_bytes)))


def udf_extent_that_goes_on_in_itself() -> bytes:
    data = image("hybrid.iso")
    at = data.index(struct.pack("<Q", len(LONG))) - 56
    led = data[at + 176 : at + 184]
    return changed(data, (at + 176, struct.pack("<I", 2048 | 3 << 30)), (at + 180, led[4:8]))


def exfat_entry(at: int, new: bytes) -> bytes:
    """In the entry of a file's content."""
    data = image("exfat.img")
    entry = data.index("long.bin".encode("utf-16-le")) - 2 - 32
    return changed(data, (entry + at, new))


def ntfs_of(at: int, new: bytes) -> bytes:
    return changed(image("ntfs.img"), (at, new))


def ntfs_runs(of: bytes, new: bytes) -> bytes:
    """The runs of a record that has this name."""
    data = image("ntfs.img")
    record = data.rindex(b"FILE", 0, data.index(of.decode().encode("utf-16-le")))
    attribute = data.index(b"\x80\0\0\0", record)
    start = attribute + int.from_bytes(data[attribute + 32 : attribute + 34], "little")
    return changed(data, (attribute + 48, b"\xff" * 7 + b"\x0f"), (start, new + b"\0"))


def vhd(at: int, new: bytes) -> bytes:
    data = image("parts.vhd")
    head = data.index(b"cxsparse")
    return changed(data, (head + at, new))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a chain that leads to itself": looped,
    "a file longer than its disk": lambda: grown_entry(2**32 - 1),
    "a folder in itself": folder_in_itself,
    "names without an end": lambda: of_many_names(30_000, 10),
    "names that lead to the same": lambda: of_many_names(1900, 20_000),
    "udf, 2^40 bytes": lambda: udf_entry_of(2**40),
    "udf, an extent that goes on in itself": udf_extent_that_goes_on_in_itself,
    "exfat, a file of 2^64 bytes": lambda: exfat_entry(24, b"\xff" * 8),
    "exfat, a chain of 2^64 bytes": lambda: exfat_entry(1, b"\1" + bytes(1)),
    "exfat, clusters of 2^255 bytes": lambda: changed(image("exfat.img"), (108, b"\xff\xff")),
    "exfat, a folder in itself": lambda: exfat_entry(-28, b"\x10"),
    "ntfs, zeros of 2^56 bytes": lambda: ntfs_runs(b"long.bin", b"\x07" + b"\xff" * 6 + b"\x0f"),
    "ntfs, a table of 2^56 bytes": lambda: ntfs_runs(b"$MFT", b"\x17" + b"\xff" * 6 + b"\x0f\x04"),
    "ntfs, records of no bytes": lambda: ntfs_of(64, b"\0"),
    "ntfs, clusters of 2^64": lambda: ntfs_of(13, b"\x81"),
    "a part that leads to itself": lambda: changed(
        partitioned(by_gpt=False),
        *((at * 512 + 446, bytes((0, 0, 0, 0, 5, 0, 0, 0)) + struct.pack("<II", 1, 1)) for at in range(3)),
        *((at * 512 + 510, b"\x55\xaa") for at in range(3)),
    ),
    "2^32 parts": lambda: changed(partitioned(by_gpt=True), (512 + 80, b"\xff" * 8)),
    "vhd, blocks of no bytes": lambda: vhd(32, bytes(4)),
    "vhd, blocks of one byte": lambda: vhd(32, b"\0\0\0\1"),
    "vhd, a table elsewhere": lambda: vhd(16, b"\xff" * 8),
    "vhdx, nothing behind its head": lambda: image("parts.vhdx")[: 192 * 1024],
    "cut off": lambda: image("ntfs.img")[:9000],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_image_ends_within_the_caps(name: str) -> None:
    data, budget = HOSTILE[name](), Budget()
    taken = 0
    try:
        for one in disks.members(data, budget):
            taken += len(one.data)
    except (Broken, TooMuch):
        pass
    assert taken <= Budget().free_bytes + Budget().ratio * len(data)
    assert kinds.DISK_IMAGE in codes_of(data)


@pytest.mark.parametrize("name", IMAGES)
def test_whatever_is_changed_in_an_image_it_is_read_or_said_to_be_broken(name: str) -> None:
    data, rng = image(name), random.Random(name)
    written = [at for at in range(0, len(data), 64) if any(data[at : at + 64])]
    for _ in range(120):
        places = [
            (rng.choice(written) + rng.randrange(64), rng.choice((b"\0", b"\xff", rng.randbytes(4))))
            for _ in range(rng.randrange(1, 12))
        ]
        try:
            told(changed(data, *places), Budget(bytes_left=8 << 20, beyond_left=1 << 20, free_bytes=1 << 20))
        except (Broken, TooMuch):
            continue


def test_more_files_than_an_examination_takes_are_said() -> None:
    assert kinds.UNREADABLE in codes_of(of_many_names(2500, 10))
    with pytest.raises(TooMuch):
        told(of_many_names(2500, 10))


def test_an_image_in_an_image_in_an_image_is_opened_as_deep_as_archives() -> None:
    """Each a raw disk within an ISO 9660."""
    data = FAT12
    for _ in range(3):
        data = samples.made("iso9660", "none", {"a.img": data})
    assert kinds.PROGRAM in codes_of(data)
    data = samples.made("iso9660", "none", {"a.img": samples.made("iso9660", "none", {"a.img": data})})
    assert kinds.UNREADABLE in codes_of(data)


def test_a_page_that_runs_something_in_a_volume_is_told() -> None:
    at = FAT12.index(b"000000000\n")
    assert kinds.ACTIVE_PAGE in codes_of(changed(FAT12, (at, SCRIPT)))
