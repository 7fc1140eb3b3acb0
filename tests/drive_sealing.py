"""What tests of seals share: a folder with files, its sealing by the process of contents, and damage."""

from __future__ import annotations

from collections.abc import Mapping

from beffroi.drive.archives import report
from beffroi.drive.seals.desk import Desk
from beffroi.drive.seals.verification import unpacked
from beffroi.drive.store import seal_checks, seals, tree
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.model import Node
from beffroi.drive.store.objects import object_name
from beffroi.drive.store.seals import NO_END, Seal
from beffroi.drive.store.stock import stocks
from beffroi.lib import clock
from beffroi.lib.ids import new_id

from tests.drive_place import LARGE, Place
from tests.fixtures_drive import noise


class Told(list[tuple[str, Mapping[str, object]]]):
    def __call__(self, kind: str, collectivite_id: str, payload: Mapping[str, object]) -> None:
        self.append((kind, payload))


def desk_of(place: Place, told: Told | None = None) -> Desk:
    return Desk(place.config, place.communes, stocks(place.config), told if told is not None else Told())


def filled(place: Place, files: Mapping[str, bytes]) -> Node:
    """The folder "Factures" with these files, perhaps in a folder of it."""
    root = place.root()
    folder = place.database.write(lambda w: tree.make_folder(w, place.act(), root.id, "Factures"))
    made: dict[str, Node] = {"": folder}
    for path, data in files.items():
        inner, _, name = path.rpartition("/")
        if inner not in made:
            made[inner] = place.database.write(
                lambda w, it=inner: tree.make_folder(w, place.act(), folder.id, it)
            )
        content = place.taken(data)
        place.database.write(
            lambda w, it=made[inner], name=name, content=content: tree.put(
                w, place.act(), it.id, name, content
            )
        )
    return folder


def begun(place: Place, folder: Node, *, until_s: int = NO_END) -> str:
    with place.database.reading() as reading:
        files, size_bytes, _ = seals.sums(reading, folder.id)
    made = Seal(
        new_id("seal"), folder.id, "sealing", folder.name, clock.epoch_s(), until_s, "invoices", "per_ref", 12,
        "ab" * 32, files, size_bytes, 0, 0, 0, "none", 0, 0, 0, "",
    )  # fmt: skip
    place.database.write(lambda w: seals.begin(w, made))
    return made.id


def seen(place: Place, seal_id: str) -> tuple[Seal, dict[str, bytes]]:
    with place.database.reading() as reading:
        return seals.find(reading, seal_id), seals.texts(reading, seal_id)


def checked(place: Place, seal_id: str, told: Told | None = None) -> report.Report:
    place.database.write(lambda w: seal_checks.ask(w, seal_id, person_id="per_ref", now_s=clock.epoch_s()))
    desk_of(place, told).work(place.owner)
    with place.database.reading() as reading:
        found = seal_checks.last(reading, seal_id)
    assert found is not None
    return unpacked(found.report)


FILES = {
    "a.pdf": b"%PDF-1.4 a",
    "Mars/b.bin": noise(LARGE, b"b"),
    "Mars/vide": b"",
    "Avril/c.bin": noise(2 * LARGE, b"c"),
}


DAMAGES = {
    "bit": "",
    "gone": "",
    "text for bytes": "UPDATE chunk SET sealed = 'x' WHERE id = ?",
    "number for bytes": "UPDATE chunk SET sealed = 1099511627776 WHERE id = ?",
    "text for a list": "UPDATE node SET manifest = 'x' WHERE substr(manifest, 2, 32) = ?",
    "number for a list": "UPDATE node SET manifest = 7 WHERE substr(manifest, 2, 32) = ?",
}


def damage(place: Place, what: str) -> str:
    """One bit in the middle of a file's first object, or all of it, or what SQLite keeps in another type; return whose
    it is."""
    with place.database.reading() as reading:
        row = reading.one("SELECT manifest FROM node WHERE name = 'b.bin'")
    assert row is not None
    chunk = Manifest.unpack(row[0]).chunks[0]
    victim = place.config.state / "drive" / "objects" / object_name(place.owner, chunk.id)
    if what == "gone":
        victim.unlink()
    elif DAMAGES[what]:
        place.database.write(lambda w: w.run(DAMAGES[what], (chunk.id,)))
    else:
        raw = bytearray(victim.read_bytes())
        raw[len(raw) // 2] ^= 1
        victim.chmod(0o600)
        victim.write_bytes(raw)
    return "Mars/b.bin"
