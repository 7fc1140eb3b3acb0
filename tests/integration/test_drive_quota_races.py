"""Many at once fill a person's room and the collectivité's by every way: no limit is passed, no count drifts."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from beffroi.drive.store import look, room, schema, tree, weights
from beffroi.drive.store.commune import Communes

from tests.drive_server import A, Served, served

OWN_BYTES, WHOLE_BYTES = 400_000, 900_000
FILES = "/remote.php/dav/files/alice"
PLACES = (f"{FILES}", f"{FILES}/Commune")
TRASH, VERSIONS, UPLOADS = (f"/remote.php/dav/{one}/alice" for one in ("trashbin", "versions", "uploads"))
WAYS = ("put", "put", "put", "copy", "move", "move over", "delete", "from trash", "version", "parts")


@pytest.fixture
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("drive") / "state") as one:
        assert one.ask("PROPFIND", FILES)[0] == 207  # the roots are made
        yield one


class Filling:
    """One of those who fill: its own choices, everybody's files."""

    def __init__(self, drive: Served, seed: int) -> None:
        self.drive, self.chance, self.seed = drive, random.Random(seed), seed
        self.told: Counter[tuple[str, int]] = Counter()

    def run(self) -> Counter[tuple[str, int]]:
        for number in range(40):
            way = self.chance.choice(WAYS)
            self.told[way, self.take(way, f"{self.seed}-{number}")] += 1
        return self.told

    def path(self) -> str:
        return f"{self.chance.choice(PLACES)}/f{self.chance.randrange(12)}"

    def take(self, way: str, fresh: str) -> int:
        data = self.chance.randbytes(self.chance.randrange(60_000))
        ask = self.drive.ask
        match way:
            case "put":
                return ask("PUT", self.path(), data)[0]
            case "copy":
                return ask("COPY", self.path(), Destination=self.path(), Overwrite="T")[0]
            case "move" | "move over":
                return ask("MOVE", self.path(), Destination=self.path(), Overwrite="FT"[way != "move"])[0]
            case "delete":
                return ask("DELETE", self.path())[0]
            case "from trash":
                body = ask("PROPFIND", f"{TRASH}/trash/", Depth="1")[2].decode()
                found = re.findall(rf"<d:href>({TRASH}/trash/[^<]+)</d:href>", body)
                target = f"{TRASH}/restore/x"
                return ask("MOVE", self.chance.choice(found), Destination=target)[0] if found else 0
            case "version":
                told = ask("HEAD", self.path())[1].get("oc-fileid", "0")
                number = int(re.findall(r"[0-9]+", told)[0])
                body = ask("PROPFIND", f"{VERSIONS}/versions/{number}/", Depth="1")[2].decode()
                found = re.findall(rf"<d:href>({VERSIONS}/versions/{number}/[^<]+)</d:href>", body)
                target = f"{VERSIONS}/restore/x"
                return ask("MOVE", self.chance.choice(found), Destination=target)[0] if found else 0
        ask("MKCOL", f"{UPLOADS}/{fresh}")
        for number in (1, 2):
            ask("PUT", f"{UPLOADS}/{fresh}/{number}", data)
        return ask("MOVE", f"{UPLOADS}/{fresh}/.file", Destination=self.path(), Overwrite="T")[0]


@pytest.mark.parametrize("round_", range(2))
def test_no_limit_is_passed_by_many_at_once_and_nothing_is_counted_wrong(drive: Served, round_: int) -> None:
    with ThreadPoolExecutor(2) as commits:
        communes = Communes(drive.directory / "drive", commits)
        database = communes.metadata(A)
        with database.reading() as reading:
            home = look.root(reading, f"{schema.HOME}per_alice")
            assert home is not None
            own = home.id
        database.write(lambda w: tree.set_limit(w, own, OWN_BYTES))
        database.write(lambda w: tree.set_limit(w, room.WHOLE, WHOLE_BYTES))
        with ThreadPoolExecutor(8) as threads:
            told = sum(
                threads.map(lambda seed: Filling(drive, seed).run(), range(8 * round_, 8 * round_ + 8)),
                Counter(),
            )
        with database.reading() as reading:
            assert 0 < room.use(reading, own).used_bytes <= OWN_BYTES
            assert 0 < room.use(reading, room.WHOLE).used_bytes <= WHOLE_BYTES
            assert weights.drift(reading) == []
            assert all(min(one.use.weight) >= 0 and one.use.beside_bytes >= 0 for one in room.lines(reading))
        communes.close()
    assert not [key for key in told if key[1] >= 500 and key[1] != 507], told
    done = {way for way, status in told if 200 <= status < 300}
    assert {"put", "copy", "delete", "from trash"} <= done
    assert done & {"move", "move over"}
    assert sum(count for (_, status), count in told.items() if status == 507) > 20, "the limits were met"
