"""Faults put into a copy of the product on purpose, one at a time: the simulation must notice each.

Purpose: proof that the invariants bite. ``python -m tests.simulation.mutations [--only WORD]`` runs seeds on each
         mutant until one fails.
Rule:    a mutation is a change of text; a text that is not found exactly once is an error, so none is forgotten.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL, BOX = "packages/protocol/beffroi_protocol", "packages/box/beffroi_box"
STREAM, WATCH = "packages/centre/beffroi/stream", "packages/centre/beffroi/watch"
DECISIONS = "packages/centre/beffroi/core/decisions"
SEEDS = 1500


@dataclass(frozen=True)
class Mutation:
    name: str
    path: str
    before: str
    after: str


MUTATIONS = (
    Mutation("any version is taken, without the chain", f"{PROTOCOL}/table.py",
             "if batch.from_version != self.version or batch.prev != self.head:", "if False:"),
    Mutation("the hash of the batch before is ignored", f"{PROTOCOL}/table.py",
             "if batch.from_version != self.version or batch.prev != self.head:",
             "if batch.from_version != self.version:"),
    Mutation("replays are not refused", f"{PROTOCOL}/table.py",
             "if batch.to_version < self.version or (batch.to_version == self.version and not heartbeat):\n"
             "            raise BatchReplayed(self.channel, self.version, batch.to_version)\n"
             "        if batch.from_version != self.version or batch.prev != self.head:", "if False:"),
    Mutation("a snapshot of a lower epoch is accepted", f"{PROTOCOL}/table.py",
             "if epoch < self.epoch:", "if False:"),
    Mutation("a snapshot of the past is accepted", f"{PROTOCOL}/table.py",
             "if epoch == self.epoch and version < self.version:", "if False:"),
    Mutation("a removed entry stays", f"{PROTOCOL}/table.py",
             "gone = dict.fromkeys((*batch.removed, *(e.id for e in batch.added)))",
             "gone = dict.fromkeys(e.id for e in batch.added)"),
    Mutation("a gap does not ask for a snapshot", f"{PROTOCOL}/session.py",
             "return Refused(error, resync=True)", "return Refused(error)"),
    Mutation("trusted time follows any message", f"{PROTOCOL}/session.py",
             "        if issued_at < self.floor:\n            return\n", ""),
    Mutation("the signature is not looked at", f"{PROTOCOL}/signing.py",
             "        _verify(key, kid, signature, _signed_bytes(role, payload))\n        if now", "        if now"),
    Mutation("a damaged state is not recognised", f"{PROTOCOL}/table.py",
             "if hashlib.sha256(body).hexdigest().encode() != digest:", "if False:"),
    Mutation("the box enforces what is protected", f"{BOX}/desired.py", "        if reason:\n", "        if False:\n"),
    Mutation("the box adds before it removes", f"{BOX}/desired.py",
             "        return self._settle(touched, now=now)\n\n    def set_floor",
             "        for entry in change.removed:\n            if (change.channel, entry.id) in self._where:\n"
             "                touched.add(self._drop((change.channel, entry.id)))\n"
             "        return self._settle(touched, now=now)\n\n    def set_floor"),
    Mutation("a snapshot leaves what is not in it", f"{BOX}/desired.py", "if change.reset:", "if False:"),
    Mutation("the box forgets its overlay", f"{BOX}/agent.py",
             "known = self._acked.get(change.channel)\n",
             "known = self._acked.get(change.channel)\n        if '@' in change.channel:\n            return\n"),
    Mutation("the overlay is not loaded at a start", f"{BOX}/agent.py",
             "self.enforcer.load(self.session.tables.values())",
             "self.enforcer.load([t for t in self.session.tables.values() if '@' not in t.channel])"),
    Mutation("a stale list is unloaded", f"{BOX}/agent.py",
             "        while self._unsaved:\n",
             "        for t in self.session.tables.values():\n"
             "            if t.version and t.stale(now=self.now()):\n"
             "                self.enforcer._kernel.replace_all({}, ())\n        while self._unsaved:\n"),
    Mutation("expired entries stay refused", f"{BOX}/enforce.py",
             "self._enforce(self.desired.expire(now=self._now()))", "pass"),
    Mutation("flushed rules are not noticed", f"{BOX}/enforce.py",
             "if not self._kernel.has_rules():", "if False:"),
    Mutation("a policy after a flush leaves the deny sets empty", f"{BOX}/enforce.py",
             "            self.watch_kernel()\n            with self._lock:", "            with self._lock:"),
    Mutation("an acknowledgement runs ahead", f"{BOX}/agent.py",
             "self.acks.enforced(Ack(change.channel, change.epoch, change.version, enforced_at_ms))",
             "self.acks.enforced(Ack(change.channel, change.epoch, change.version + 1, enforced_at_ms))"),
    Mutation("what a lost connection took along is not said again", f"{BOX}/agent.py",
             "            self.acks.joined()\n", ""),
    Mutation("time begins anew after a restart", f"{BOX}/agent.py", "        if floor:\n", "        if False:\n"),
    Mutation("facts get another name when they are read back", f"{BOX}/facts.py",
             "self._sealed = list(_read(self._sealed_path))",
             "self._sealed = [msgspec.structs.replace(f, id=new_id()) for f in _read(self._sealed_path)]"),
    Mutation("facts are forgotten when the centre does not answer", f"{BOX}/sender.py",
             "            if never_taken(error):\n                self._spool.refuse()",
             "            self._spool.sent()"),
    Mutation("tables are never saved, but told so", f"{BOX}/store.py",
             "write_atomic(self._table_path(table.channel), table.dump(), keep_previous=True)",
             "write_atomic(self._table_path(table.channel), b'x' + table.dump(), keep_previous=True)\n"
             "        table.issued_at = 0"),
    Mutation("the centre sends lines of another history", f"{STREAM}/feedlog.py",
             " or wanted[0].prev != since.head", ""),
    Mutation("a fork at the same version is not seen", f"{STREAM}/feedlog.py",
             "return [] if since.head == channel.head else None", "return []"),
    Mutation("one liar alone begins an epoch", f"{STREAM}/claims.py",
             "        if len(epochs) < max(1, needed):\n            return None\n", "        needed = 1\n"),
    Mutation("a centre from a backup does not notice", f"{STREAM}/reload.py",
             "return mark.epoch == epoch and any(", "return False and any("),
    Mutation("decisions for one commune go to all", f"{STREAM}/batches.py", "if event.scope == SCOPE_ALL:", "if True:"),
    Mutation("an end is not told in the same batch as a beginning", f"{STREAM}/batches.py",
             "if e is None and i in channel.entries)", "if e is None and i in channel.entries and not added)"),
    Mutation("a fact's name is not kept within its box", f"{STREAM}/posts.py", 'f"{box.id}:{fact.id}"', "fact.id"),
    Mutation("an older acknowledgement replaces a newer one", f"{STREAM}/store.py",
             "excluded.epoch = box_ack.epoch AND excluded.version > box_ack.version", "1 = 1"),
    Mutation("the cursor is not kept with the batches", f"{STREAM}/store.py",
             "            self._put_channels([b.row for b in batches])\n            self._put_cursor(position)",
             "            self._put_channels([b.row for b in batches])"),
    Mutation("a suffix or a wide range passes for all", f"{PROTOCOL}/table.py",
             "fits = fits and (local or entry.action is not Action.ALLOW or not too_wide(entry.indicator))",
             "fits = bool(fits)"),
    Mutation("what passes for all passes nowhere", f"{PROTOCOL}/table.py",
             "fits = fits and (local or entry.action is not Action.ALLOW or not too_wide(entry.indicator))",
             "fits = fits and (local or entry.action is not Action.ALLOW)"),
    Mutation("never again is not told to the doors", f"{STREAM}/store.py",
             '_entry(spared, p["never_again_id"], Action.ALLOW, NEVER_AGAIN) if event.kind == SPARED else None',
             "None"),
    Mutation("never again is not told anew in a new epoch", f"{STREAM}/store.py",
             "        for r in spared:\n", "        for r in []:\n"),
    Mutation("never again is not heeded in the datacenter", f"{PROTOCOL}/layers.py",
             "return next((e for table in layers if", "return next((e for table in layers if '@' in table.channel and"),
    Mutation("the lists' new sets count before they are full", f"{BOX}/bulk.py",
             "        for (version, length), some in keys.items():\n            self._fill(",
             "        self._nft.run(bulk_rules(sizes, turn, 0x100))\n"
             "        for (version, length), some in keys.items():\n            self._fill("),
    Mutation("the lists' sets in force are filled anew", f"{BOX}/bulk.py", 'TURNS = ("a", "b")', 'TURNS = ("a", "a")'),
    Mutation("what a killed load left behind stays", f"{BOX}/bulk.py",
             "        self._delete({name: declared[name] for name in declared.keys() - former})\n", ""),
    Mutation("an exception outlives its end", f"{BOX}/desired.py",
             "        due |= {_address(n) for n, end in self.spared.items() if end <= now}\n", ""),
    Mutation("an exception of one commune goes to all", f"{STREAM}/store.py",
             'return (DecisionEvent(p["exception_id"], p["kind"], p["scope"], entry),)',
             'return (DecisionEvent(p["exception_id"], p["kind"], "all", entry),)'),
    Mutation("what waits for a person stays on the feed", f"{STREAM}/store.py",
             'ended = event.kind in (ENDED, REVIEW) or p.get("state", "active") not in IN_FORCE',
             "ended = event.kind == ENDED"),
    Mutation("an event about what waits for a person puts it on the feed", f"{STREAM}/store.py",
             ' or p.get("state", "active") not in IN_FORCE', ""),
    Mutation("a newcomer is told what waits for a person", f"{STREAM}/store.py",
             "state IN ('observed', 'canary', 'active')", "state IN ('observed', 'canary', 'active', 'review')"),
    Mutation("a command server is let through", f"{DECISIONS}/rules.py",
             "if any(map(is_command_server, found)):", "if False:"),
    Mutation("what lies under a name that is never decided again is decided", f"{DECISIONS}/rules.py",
             'return narrow.value.endswith("." + wide.value)', "return False"),
    Mutation("a list is given up while its next version comes", f"{BOX}/lists.py",
             "(before := self._chosen.get(key)) is not None", "(before := None) is not None"),
    Mutation("a list's digest is not compared", f"{PROTOCOL}/lists.py",
             "if self._size_bytes != self._wanted.size_bytes or self._digest.hexdigest() != self._wanted.sha256:",
             "if self._size_bytes != self._wanted.size_bytes:"),
    Mutation("a list blocks what is protected", f"{BOX}/load.py",
             "left, touched = without(listed.pop(version), protected[version], bits)",
             "left, touched = listed.pop(version), None"),
    Mutation("a withdrawn list stays", f"{BOX}/lists.py",
             "            self._wanted = wanted\n", "            self._wanted = {**self._wanted, **wanted}\n"),
    Mutation("a withdrawn list stays at the doors", "packages/centre/beffroi/core/planes/door_lists.py",
             "self._loaded = {key: one for key, one in self._loaded.items() if key in self._wanted}", "pass"),
    Mutation("an overlay that the centre does not know stays at the doors", f"{PROTOCOL}/session.py",
             "            self._answered(message.channel)\n", "            pass\n"),
    Mutation("a file gets its name before it is on disk", f"{BOX}/store.py",
             "                os.fsync(descriptor)\n            finally:",
             "                pass\n            finally:"),
    Mutation("a new name is not on disk", f"{BOX}/store.py",
             "        os.fsync(directory)\n    finally:\n        os.close(directory)\n\n\ndef _remove",
             "        pass\n    finally:\n        os.close(directory)\n\n\ndef _remove"),
    Mutation("a trial ends at once", f"{WATCH}/sources/rules.py",
             "return TrialState.PASSED if communes and exposed_s >= trial_s else state",
             "return TrialState.PASSED if communes else state"),
    Mutation("time in which nobody looked or was heard is a trial", f"{WATCH}/sources/rules.py",
             "return before_s + worked_s if communes and passed_s <= UNHEARD_S else before_s",
             "return before_s + worked_s"),
    Mutation("what town halls live on is blocked after a trial", f"{WATCH}/sources/rules.py",
             "    if used > most_used:\n        return TrialState.REVIEW\n", ""),
    Mutation("what grows at once is not tried", f"{WATCH}/sources/rules.py",
             "return bool(added) and (not known or added > max(size, known * percent // 100))",
             "return bool(added) and not known"),
    Mutation("a weekend is worked", f"{DECISIONS}/hours.py", "_WEEKDAYS = 5", "_WEEKDAYS = 7"),
    Mutation("a box refuses what is on trial", f"{BOX}/lists.py",
             "for key, one in chosen.items() if one.action is Action.BLOCK}", "for key, one in chosen.items()}"),
    Mutation("what a town hall lives on is lost with the agent", f"{BOX}/lists.py",
             "            self._spool.keep()  # before: what was asked is not asked again after a restart\n", ""),
    Mutation("one commune is enough", f"{WATCH}/rules.py", "INDEPENDENT_COMMUNES = 2", "INDEPENDENT_COMMUNES = 1"),
    Mutation("two communes need no evidence", f"{WATCH}/rules.py", " and weight(seen.detectors) >= ENOUGH", ""),
    Mutation("one person of two communes counts twice", f"{WATCH}/rules.py",
             "if person not in matched or", "if True or"),
    Mutation("what is protected is proposed", f"{WATCH}/rules.py", 'return "protected"', 'return ""'),
    Mutation("what the centre took is not kept", f"{BOX}/told.py",
             "        if not self._keep_s:\n", "        if True:\n"),
    Mutation("what a restored centre lacks is not told again", f"{BOX}/facts.py",
             "return self._told.lacks(has)", "return False"),
    Mutation("the centre says that it has what lies in a gap", f"{STREAM}/store.py",
             "AND number >= ? AND number < ?\",\n                    (number, box.id, after, number),",
             "AND number < ?\",\n                    (number, box.id, number),"),
    Mutation("what is told again gets another name", f"{BOX}/told.py",
             "            return kept_facts(data)\n",
             "            return tuple(msgspec.structs.replace(f, id=f'{f.id}x') for f in kept_facts(data))\n"),
    Mutation("counts are not told again", f"{BOX}/told.py",
             "counts = [fact for fact in self._read(one) if counted(fact)]", "counts: list[Fact] = []"),
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """``seed``: the first that failed, None when none did. ``seconds``: until then."""

    mutation: Mutation
    seed: int | None
    failure: str


def mutant(place: Path, mutation: Mutation) -> None:
    """Make the mutant in ``place``. Errors: LookupError when the product's text is another one by now."""
    # Links, with bytecode: copying and compiling take longer than most mutants live.
    for part in ("packages", "tests/simulation"):
        shutil.copytree(ROOT / part, place / part, copy_function=os.symlink)
    path = place / mutation.path
    text = path.read_text()
    if text.count(mutation.before) != 1:
        raise LookupError(f"{mutation.name}: found {text.count(mutation.before)} times in {mutation.path}")
    for old in (path, Path(cache_from_source(path))):
        old.unlink(missing_ok=True)
    path.write_text(text.replace(mutation.before, mutation.after))


def judge(
    mutations: Iterable[Mutation], *, seeds: int = SEEDS, alone: Mapping[str, int] | None = None
) -> Iterator[Verdict]:
    """``alone``: for each name the one seed that is played, instead of so many."""
    for mutation in mutations:
        played = ("--from", str(alone[mutation.name]), "--seeds", "1") if alone else ("--seeds", str(seeds))
        with tempfile.TemporaryDirectory(prefix="bfmut-") as name:
            place = Path(name)
            mutant(place, mutation)
            packages = [place, *(place / "packages" / p for p in ("protocol", "box", "centre"))]
            done = subprocess.run(
                (sys.executable, "-m", "tests.simulation", "--until-failure", *played),
                cwd=place, check=False, capture_output=True, text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, packages)), "PYTHONDONTWRITEBYTECODE": "1"},
            )  # fmt: skip
            found = re.search(r"^seed (\d+): (.*)", done.stdout, re.MULTILINE)
            if found is None and "every" not in done.stdout and " 0 failed" not in done.stdout:
                raise RuntimeError(done.stderr[-1000:])
            yield Verdict(mutation, int(found[1]) if found else None, found[2] if found else "")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations", description=__doc__)
    parser.add_argument("--only", default="", help="mutations whose name holds this")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    chosen = parser.parse_args()
    missed = 0
    for verdict in judge([m for m in MUTATIONS if chosen.only in m.name], seeds=chosen.seeds):
        missed += verdict.seed is None
        seed = "none" if verdict.seed is None else str(verdict.seed)
        print(f"{verdict.mutation.name} | {seed} | {verdict.failure[:110]}", flush=True)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
