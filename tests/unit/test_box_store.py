"""What a box keeps on disk: a power cut leaves the old or the new, never a half."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from beffroi_box import found, status
from beffroi_box.errors import IdentityDamaged, KeyUnreadable, NotEnrolled
from beffroi_box.store import FLOOR_STEP_S, Identity, Store, write_atomic, write_checked
from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, Entry, Policy, PolicyMessage, Snapshot
from beffroi_protocol.session import FeedSession, TrustedClock
from beffroi_protocol.signing import Signer, TrustStore, b64, delegate, public_bytes, unb64
from beffroi_protocol.table import DecisionTable
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOW = 1_800_000_000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "state")
    found.prepare()
    return found


def table(version: int) -> DecisionTable:
    found = DecisionTable("box")
    entries = (Entry(f"dec_{version}", Indicator(Kind.IP, "45.83.64.7"), Action.BLOCK, NOW),)
    found.apply(Snapshot(1, "box", 1, version, NOW, NOW + 60, "head", entries), b"")
    return found


def identity(root: Ed25519PrivateKey) -> Identity:
    return Identity(1, "box_1", "col_1", "Beaune", b64(public_bytes(root)), "https://boitiers.cotedor.fr")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = pytest.mark.parametrize("damage", [half, flipped, emptied, Path.unlink])


@DAMAGES
def test_a_damaged_table_falls_back_to_the_one_before_it(
    store: Store, damage: Callable[[Path], None]
) -> None:
    store.save_table(table(1))
    store.save_table(table(2))
    damage(store.state / "tables" / "box.state")
    assert [entry.id for entry in store.table("box")] == ["dec_1"]


@DAMAGES
def test_with_both_copies_damaged_a_box_starts_empty_and_asks_for_a_snapshot(
    store: Store, damage: Callable[[Path], None]
) -> None:
    store.save_table(table(1))
    store.save_table(table(2))
    for path in (store.state / "tables").iterdir():
        damage(path)
    found = store.table("box")
    assert (len(found), found.version) == (0, 0)


def test_a_table_of_another_channel_under_this_name_is_not_used(store: Store) -> None:
    (store.state / "tables" / "box@col_1.state").write_bytes(table(1).dump())
    assert len(store.table("box@col_1")) == 0


@DAMAGES
@pytest.mark.parametrize("copy", ["", ".previous"])
def test_one_damaged_copy_of_key_and_identity_is_mended_from_the_other(
    store: Store, damage: Callable[[Path], None], copy: str
) -> None:
    one, key = identity(Ed25519PrivateKey.generate()), public_bytes(store.key())
    store.save_identity(one)
    for name in ("identity.json", "box.key", "root.pub"):
        whole = (store.state / name).read_bytes()
        damage(store.state / f"{name}{copy}")
        assert store.identity() == one
        assert public_bytes(Store(store.state).key()) == key
        assert store.pinned_root() == unb64(one.root_public_key)
        assert (store.state / name).read_bytes() == whole == (store.state / f"{name}.previous").read_bytes()


@DAMAGES
def test_with_both_copies_of_the_identity_damaged_the_box_knows_that_it_was_enrolled(
    store: Store, damage: Callable[[Path], None]
) -> None:
    with pytest.raises(NotEnrolled):
        store.identity()
    store.save_identity(identity(Ed25519PrivateKey.generate()))
    for path in store.state.glob("identity.json*"):
        damage(path)
    with pytest.raises(IdentityDamaged):
        Store(store.state).identity()


@pytest.mark.parametrize("damage", [half, flipped, emptied])
def test_a_lost_key_is_an_error_and_never_replaced_by_a_new_one(
    store: Store, damage: Callable[[Path], None]
) -> None:
    store.key()
    for path in store.state.glob("box.key*"):
        damage(path)
    before = {path: path.read_bytes() for path in store.state.glob("box.key*")}
    with pytest.raises(KeyUnreadable):
        Store(store.state).key()
    assert {path: path.read_bytes() for path in store.state.glob("box.key*")} == before


def test_saved_trust_is_verified_again_under_the_pinned_root(store: Store) -> None:
    root, feed, stranger = (Ed25519PrivateKey.generate() for _ in range(3))
    trust = TrustStore(public_bytes(root))
    trust.add_delegation(delegate(root, public_bytes(feed), serial=1, not_before=0, not_after=NOW * 2))
    store.save_trust(trust)
    assert store.trust(identity(root)).lines == trust.lines
    assert store.trust(identity(stranger)).lines == {}


def test_the_candidate_policy_becomes_the_policy_only_when_proved(store: Store) -> None:
    line = Signer(Ed25519PrivateKey.generate()).line(PolicyMessage(1, "col_1", 3, NOW, Policy()))
    store.save_policy(line, "policy-candidate")
    assert store.policy() is None
    store.promote_candidate()
    assert store.policy("policy-candidate") is None or store.policy() is not None
    found = store.policy()
    assert found is not None and found.policy_version == 3


def test_what_is_saved_as_policy_but_is_none_is_refused(store: Store) -> None:
    store.save_policy(b"bf1 kid AAAA {}")
    assert store.policy() is None


def test_files_are_private_and_leave_no_temporary_behind(store: Store) -> None:
    store.key()
    store.save_time_floor(NOW)
    store.save_table(table(1))
    files = [p for p in store.state.rglob("*") if p.is_file()]
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in files)
    assert not [p for p in files if p.name.endswith(".new")]


def test_the_key_is_made_once(store: Store) -> None:
    assert public_bytes(store.key()) == public_bytes(Store(store.state).key())


def test_a_full_disk_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new", keep_previous=True)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


NOBODY = 65534


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A directory of another user, who may come there."""
    for above in (tmp_path, *tmp_path.parents[:3]):
        above.chmod(above.stat().st_mode | 0o011)
    (place := tmp_path / "resolver").mkdir(mode=0o711)
    os.chown(place, NOBODY, NOBODY)
    (tmp_path / "secret").write_bytes(b"of root")
    (tmp_path / "elsewhere").mkdir()
    return place


def _as_nobody(*command: str) -> None:
    subprocess.run(command, check=True, user=NOBODY, group=NOBODY, extra_groups=())


@pytest.mark.root
@pytest.mark.parametrize("name", ["unbound.conf", "unbound.conf.new", "unbound.conf.previous"])
@pytest.mark.parametrize("aim", ["secret", "made", "elsewhere"])
def test_the_owner_of_a_directory_does_not_choose_where_root_writes(
    foreign: Path, name: str, aim: str
) -> None:
    _as_nobody("ln", "-s", str(foreign.parent / aim), str(foreign / name))
    write_atomic(foreign / "unbound.conf", b"first", keep_previous=True)
    write_atomic(foreign / "unbound.conf", b"second", keep_previous=True)
    written = foreign / "unbound.conf"
    assert not written.is_symlink() and written.read_bytes() == b"second" and written.stat().st_uid == 0
    assert (foreign.parent / "secret").read_bytes() == b"of root"
    assert not (foreign.parent / "made").exists() and not list((foreign.parent / "elsewhere").iterdir())


@pytest.mark.root
def test_neither_a_pipe_nor_an_open_file_waits_for_root(foreign: Path) -> None:
    _as_nobody("mkfifo", str(foreign / "unbound.conf.new"))
    write_atomic(foreign / "unbound.conf", b"content")
    _as_nobody("sh", "-c", f"echo kept >{foreign}/unbound.conf.new")
    held = (foreign / "unbound.conf.new").open("rb")
    with held:
        write_atomic(foreign / "unbound.conf", b"content")
        assert held.read() == b"kept\n", "root writes into a file that it made"


@pytest.mark.root
def test_a_directory_that_became_a_link_is_not_followed(foreign: Path) -> None:
    foreign.rmdir()
    foreign.symlink_to(foreign.parent / "elsewhere")
    with pytest.raises(NotADirectoryError):
        write_atomic(foreign / "unbound.conf", b"content")
    assert not list((foreign.parent / "elsewhere").iterdir())


@pytest.mark.root
def test_what_the_resolver_owns_is_never_written_by_root(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "state")
    (tmp_path / "state" / "box.toml").write_text(f'resolver_user = "nobody"\nrun = "{tmp_path}/run"\n')
    link = str(tmp_path / "link")  # STATE itself may be one
    for _ in range(2):
        subprocess.run((sys.executable, "-m", "beffroi_box", "--state", link, "resolver-config"), check=True)
    assert not list((tmp_path / "state" / "resolver").iterdir())
    assert (tmp_path / "state" / "resolver").stat().st_uid == NOBODY
    names = tmp_path / "state" / "names"
    assert names.stat().st_uid == 0 and (names / "unbound.conf").stat().st_mode & 0o777 == 0o644


def test_a_crash_between_the_two_renames_leaves_the_previous_one(store: Store) -> None:
    store.save_table(table(1))
    path = store.state / "tables" / "box.state"
    path.replace(path.with_name("box.state.previous"))
    assert [entry.id for entry in store.table("box")] == ["dec_1"]


def test_trusted_time_goes_on_from_the_last_signed_word_whatever_the_box_s_clock_says(store: Store) -> None:
    """As the agent starts: the floor from disk, then counted on by a steady clock."""
    store.save_time_floor(NOW)
    ten_years_s = 10 * 365 * 86400
    for local in (NOW - ten_years_s, NOW + ten_years_s):
        clock = TrustedClock(floor=0)
        clock.learn(store.time_floor(), monotonic=100.0)
        assert clock.now(local=local, monotonic=160.0) == NOW + 60


def test_an_old_message_never_takes_trusted_time_back(store: Store) -> None:
    root, feed = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    trust = TrustStore(public_bytes(root))
    trust.add_delegation(delegate(root, public_bytes(feed), serial=1, not_before=0, not_after=NOW * 2))
    session = FeedSession(trust, ("box",), TrustedClock())
    for issued_at in (NOW, NOW - 5000):
        session.receive(Signer(feed).line(Snapshot(1, "box", 1, 1, issued_at, NOW, "h")), monotonic=10.0)
    assert session.clock.now(local=0.0, monotonic=70.0) == NOW + 60


def test_the_time_floor_is_not_written_for_every_heartbeat(store: Store) -> None:
    store.save_time_floor(NOW)
    store.save_time_floor(NOW + FLOOR_STEP_S - 1)
    assert Store(store.state).time_floor() == NOW
    store.save_time_floor(NOW + FLOOR_STEP_S)
    assert Store(store.state).time_floor() == NOW + FLOOR_STEP_S


def test_a_restarted_store_knows_what_floor_is_on_disk(store: Store) -> None:
    store.save_time_floor(NOW)
    again = Store(store.state)
    assert again.time_floor() == NOW
    again.save_time_floor(NOW + 1)
    assert Store(store.state).time_floor() == NOW


@pytest.mark.parametrize("text", [b"yesterday", b"-5", b""])
def test_a_time_floor_that_is_no_time_counts_as_none(store: Store, text: bytes) -> None:
    write_checked(store.state / "time-floor", text)
    assert store.time_floor() == 0


PRIVATE = (
    "diary/2026-11-29.day",
    "labels.json",
    "policy",
    "policy.previous",
    "spool/open.json",
    "policy-log.json",
)
"""Of the commune whose machines and policy it was."""
TOLD = "spool/told/1-1-1800000000.one"


@pytest.mark.parametrize(
    ("box_id", "collectivite_id", "kept"),
    [
        ("box_1", "col_1", {*PRIVATE, TOLD, "time-floor"}),
        ("box_2", "col_1", {*PRIVATE, "time-floor"}),  # another number: told by the box that it was
        ("box_2", "col_2", {"time-floor"}),
    ],
)
def test_a_machine_that_becomes_another_box_brings_nothing_along_that_is_not_its_own(
    store: Store, box_id: str, collectivite_id: str, kept: set[str]
) -> None:
    first = identity(Ed25519PrivateKey.generate())
    for name in (*PRIVATE, TOLD, "time-floor"):
        (store.state / name).parent.mkdir(exist_ok=True)
        (store.state / name).write_bytes(b"of before")
    store.move_in(first)
    then = msgspec.structs.replace(first, box_id=box_id, collectivite_id=collectivite_id)
    for _ in range(2):
        store.move_in(then)
        left = {name for name in (*PRIVATE, TOLD, "time-floor") if (store.state / name).exists()}
        assert left == kept
    assert (store.state / "spool").is_dir() and (store.state / "diary").is_dir()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1]", b'{"box_id":"\xff","trouble":"\xff","code":"\xff"}', b"\0" * 64]
)
def test_what_a_flash_damaged_says_nothing(store: Store, data: bytes) -> None:
    """Also a byte that is no text within a word, for which decoding raises another error than for all else."""
    for name in ("status.json", "network.json", "enrolment.json"):
        (store.state / name).write_bytes(data)
    assert status.read(store.state) is None and store.asked() is None
    assert found.read(store.state) == found.Found()
