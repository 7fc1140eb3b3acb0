"""Checkpoints, pruning and exports of the audit log: what is signed stays verifiable, and tampering is found."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.core.audit import actions, chain, consumers, export, exported, pruning, queries, signing
from beffroi.core.audit.models import AuditCheckpoint, AuditEntry, AuditPersonal, AuditSeal
from beffroi.core.events import registry
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, durable
from beffroi.lib.config import Config
from beffroi_protocol.signing import b64, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Fill = Callable[[int], None]


@pytest.fixture
def key(config: Config) -> Iterator[Ed25519PrivateKey]:
    """The key of this centre, in its place."""
    made = Ed25519PrivateKey.generate()
    (config.secrets / signing.KEY).write_text(b64(made.private_bytes_raw()))
    (config.secrets / signing.PUBLIC).write_text(b64(public_bytes(made)) + "\n")
    yield made
    (config.secrets / signing.KEY).unlink()
    (config.secrets / signing.PUBLIC).unlink(missing_ok=True)


@pytest.fixture
def fill(database: str, system: Actor) -> Fill:
    """Record and seal so many entries, each with a personal side."""

    def add(count: int) -> None:
        for number in range(count):
            actions.record(
                actor=system,
                verb="test:done",
                object_id=str(number),
                collectivite_id=None,
                personal={"name": "Jeanne Dupont"},
            )
        actions.seal()

    return add


@pytest.fixture
def marked(key: Ed25519PrivateKey, fill: Fill) -> Ed25519PrivateKey:
    """Six entries under checkpoints at 2 and 5; the last one is under none."""
    for count in (2, 3):
        fill(count)
        assert actions.checkpoint(key)
    fill(1)
    return key


def prune(key: Ed25519PrivateKey, *, before_s: float = 0) -> actions.Prunable:
    what = actions.prunable(clock.now() + timedelta(seconds=before_s))
    assert what is not None
    actions.prune(actor=Actor.system("audit-prune"), account="root", what=what, key=key)
    actions.seal()
    return what


def written(key: Ed25519PrivateKey) -> list[bytes]:
    out = io.StringIO()
    export.write(out, key)
    return out.getvalue().encode().splitlines(keepends=True)


# Checkpoints


@pytest.mark.usefixtures("marked")
def test_verification_begins_at_the_last_checkpoint_and_a_full_one_at_the_first_entry() -> None:
    quick, full = queries.verify(), queries.verify(full=True)
    assert (quick.ok, quick.start, quick.checked, quick.count) == (True, 5, 1, 6)
    assert (full.ok, full.start, full.checked, full.count) == (True, 0, 6, 6)
    assert quick.head == full.head == queries.head()


@pytest.mark.usefixtures("marked")
def test_what_a_checkpoint_covers_is_read_again_only_by_a_full_verification() -> None:
    AuditEntry.objects.filter(seal__position=3).update(verb="forged")
    assert queries.verify().ok
    assert queries.verify(full=True).first_bad == 3
    AuditEntry.objects.filter(seal__position=6).update(verb="forged")
    assert queries.verify().first_bad == 6


@pytest.mark.parametrize(
    "change",
    [{"hash": "f" * 64}, {"count": 2}, {"at": clock.now()}, {"signature": "A" * 86}, {"signature": "é"}],
)
@pytest.mark.usefixtures("marked")
def test_changed_checkpoint_is_found(change: dict[str, object]) -> None:
    AuditCheckpoint.objects.filter(position=5).update(**change)
    assert queries.verify().first_bad == 5
    assert queries.verify(full=True).first_bad == 5


def test_rewritten_chain_does_not_pass_through_what_was_signed(marked: Ed25519PrivateKey) -> None:
    """Whoever may write in the database and has no key."""
    AuditEntry.objects.filter(seal__position=4).update(verb="forged")
    AuditPersonal.objects.all().delete()
    head = chain.GENESIS
    for seal in AuditSeal.objects.select_related("entry").order_by("position"):
        head = chain.link(head, seal.position, seal.entry)
        AuditSeal.objects.filter(pk=seal.pk).update(hash=head)
    assert queries.verify().first_bad == 5
    assert queries.verify(full=True).first_bad == 5
    # A checkpoint of a key of his own does not help him.
    AuditCheckpoint.objects.filter(position=5).delete()
    stranger = Ed25519PrivateKey.generate()
    said = signing.Statement("checkpoint", 6, head, 4, chain.microseconds(clock.now()))
    AuditCheckpoint.objects.create(
        position=6, hash=head, count=4, at=clock.now(), signature=signing.sign(stranger, said)
    )
    assert queries.verify().first_bad == 6
    with pytest.raises(actions.ChainBroken):
        actions.checkpoint(marked)


@pytest.mark.usefixtures("marked")
def test_chain_cut_below_a_checkpoint_is_found_without_a_witness() -> None:
    AuditSeal.objects.filter(position__gte=5).delete()
    assert not queries.verify().ok
    assert not queries.verify(full=True).ok
    AuditSeal.objects.all().delete()
    assert not queries.verify().ok
    assert not queries.verify(full=True).ok


@pytest.mark.usefixtures("marked")
def test_checkpoint_taken_out_of_the_middle_is_found() -> None:
    AuditCheckpoint.objects.filter(position=2).delete()
    assert queries.verify(full=True).first_bad == 5


def test_chain_that_does_not_hold_is_not_signed(marked: Ed25519PrivateKey) -> None:
    AuditEntry.objects.filter(seal__position=6).update(verb="forged")
    with pytest.raises(actions.ChainBroken):
        actions.checkpoint(marked)
    assert AuditCheckpoint.objects.count() == 2


@pytest.mark.usefixtures("marked")
def test_witness_of_before_the_last_checkpoint_is_found_by_a_full_walk() -> None:
    early = AuditSeal.objects.get(position=1).hash
    assert queries.verify(expected_head=early).ok
    assert not queries.verify(expected_head="f" * 64).ok


def test_former_key_stays_trusted_and_an_unknown_one_is_not(
    marked: Ed25519PrivateKey, config: Config
) -> None:
    following = Ed25519PrivateKey.generate()
    public = config.secrets / signing.PUBLIC
    public.write_text(f"{b64(public_bytes(following))}\n{public.read_text()}")
    assert actions.checkpoint(following)
    assert queries.verify(full=True).ok
    public.write_text(b64(public_bytes(marked)))
    assert not queries.verify().ok
    public.unlink()
    assert not queries.verify().ok


def test_worker_signs_after_an_hour_or_a_thousand_entries(key: Ed25519PrivateKey, fill: Fill) -> None:
    timer = registry.timers()["audit.checkpoint"].function
    assert timer is consumers.checkpoint
    timer()
    assert not AuditCheckpoint.objects.exists()
    fill(1)
    timer()
    assert AuditCheckpoint.objects.get().position == 1
    fill(2)
    timer()
    assert AuditCheckpoint.objects.count() == 1
    with clock.shifted(3601):
        timer()
        assert queries.last_checkpoint().position == 3
        fill(actions.CHECKPOINT_ENTRIES)
        timer()
    assert queries.last_checkpoint().position == 3 + actions.CHECKPOINT_ENTRIES
    assert queries.verify(full=True).ok


def test_a_checkpoint_of_a_clock_that_was_ahead_keeps_no_later_one_waiting(
    key: Ed25519PrivateKey, fill: Fill
) -> None:
    with clock.shifted(3650 * 86400):
        fill(1)
        consumers.checkpoint()
    fill(1)
    consumers.checkpoint()
    assert queries.last_checkpoint().position == 2
    fill(1)
    consumers.checkpoint()
    assert queries.last_checkpoint().position == 2, "the clock is right again: within the hour"


# Pruning


def test_pruned_log_holds_from_its_checkpoint_and_tells_who_did_it(
    marked: Ed25519PrivateKey, fill: Fill
) -> None:
    what = prune(marked)
    assert (what.position, what.count) == (5, 5)
    assert list(AuditSeal.objects.order_by("position").values_list("position", flat=True)) == [6, 7]
    assert AuditPersonal.objects.count() == 2
    entry = AuditEntry.objects.get(verb=queries.PRUNED)
    assert json.loads(entry.details)["count"] == 5
    assert actions.personal_of(entry) == {"account": "root"}
    for full in (False, True):
        found = queries.verify(full=full)
        assert (found.ok, found.pruned, found.count) == (True, 5, 2)
    assert queries.verify(expected_head=what.hash).ok
    # It grows, is signed and pruned again.
    fill(3)
    assert actions.checkpoint(marked)
    assert queries.verify(full=True).ok
    fill(1)
    assert prune(marked).position == 10
    assert queries.verify(full=True).ok
    assert queries.verify().pruned == 10


def test_nothing_is_pruned_that_no_checkpoint_of_before_the_date_covers(
    key: Ed25519PrivateKey, fill: Fill
) -> None:
    fill(3)
    assert actions.prunable(clock.now()) is None
    assert actions.checkpoint(key)
    assert actions.prunable(clock.now()) is None  # the last link stays
    fill(1)
    assert actions.prunable(clock.now() - timedelta(hours=1)) is None
    assert actions.prunable(clock.now())


def test_broken_chain_is_not_pruned(marked: Ed25519PrivateKey) -> None:
    AuditEntry.objects.filter(seal__position=1).update(verb="forged")
    with pytest.raises(actions.ChainBroken):
        actions.prunable(clock.now())


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("cut_at", [1, 2, 4, 5])
def test_beginning_taken_away_without_a_signed_word_is_found(cut_at: int) -> None:
    _take_away(cut_at)
    assert queries.verify().first_bad == 1
    assert queries.verify(full=True).first_bad == 1


def test_signed_word_counts_for_its_own_place_only(marked: Ed25519PrivateKey, fill: Fill) -> None:
    prune(marked)
    fill(2)
    assert actions.checkpoint(marked)
    fill(1)
    entry = AuditEntry.objects.get(verb=queries.PRUNED)
    _take_away(9)
    # A copy of the entry, named for the new place, does not carry its signature over.
    AuditEntry.objects.create(
        actor_kind="system", actor_id="x", verb=queries.PRUNED, object_id="9", details=entry.details
    )
    assert queries.verify().first_bad == 1


def _take_away(position: int) -> None:
    last = AuditSeal.objects.get(position=position).entry_id
    AuditSeal.objects.filter(position__lte=position).delete()
    AuditPersonal.objects.filter(entry_id__lte=last).delete()
    AuditEntry.objects.filter(id__lte=last).delete()


# Exports


@pytest.mark.parametrize("pruned", [False, True])
def test_export_verifies_by_itself_and_names_nobody(marked: Ed25519PrivateKey, pruned: bool) -> None:
    if pruned:
        prune(marked)
    lines = written(marked)
    assert b"Dupont" not in b"".join(lines)
    found = exported.verify(lines)
    assert (found.ok, found.problem, found.pinned) == (True, "", False)
    assert (found.head, found.count) == (queries.head(), AuditSeal.objects.count())
    kept = [public_bytes(marked)]
    assert exported.verify(lines, keys=kept).pinned
    assert exported.verify(lines, expected_head=queries.head()).ok
    assert not exported.verify(lines, expected_head="f" * 64).ok
    assert not exported.verify(lines, keys=[public_bytes(Ed25519PrivateKey.generate())]).ok


def test_every_change_of_one_line_of_an_export_is_found(marked: Ed25519PrivateKey) -> None:
    lines = written(marked)
    assert [json.loads(line)[0] for line in lines] == [
        exported.FORMAT, "e", "e", "c", "e", "e", "e", "c", "e", "end"
    ]  # fmt: skip
    for index, line in enumerate(lines):
        without = [*lines[:index], *lines[index + 1 :]]
        # A checkpoint on the way is a second seal over the same chain: its absence changes nothing of what is said.
        assert exported.verify(without).ok is (json.loads(line)[0] == "c"), index
        assert not exported.verify([*lines[: index + 1], line, *lines[index + 1 :]]).ok or line[2:3] == b"c"
        for place in range(1, len(json.loads(line))):
            fields = json.loads(line)
            fields[place] = _other(fields[place])
            changed = (json.dumps(fields) + "\n").encode()
            found = exported.verify([*lines[:index], changed, *lines[index + 1 :]])
            assert not found.ok, (index, place)


def _other(value: object) -> object:
    if isinstance(value, int):
        return value + 1
    return ["other"] if isinstance(value, list) else "other"


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{}", b"[]", b"null", b'["e"]', b'["e",1,2,3]', b"\xff\xfe", b"[" * 5000, b'["end",1e999,0,0,0,0]',
     b'["c",[],{},null,true,"x"]', b'["e","a",1,9999999999999999999,"","","","",null,"",""]', b"x" * (2 << 20)],
)  # fmt: skip
def test_hostile_line_of_an_export_is_refused_in_a_sentence(marked: Ed25519PrivateKey, line: bytes) -> None:
    lines = written(marked)
    for at in (0, 1, len(lines)):
        found = exported.verify([*lines[:at], line, *lines[at:]])
        assert not found.ok
        assert found.problem
    assert not exported.verify([]).ok


def test_log_that_does_not_hold_is_not_exported(marked: Ed25519PrivateKey) -> None:
    AuditEntry.objects.filter(seal__position=1).update(verb="forged")
    with pytest.raises(actions.ChainBroken):
        export.write(io.StringIO(), marked)


# By term


@pytest.fixture
def aged(key: Ed25519PrivateKey, fill: Fill) -> Ed25519PrivateKey:
    """Entries and checkpoints of 400, 300 and 100 days ago, and one entry of today."""
    for days, count in ((400, 4), (300, 3), (100, 2)):
        with clock.shifted(-days * 86400):
            fill(count)
            assert actions.checkpoint(key)
    fill(1)
    return key


def test_by_term_each_stretch_goes_to_a_file_that_verifies_and_the_rest_holds(
    aged: Ed25519PrivateKey, config: Config
) -> None:
    assert not pruning.is_due(config) and pruning.due(config) is None, "off unless a person sets it"
    year = replace(config, audit_keep_days=365)
    assert pruning.is_due(year)
    what = pruning.due(year)
    assert what is not None and (what.position, what.count) == (4, 4)
    done = pruning.carry_out(year, what, account="worker")
    actions.seal()
    assert not pruning.is_due(year) and pruning.due(year) is None
    assert queries.verify().ok and queries.verify(full=True).pruned == 4
    assert AuditCheckpoint.objects.count() == 3
    with done.path.open("rb") as lines:
        found = exported.verify(lines, keys=[public_bytes(aged)])
    assert (found.ok, found.pinned, found.count, found.position) == (True, True, 4, 4)
    assert b"Dupont" not in done.path.read_bytes() and done.path.stat().st_mode & 0o777 == 0o600
    half = replace(config, audit_keep_days=1)
    what = pruning.due(half)
    assert what is not None and (what.position, what.count) == (7, 3), "less than half a year counts as that"
    second = pruning.carry_out(half, what, account="worker")
    with second.path.open("rb") as lines:
        assert exported.verify(lines, keys=[public_bytes(aged)]).count == 3
    actions.seal()
    assert queries.verify(full=True).ok


def test_a_checkpoint_of_a_clock_that_was_behind_takes_no_younger_entries_along(
    aged: Ed25519PrivateKey, fill: Fill, config: Config
) -> None:
    """A machine that began without its battery: for an hour it is years ago, then it is today again."""
    with clock.shifted(-2000 * 86400):
        fill(1)
        assert actions.checkpoint(aged)
    fill(1)
    assert actions.checkpoint(aged)
    for term, position in ((365, 4), (183, 7)):
        what = pruning.due(replace(config, audit_keep_days=term))
        assert what is not None and what.position == position, term
        pruning.carry_out(replace(config, audit_keep_days=term), what, account="worker")
        actions.seal()
    assert not pruning.is_due(replace(config, audit_keep_days=183))
    what = actions.prunable(clock.now() - timedelta(days=99))
    assert what is not None and what.position == 9, "of 100 days ago, nothing younger"


def test_entries_of_a_clock_that_was_ahead_keep_nothing_back_for_years(
    key: Ed25519PrivateKey, fill: Fill, config: Config
) -> None:
    for days in (-400, 3650, -390):
        with clock.shifted(days * 86400):
            fill(2)
            assert actions.checkpoint(key)
    fill(1)
    what = pruning.due(replace(config, audit_keep_days=365))
    assert what is not None and what.position == 6


def test_by_term_nothing_goes_that_does_not_hold_or_is_not_written(
    aged: Ed25519PrivateKey, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    year = replace(config, audit_keep_days=365)
    what = pruning.due(year)
    assert what is not None
    monkeypatch.setattr(durable, "write", lambda path, *_, **__: Path(path).write_bytes(b"cut"))
    with pytest.raises(pruning.ArchiveFalse):
        pruning.carry_out(year, what, account="worker")
    AuditEntry.objects.filter(seal__position=2).update(verb="tests:hidden")
    with pytest.raises(actions.ChainBroken):
        pruning.due(year)
    assert AuditEntry.objects.count() == 10


def test_a_run_takes_few_entries_but_one_stretch_at_least(
    aged: Ed25519PrivateKey, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = replace(config, audit_keep_days=183)
    for most, position in ((1, 4), (5, 4), (7, 7), (100, 7)):
        monkeypatch.setattr(pruning, "AT_MOST", most)
        what = pruning.due(half)
        assert what is not None and what.position == position
