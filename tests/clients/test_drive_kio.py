"""Files as KDE's programs have them, Dolphin's among them: the real KIO, by ``kioclient``, through the front door."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.desk import KIO_SERVICES, Desk, desk, needs_desk
from tests.fixtures_calendars import Account, Answer, Wall, needs_front, wall

pytestmark = [*needs_front, *needs_desk("kioclient")]
HARD = "été #1 100% ? a+b;c&d='x'"
BIG_BYTES = 24_000_000


class Files:
    """One person's, as Dolphin reaches them and as another program sees them."""

    def __init__(self, centre: Wall, desktop: Desk, role: str = "agent") -> None:
        self.centre, self.desktop = centre, desktop
        login = f"{role}@auxonne.test"
        self.account: Account = centre.signs_in(login, collectivite_id="col_" + "4" * 26, role=role)
        port = centre.config.portal_port
        self.url = f"webdavs://{quote(login)}:{self.account.password}@localhost:{port}/dav"

    def kio(self, *words: str, fails: bool = False) -> str:
        """What the program says of a command that comes to its end, or does not."""
        code, said = self.desktop.run("kioclient", "--noninteractive", *words)
        assert (code != 0) is fails, (words, said)
        return said

    def at(self, path: str) -> str:
        return f"{self.url}/{quote(path)}"

    def names(self, path: str = "") -> set[str]:
        return set(self.kio("ls", self.at(path)).splitlines()) - {"", ".", "Commune"}

    def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        return self.centre.ask(method, f"/dav/{quote(path)}", body, account=self.account)


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfk-", 23270, "drive") as running:
        yield running


@pytest.fixture(scope="module")
def desktop(centre: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("desk"), centre.authorities, KIO_SERVICES) as running:
        config = running.home / ".config" / "kwalletrc"
        config.parent.mkdir()
        config.write_text("[Wallet]\nEnabled=false\n")
        yield running


@pytest.fixture(scope="module")
def files(centre: Wall, desktop: Desk) -> Files:
    return Files(centre, desktop)


def test_a_folder_goes_there_gets_a_new_name_and_comes_back(files: Files) -> None:
    noise, source = random.Random(9), files.desktop.home / "dossier"
    (source / "vide").mkdir(parents=True)
    (source / f"{HARD}.txt").write_text("Été")
    (source / "gros.bin").write_bytes(noise.randbytes(BIG_BYTES))
    files.kio("copy", f"{source}", files.url)
    assert files.names("dossier") == {"vide", f"{HARD}.txt", "gros.bin"}
    files.kio("move", files.at("dossier"), files.at(HARD))
    files.kio("copy", files.at(HARD), files.at("copie"))
    assert files.names() == {HARD, "copie"}
    back = files.desktop.home / "back"
    files.kio("copy", files.at(HARD), f"{back}")
    assert _tree(back) == _tree(source)
    files.kio("remove", files.at(HARD), files.at("copie"))
    assert files.names() == set()


def test_what_has_the_name_already_is_asked_about_before_it_is_replaced(files: Files) -> None:
    own = files.desktop.home / "lettre.txt"
    own.write_text("nouvelle")
    for name in ("lettre.txt", "autre.txt"):
        assert files.ask("PUT", name, b"ancienne").status == 201
    assert "already exists" in files.kio("copy", f"{own}", files.url, fails=True)
    files.kio("move", files.at("autre.txt"), files.at("lettre.txt"), fails=True)
    files.kio("copy", files.at("autre.txt"), files.at("lettre.txt"), fails=True)
    assert [files.ask("GET", name).body for name in ("lettre.txt", "autre.txt")] == [b"ancienne"] * 2
    files.kio("--overwrite", "copy", f"{own}", files.url)
    assert files.kio("cat", files.at("lettre.txt")) == "nouvelle"
    assert files.names() == {"lettre.txt", "autre.txt"}
    said = files.kio("stat", files.at("lettre.txt"))
    assert "SIZE                  8" in said and "text/plain" in said


def test_what_one_may_not_do_is_refused_and_stays(files: Files) -> None:
    elu = Files(files.centre, files.desktop, "elu")
    assert files.ask("PUT", "Commune/budget.txt", b"budget").status == 201
    own = files.desktop.home / "x.txt"
    own.write_text("x")
    for command in (
        ("copy", f"{own}", elu.at("Commune")),
        ("--overwrite", "copy", f"{own}", elu.at("Commune/budget.txt")),
        ("move", elu.at("Commune/budget.txt"), elu.at("budget.txt")),
        ("remove", elu.at("Commune/budget.txt")),
        ("remove", elu.at("Commune")),
        ("cat", elu.at("absent.txt")),
    ):
        elu.kio(*command, fails=True)
    assert elu.names("Commune") == {"budget.txt"}
    assert elu.kio("cat", elu.at("Commune/budget.txt")) == "budget"


def _tree(folder: Path) -> dict[str, bytes | None]:
    return {
        one.relative_to(folder).as_posix(): None if one.is_dir() else one.read_bytes()
        for one in folder.rglob("*")
    }
