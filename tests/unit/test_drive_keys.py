"""The keys of a commune's files."""

from __future__ import annotations

import errno
import stat
import threading
from pathlib import Path

import pytest
from beffroi.drive.store import keys
from beffroi.drive.store.chunking import chunk_id
from beffroi.drive.store.keys import KeysErased, KeysMissing
from beffroi.drive.store.sealing import Sealer
from beffroi.lib import ids
from beffroi.lib.config import Config
from beffroi.lib.envelopes import KeyUnreadable

from tests.fixtures_drive import new_config

COL = "col_" + "0" * 26  # the same in every worker: names of tests hold it


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return new_config(tmp_path / "state")


def folder(config: Config) -> Path:
    return config.state / "drive" / COL


def test_keys_are_made_once_and_read_again_by_another_process(config: Config) -> None:
    made = keys.make(config, COL)
    again, read = keys.make(config, COL), keys.Keys(config, COL)
    assert made.current() == again.current() == read.current()
    assert made.naming() == read.naming() != made.current()[1]
    assert stat.S_IMODE((folder(config) / "keys.json").stat().st_mode) == 0o600
    assert made.current()[1] not in (folder(config) / "keys.json").read_bytes()


def test_two_who_make_the_first_keys_at_once_have_the_same(config: Config) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(keys.make(config, COL).current()[1])) for _ in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 8 and len(set(found)) == 1


def test_each_commune_has_keys_and_cutting_places_of_its_own(config: Config) -> None:
    one, other = keys.make(config, COL), keys.make(config, ids.new_id("col"))
    assert one.current()[1] != other.current()[1]
    assert one.cutting_seed() != other.cutting_seed()
    assert chunk_id(one.naming(), b"a known file") != chunk_id(other.naming(), b"a known file")


def test_a_new_generation_seals_and_the_old_one_still_opens_in_every_process(config: Config) -> None:
    mine = keys.make(config, COL)
    elsewhere = keys.Keys(config, COL)
    name = chunk_id(mine.naming(), b"body")
    old = Sealer(elsewhere).seal(name, b"body")
    naming, seed = mine.naming(), mine.cutting_seed()
    assert mine.rotate() == 2
    assert elsewhere.current()[0] == 2
    assert (mine.naming(), mine.cutting_seed()) == (naming, seed), "deduplication goes on"
    sealer = Sealer(elsewhere)
    assert bytes(sealer.open(name, old)) == b"body"
    new = sealer.reseal(name, old)
    assert new is not None and bytes(sealer.open(name, new)) == b"body"
    assert sealer.reseal(name, new) is None


def test_erasure_destroys_the_keys_in_every_process_and_says_so_in_a_certificate(config: Config) -> None:
    mine = keys.make(config, COL)
    mine.rotate()
    elsewhere = keys.Keys(config, COL)
    name = chunk_id(elsewhere.naming(), b"body")
    sealed = Sealer(elsewhere).seal(name, b"body")
    prints = [keys.fingerprint(key) for key in (mine.naming(), mine.generation(1), mine.generation(2)) if key]
    (folder(config) / ".keys.json.00aa").write_bytes((folder(config) / "keys.json").read_bytes())

    done = mine.erase("usr_somebody")

    assert [one.fingerprint for one in done.keys] == prints
    assert (done.collectivite_id, done.erased_by) == (COL, "usr_somebody")
    assert sorted(one.name for one in folder(config).iterdir()) == ["erased.json", "keys.lock"]
    for held in (mine, elsewhere):
        with pytest.raises(KeysErased, match=COL):
            Sealer(held).open(name, sealed)
        with pytest.raises(KeysErased):
            Sealer(held).seal(name, b"body")
        with pytest.raises(KeysErased):
            held.rotate()
    with pytest.raises(KeysErased):
        keys.make(config, COL)
    assert mine.erase("usr_another") == done == keys.certificate(config, COL)


def test_a_damaged_file_is_erased_too_and_the_certificate_names_no_key(config: Config) -> None:
    mine = keys.make(config, COL)
    (folder(config) / "keys.json").write_bytes(b'{"version": 1, ')
    assert mine.erase("usr_somebody").keys == ()
    assert sorted(one.name for one in folder(config).iterdir()) == ["erased.json", "keys.lock"]
    assert keys.certificate(config, COL) == mine.erase("usr_another")
    with pytest.raises(KeysErased):
        mine.current()


def test_an_erasure_that_was_cut_short_is_finished_by_the_next_one(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = keys.make(config, COL)

    def cut(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keys, "_destroy", cut)
        with pytest.raises(KeyboardInterrupt):
            mine.erase("usr_somebody")
    for act in (mine.rotate, lambda: keys.Keys(config, COL).current(), lambda: keys.make(config, COL)):
        with pytest.raises(KeysErased):
            act()
    assert keys.certificate(config, COL) is None
    assert mine.erase("usr_another").erased_by == "usr_somebody"
    assert not (folder(config) / "keys.json").exists()


def test_a_replacement_that_was_cut_short_never_takes_the_keys_of_today(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill or a full disk leaves it: the file before is named, and is still the one in force."""
    mine = keys.make(config, COL)
    mine.rotate()
    whole, name = (folder(config) / "keys.json").read_bytes(), chunk_id(mine.naming(), b"body")
    sealed = Sealer(mine).seal(name, b"body")

    def full(path: Path, value: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(keys, "_write", full)
        with pytest.raises(OSError, match="full"):
            mine.destroy_before(2)
    assert (folder(config) / "keys.json").read_bytes() == whole
    assert [one.number for one in mine.destroy_before(2)] == [1]
    assert bytes(Sealer(keys.Keys(config, COL)).open(name, sealed)) == b"body"
    assert not list(folder(config).glob(".keys*"))


def test_lost_keys_are_not_replaced_behind_anybody_s_back(config: Config) -> None:
    keys.make(config, COL)
    kept = (folder(config) / "keys.json").read_bytes()
    (folder(config) / "keys.json").unlink()
    with pytest.raises(KeysMissing, match=COL):
        keys.make(config, COL)
    assert keys.adopt(config, COL, kept) and keys.make(config, COL).current()[0] == 1
    (folder(config) / "keys.json").unlink()
    assert keys.make(config, COL, anew=True).erase("usr_somebody").keys


def test_what_looks_for_keys_before_the_first_file_prevents_none(config: Config) -> None:
    folder(config).mkdir(parents=True)
    with pytest.raises(KeysMissing):
        keys.Keys(config, COL).generations()
    assert keys.make(config, COL).current()[0] == 1


def test_a_key_follows_the_one_that_was_looked_at_once(config: Config) -> None:
    mine = keys.make(config, COL)
    assert (mine.rotate(after=1), mine.rotate(after=1), mine.rotate(after=2)) == (2, 2, 3)


def test_keys_that_are_not_there_or_do_not_open_are_refused(config: Config) -> None:
    with pytest.raises(KeysMissing, match=COL):
        keys.Keys(config, COL).current()
    with pytest.raises(KeysMissing):
        keys.Keys(config, COL).rotate()
    with pytest.raises(KeysMissing):
        keys.Keys(config, "../secrets")
    keys.make(config, COL)
    file = folder(config) / "keys.json"
    good = file.read_bytes()
    for bad in (b"", b"{}", good.replace(b'"version": 1', b'"version": 2'), good.replace(b'"1.', b'"2.')):
        file.write_bytes(bad)
        with pytest.raises(KeyUnreadable):
            keys.Keys(config, COL).current()
    file.write_bytes(good)
    (config.secrets / "commune-master.key").write_text("another")
    with pytest.raises(KeyUnreadable, match="commune-master"):
        keys.Keys(config, COL).current()


def test_the_keys_of_one_commune_do_not_open_in_the_place_of_anothers(config: Config) -> None:
    other = ids.new_id("col")
    keys.make(config, COL)
    keys.make(config, other)
    taken = (folder(config) / "keys.json").read_text().replace(COL, other)
    (config.state / "drive" / other / "keys.json").write_text(taken)
    with pytest.raises(KeyUnreadable):
        keys.Keys(config, other).current()
