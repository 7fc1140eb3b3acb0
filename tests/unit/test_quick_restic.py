"""Repositories that tests use in the place of those of ``restic init``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from beffroi.mail.backup.store import KEY, Store, StoreFailed

from tests.fixtures_drive import new_config


def _store(state: Path) -> Store:
    config = new_config(state)
    (config.secrets / KEY).write_text(state.name)
    (config.state / "backup-work" / "cache").mkdir(parents=True)
    made = Store(config)
    made.prepare()
    return made


def test_each_is_whole_and_one_of_its_own_and_opens_by_its_password_alone(tmp_path: Path) -> None:
    one, other = _store(tmp_path / "one"), _store(tmp_path / "other")
    folder = tmp_path / "mailboxes"
    folder.mkdir()
    (folder / "mail").write_text("a")
    for store in (one, other):
        (key,) = (store.path / "keys").iterdir()
        assert json.loads(key.read_bytes())["N"] == 2
        made = store.save(folder, keep_days=35)
        assert store.snapshots() == [made]
        assert store.check().whole
    # restic names what it keeps of a repository by that one's number.
    numbers = [{kept.name for kept in store._cache.iterdir() if kept.is_dir()} for store in (one, other)]
    assert numbers[0]
    assert numbers[0].isdisjoint(numbers[1])
    (other._config.secrets / KEY).write_text("another")
    with pytest.raises(StoreFailed, match="wrong password"):
        other.snapshots()
