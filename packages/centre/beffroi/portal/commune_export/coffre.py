"""The Coffre of a collectivité: its files in their tree, lists about them, sealed folders, calendars and contacts.

Rule:    ``drive.whole`` says what is in and what stays; calendars by the rule of ``calendars.passing``.
         The tree is gone through until a walk meets nothing new: people may be at work, and what they move meanwhile is
         met by the next walk.
Process: a person's command, beside drive; it reads the same metadata and objects, and changes nothing.
Hostile: names and contents.
Fails:   a file that cannot be read as it is known is told, and the next one follows; the store away ends the command.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from beffroi.core.communes import queries as communes
from beffroi.core.identity import queries as identity
from beffroi.drive import departures, whole
from beffroi.drive.archives.entries import ContentChanged, content
from beffroi.drive.calendars import homes, passing, together
from beffroi.drive.store import keys
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.stock import Stock, stocks
from beffroi.drive.whole import Left, Place
from beffroi.portal.commune_export.about import Work
from beffroi.portal.drive_seal_words import called

FOLDER, LISTS, SEALS = "coffre", "coffre-listes", "dossiers-scelles"
CALENDARS = "agendas-et-contacts"
COMMON, ALL = "Dossier commun", "Mairie"
MOST_WALKS = 5
"""People who write all the time are no reason to go on for ever; what came last is not in it, and told."""
WHY = {
    "frozen": "retenu : une décision du Département bloque ce contenu",
    "found": "retenu : l'analyse l'a reconnu comme dangereux",
    "not_scanned": "reçu de l'extérieur et pas encore analysé",
}


def write(work: Work) -> None:
    """Errors: DiskFull, FolderUnusable, StoreUnavailable, those of the keys."""
    with departures.metadata(work.config, work.owner.id) as database:
        if database is None:
            erased = keys.certificate(work.config, work.owner.id) is not None
            work.folder.tell("coffre", "effacé" if erased else "vide")
        else:
            work.folder.tell("coffre", "")
            stock = _stock(work)
            _tree(work, database, stock)
            for name in whole.LISTS:
                work.write_list(f"list:{name}", LISTS, f"{name}.json", whole.listed(database, name))
            _seals(work, database, stock)
    _calendars(work)


def _stock(work: Work) -> Stock | None:
    """None where no file was ever written: no keys were made."""
    directory = work.config.state / "drive" / work.owner.id
    return stocks(work.config)(work.owner.id) if keys.were_made(directory) else None


# -- files -------------------------------------------------------------------------------------------------------


def _tree(work: Work, database: Database, stock: Stock | None) -> None:
    for _ in range(MOST_WALKS):
        work.folder.look_again()
        walk = _Walk(work, database, stock)
        count = work.write_list("list:files", LISTS, "fichiers.json", walk.rows())
        work.say(f"Coffre: {count} files and folders, {walk.written} of them written now")
        if not walk.written:
            break
    else:
        work.miss("Coffre", "des fichiers changent encore ; ce qui a changé en dernier n'y est pas")
    work.folder.forget("node:")
    work.missing += walk.missing
    for what, many in walk.counts.items():
        work.count(what, many)


class _Walk:
    """Through all files once. ``written``: contents that were not there, or not as they are now."""

    def __init__(self, work: Work, database: Database, stock: Stock | None) -> None:
        self._work, self._database, self._stock = work, database, stock
        self._folder = work.folder
        self._roots = whole.roots(database)
        self._names = identity.person_names({one.person_id for one in self._roots if one.person_id})
        self._tags = whole.labels(database)
        self.written = 0
        self.missing: list[str] = []
        self.counts = dict.fromkeys(("fichiers", "octets", "fichiers_personnels", "fichiers_retenus"), 0)

    def rows(self) -> Iterator[dict[str, Any]]:
        """What is said of each; the files are written on the way."""
        for root in self._roots:
            for place, one in whole.walk(self._database, root):
                if isinstance(one, Left):
                    self.counts["fichiers_personnels"] += one.files
                    continue
                said = {"chemin": "/".join((self._label(root), *place.way, one.name))}
                if root.person_id:
                    said["personne"] = root.person_id
                where = self._kept(self._directory(place), one)
                yield said | whole.described(self._database, one, self._tags) | where

    def _label(self, root: Place) -> str:
        return (self._names.get(root.person_id) or root.person_id) if root.person_id else COMMON

    def _directory(self, place: Place) -> str:
        """Where in the export it lies."""
        key = f"node:{place.node.id}"
        if not place.way:
            return self._folder.directory(key, FOLDER, self._label(place))
        above = self._folder.path_of(f"node:{place.node.parent}")
        return self._folder.directory(key, above, place.node.name)

    def _kept(self, above: str, one: Node) -> dict[str, Any]:
        """Where it lies in the export, or why it is not there."""
        key = f"node:{one.id}"
        if one.is_folder:
            return {"dossier": self._folder.directory(key, above, one.name)}
        if why := whole.held(self._database, one.sha256):
            self.counts["fichiers_retenus"] += 1
            return {"fichier": None, "pourquoi": WHY[why]}
        mark = f"{one.sha256} {one.mtime_s}"
        if self._folder.done(key, mark, above, one.name) is None and not self._written(above, one, mark):
            self.missing.append(f"{above}/{one.name} : le contenu ne peut pas être lu tel qu'il est connu")
            return {"fichier": None, "pourquoi": "illisible"}
        self.counts["fichiers"] += 1
        self.counts["octets"] += one.size_bytes
        return {"fichier": self._folder.path_of(key)}

    def _written(self, above: str, one: Node, mark: str) -> bool:
        if self._stock is None:
            return False
        try:
            with self._folder.file(f"node:{one.id}", above, one.name, mark=mark, mtime_s=one.mtime_s) as out:
                for piece in content(whole.entry(self._database, self._stock, one), 1):
                    out.write(piece)
        except ContentChanged:
            return False
        self.written += 1
        return True


# -- sealed folders ------------------------------------------------------------------------------------------------


def _seals(work: Work, database: Database, stock: Stock | None) -> None:
    for number, one in enumerate(whole.sealed(database), 1):
        name = f"{one.seal.name} ({one.seal.id})"
        work.count("dossiers_scelles")
        folder = work.folder.directory(f"seal:{one.seal.id}:", SEALS, name)
        for part, data in one.parts.items():
            with work.folder.file(f"seal:{one.seal.id}:{part}", folder, part) as out:
                out.write(data)
        if one.why or stock is None:
            work.miss(f"{SEALS}/{name}", "le paquet n'est pas fait : un de ses fichiers est retenu")
            continue
        work.say(f"sealed folder {number}")
        key, package = f"seal:{one.seal.id}:bag", "paquet BagIt.zip"
        mark = f"{one.seal.begun_s} {one.seal.stamp}"
        if work.folder.done(key, mark, folder, package) is not None:
            continue
        now = communes.called_now(work.owner)
        then = communes.called_then(work.owner, datetime.fromtimestamp(one.seal.begun_s, UTC))
        producer = "" if then == now else called(then)
        try:
            with work.folder.file(key, folder, package, mark=mark) as out:
                for piece in whole.bag(database, stock, one, called(now), producer):
                    out.write(piece)
        except ContentChanged:
            work.miss(
                f"{SEALS}/{name}", "un fichier n'est plus ce qui a été scellé : le paquet n'est pas fait"
            )
    work.folder.forget("seal:")


# -- calendars and contacts ----------------------------------------------------------------------------------------


def _calendars(work: Work) -> None:
    root = homes.folder(work.config, work.owner.id) / homes.ROOT
    found = sorted(one.name for one in root.iterdir()) if root.is_dir() else []
    people = [one for one in found if one.startswith("per_")]
    names = identity.person_names(people)
    for home in [one for one in found if one == homes.SHARED_HOME] + people:
        label = ALL if home == homes.SHARED_HOME else names.get(home) or home
        folder = work.folder.directory(f"calendar:{home}:", CALENDARS, label)
        for one in passing.shown(root / home, of_all=home == homes.SHARED_HOME):
            work.count("entrees_personnelles", one.closed)
            if one.entries:
                _collection(work, f"calendar:{home}:{one.place.name}", folder, one)
    work.folder.forget("calendar:")


def _collection(work: Work, key: str, folder: str, one: passing.Shown) -> None:
    title = one.title or one.place.name
    refused = 0

    def refuse() -> None:
        nonlocal refused
        refused += 1

    ending = "ics" if one.kind == "agenda" else "vcf"
    texts = _texts(one.place, one.entries)
    with work.folder.file(key, folder, f"{title}.{ending}") as out:
        made = (
            together.calendar(title, texts, refuse) if one.kind == "agenda" else together.cards(texts, refuse)
        )
        for piece in made:
            out.write(piece)
    work.count("rendez_vous" if one.kind == "agenda" else "contacts", len(one.entries) - refused)
    if refused:
        work.miss(f"{folder}/{title}.{ending}", f"{refused} entrées illisibles")


def _texts(place: Path, entries: list[str]) -> Iterator[bytes]:
    bookers = homes.bookers(place)
    names = identity.person_names(set(bookers.values()))
    for name in entries:
        try:
            text = (place / name).read_bytes()
        except FileNotFoundError:  # deleted just now
            continue
        by = names.get(bookers.get(name, ""))
        yield together.booked_by(text, by) if by else text
