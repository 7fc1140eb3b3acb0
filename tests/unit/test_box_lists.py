"""What the loader makes of lists: ranges, blocks, keys; files of names; what dnsdist tells."""

from __future__ import annotations

import hashlib
import io
import ipaddress
import itertools
import random
import socket
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from beffroi_box.cdb import wire_name, write_keys
from beffroi_box.errors import LoadFailed
from beffroi_box.load import Names, Unpack, _names, run
from beffroi_box.ranges import BITS, blocks, keys, packed_ranges, without
from beffroi_box.refusals import Question, RefusalSocket, asked, handed_over, listen
from beffroi_lab.running import handing_over
from beffroi_protocol.errors import FileMismatch, ListInvalid
from beffroi_protocol.indicators import Kind
from beffroi_protocol.lists import content
from beffroi_protocol.messages import BulkList
from beffroi_protocol.protected import Floor

SEED = 20260822


def networks(version: int, count: int) -> list[str]:
    source = random.Random(SEED)
    bits = BITS[version]
    shortest = {4: 12, 6: 30}[version]
    base = int(ipaddress.ip_address("45.0.0.0" if version == 4 else "2a0e:b107::"))
    found = []
    for _ in range(count):
        length = source.choice([bits, bits, *range(shortest, bits)])
        address = base + source.getrandbits(bits - shortest)
        found.append(str(ipaddress.ip_network((address.to_bytes(bits // 8), length), strict=False)))
    return found


@pytest.mark.parametrize("version", [4, 6])
def test_keys_cover_exactly_what_is_listed_but_not_protected(version: int) -> None:
    bits = BITS[version]
    listed = [ipaddress.ip_network(n) for n in networks(version, 60)]
    protected = sorted(
        (int(n.network_address), int(n.broadcast_address)) for n in listed[::9] if n.prefixlen > bits - 6
    ) or [(int(listed[0].network_address), int(listed[0].network_address))]
    found = packed_ranges(f"{n}\n".encode() for n in listed)[version]
    left, touched = without(found, protected, bits)
    assert touched is not None
    made = keys(sorted(left), bits)
    assert all(length % 4 == 0 for length in made)

    def blocked(number: int) -> bool:
        return any(number >> bits - n << bits - n in set(some) for n, some in made.items())

    edges = {int(n.network_address) for n in listed} | {int(n.broadcast_address) for n in listed}
    edges |= {end for pair in protected for end in pair}
    for number in {e + d for e in edges for d in (-1, 0, 1)}:
        address = ipaddress.ip_address(number.to_bytes(bits // 8))
        wanted = any(address in n for n in listed) and not any(a <= number <= b for a, b in protected)
        assert blocked(number) is wanted, address


@pytest.mark.parametrize(("low", "high"), [(0, 2**32 - 1), (1, 2**32 - 2), (5, 5), (2**32 - 1, 2**32 - 1)])
def test_blocks_tile_a_range(low: int, high: int) -> None:
    at = low
    for length, first in blocks(low, high, 32):
        assert first == at and length % 4 == 0
        at += 1 << 32 - length
    assert at == high + 1


def test_the_floor_s_ranges_are_those_it_judges_by() -> None:
    floor = Floor((), ("45.83.64.0/24", "2a0e:b107:10::/48"))
    assert (
        int(ipaddress.ip_address("45.83.64.0")),
        int(ipaddress.ip_address("45.83.64.255")),
    ) in floor.ranges(4)
    for version in BITS:
        found = floor.ranges(version)
        assert found == sorted(found) and all(a[1] < b[0] for a, b in itertools.pairwise(found))


def found_in(data: bytes, key: bytes) -> bool:
    """As a reader of cdb looks it up."""
    number = 5381
    for byte in key:
        number = (number * 33 ^ byte) & 0xFFFFFFFF
    table, size = struct.unpack_from("<II", data, (number & 255) * 8)
    for step in range(size):
        known, at = struct.unpack_from("<II", data, table + ((number >> 8) + step) % size * 8)
        if not at:
            return False
        length, _ = struct.unpack_from("<II", data, at)
        if known == number and data[at + 8 : at + 8 + length] == key:
            return True
    return False


def test_a_constant_database_holds_what_was_written_and_nothing_else() -> None:
    names = [wire_name(f"n{i}.exemple.fr".encode()) for i in range(3000)]
    file = io.BytesIO()
    assert write_keys(file, names) == 3000
    data = file.getvalue()
    assert all(found_in(data, name) for name in names)
    assert not found_in(data, wire_name(b"exemple.fr")) and not found_in(data, b"")


def domain_list(plain: bytes) -> BulkList:
    return BulkList("names", Kind.DOMAIN, hashlib.sha256(plain).hexdigest(), len(plain), plain.count(b"\n"))


def test_names_of_several_lists_are_merged_without_protected_ones(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(content(["colis.example.com", "impots.gouv.fr", "mairie.dijon.fr"]))
    second.write_bytes(content(["colis.example.com", "zz.example.com"]))
    job = Names((("a", str(first)), ("b", str(second))), ("dijon.fr",), str(tmp_path / "out.cdb"))
    result = _names(job)
    data = (tmp_path / "out.cdb").read_bytes()
    assert result.count == 2 and found_in(data, wire_name(b"zz.example.com"))
    assert not found_in(data, wire_name(b"impots.gouv.fr"))
    assert [(k.name, k.indicator.value) for k in result.kept] == [("a", "impots.gouv.fr")]


def unpack(tmp_path: Path, plain: bytes, packed: bytes) -> None:
    (tmp_path / "part").write_bytes(packed)
    run(Unpack(domain_list(plain), str(tmp_path / "part"), str(tmp_path / "list")))


@pytest.mark.root
def test_the_child_unpacks_a_sound_list_and_leaves_nothing_of_another(tmp_path: Path) -> None:
    plain = content([f"n{i}.exemple.com" for i in range(5000)])
    unpack(tmp_path, plain, zlib.compress(plain))
    assert (tmp_path / "list").read_bytes() == plain
    (tmp_path / "list").unlink()
    unsorted = b"b.example.com\na.example.com\n"
    for wanted, packed, code in (
        (plain, zlib.compress(plain)[:-5], FileMismatch.code),
        (plain, b"no zlib at all", FileMismatch.code),
        (plain, zlib.compress(plain + b"z.example.com\n"), FileMismatch.code),
        (plain, zlib.compress(bytes(10_000_000)), FileMismatch.code),
        (unsorted, zlib.compress(unsorted), ListInvalid.code),
    ):
        with pytest.raises(LoadFailed) as failure:
            unpack(tmp_path, wanted, packed)
        assert failure.value.cause == code
        assert {path.name for path in tmp_path.iterdir()} == {"part"}


def dnstap(question: bytes) -> bytes:
    query = bytes(12) + question + b"\0\1\0\1"
    message = b"\x08\x05" + b"\x52" + bytes([len(query)]) + query  # type; query_message
    return b"\x0a\x03box" + b"\x72" + bytes([len(message)]) + message + b"\x78\x01"


def test_the_name_of_a_dnstap_message_is_read_and_garbage_is_none() -> None:
    sound = dnstap(wire_name(b"WWW.Colis.com"))
    assert asked(sound) == Question("www.colis.com", told_as="box")
    source = random.Random(SEED)
    for _ in range(500):
        bad = bytearray(sound)
        bad[source.randrange(len(bad))] = source.randrange(256)
        assert isinstance(asked(bytes(bad[: source.randrange(len(bad) + 1)])), Question | None)


def test_the_socket_speaks_frame_streams_and_outlives_a_broken_peer(tmp_path: Path) -> None:
    path = tmp_path / "refusals.sock"
    told: list[Question] = []
    reader = RefusalSocket(path, -1)
    threading.Thread(target=lambda: [told.append(n) for n in reader], daemon=True).start()
    with socket.socket(socket.AF_UNIX) as broken:
        broken.connect(str(path))
        broken.sendall(b"\xff\xff\xff\xff")
        assert broken.recv(1) == b"", "a frame beyond the limit ends the connection"
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
        peer.sendall(struct.pack(">III", 0, 4, 4))
        assert struct.unpack(">III", peer.recv(100)[:12])[2] == 1, "ready is accepted"
        frame = dnstap(wire_name(b"colis.com"))
        peer.sendall(struct.pack(">III", 0, 4, 2) + struct.pack(">I", len(frame)) + frame)
        peer.sendall(struct.pack(">III", 0, 4, 3))
        assert struct.unpack(">III", peer.recv(100))[2] == 5, "stop is finished"
    assert told == [Question("colis.com", told_as="box")]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_socket_that_was_handed_over_is_used_and_outlives_its_reader(tmp_path: Path) -> None:
    """The protocol of sd_listen_fds(3): the first descriptor is 3, for the process of this number only."""
    path = tmp_path / "refusals.sock"
    reader = (
        "import sys; from pathlib import Path; from beffroi_box.refusals import RefusalSocket\n"
        "print(next(iter(RefusalSocket(Path(sys.argv[1]), -1))).name)"
    )
    frame = dnstap(wire_name(b"colis.com"))
    with listen(path, -1) as made:
        place = path.stat().st_ino
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(path))  # nobody reads yet
                peer.sendall(struct.pack(">I", len(frame)) + frame)
                argv = handing_over(made, [sys.executable, "-c", reader, str(path)])
                said = subprocess.run(
                    argv, pass_fds=(made.fileno(),), capture_output=True, text=True, check=True
                )
            assert said.stdout == "colis.com\n" and path.stat().st_ino == place


def test_sockets_that_were_handed_to_somebody_else_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert handed_over(tmp_path / "refusals.sock") is None
