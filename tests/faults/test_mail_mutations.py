"""Mutated messages through the real path: none lost, none crashes a process, each is delivered, held or refused with a
reason, and none lies in a mailbox without our identifier and a verdict on record.

They begin as real mails of a public corpus (tests/corpus.py), lures of BEFFROI_DATA, and a torture set.
BEFFROI_MUTATIONS=N sends N instead of 5,000; BEFFROI_MUTATIONS_SEED=S sends others than those of CI, so a large
number goes in portions.
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from beffroi.lib.ids import is_id
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.models import Mailbox, MailMessage
from beffroi.mail.queries import verdict_of

from tests import corpus
from tests.mail_files import HELD, letter
from tests.mail_post import Post, needs_engines, until
from tests.mime_mutations import TORTURE, UNPARSEABLE, mutations

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
log = logging.getLogger("tests.mutations")
COUNT = int(os.environ.get("BEFFROI_MUTATIONS", "5000"))
SEED = int(os.environ.get("BEFFROI_MUTATIONS_SEED", "20261126"))
SESSIONS, LURES, LETTERS, MOST_BYTES = 6, 60, 300, 200_000


def copies(post: Post, box: Mailbox) -> list[dict[str, str]]:
    """Every copy of the mailbox, quarantine too: identifier and mark."""
    engine = Doveadm(post.config)
    fields = ["mailbox", "hdr.x-beffroi-id", "hdr.x-beffroi-unchecked"]
    asked = [
        ("fetch", {"user": box.address, "field": fields, "query": ["mailbox", folder]})
        for folder in ("*", engine.quarantine)
    ]
    return [row for rows in engine.run(asked) for row in rows or ()]


def seeds() -> list[bytes]:
    lures = sorted((Path(os.environ.get("BEFFROI_DATA") or "/nonexistent") / "lures").rglob("*.eml"))
    chosen = random.Random(SEED).sample(lures, min(LURES, len(lures)))
    files = [letter(name, content, to="agent@beaune.test") for name, (content, _) in HELD.items()]
    letters = corpus.mails(LETTERS, seed=SEED, most_bytes=MOST_BYTES)
    return [*TORTURE, *files, *letters, *(path.read_bytes()[:MOST_BYTES] for path in chosen)]


def processes_of(post: Post) -> dict[str, int]:
    """Engines and their process numbers, and workers of rspamd: one that crashed has another."""
    rspamd = post.engines.running["rspamd"].pid
    children = Path(f"/proc/{rspamd}/task/{rspamd}/children").read_text().split()
    found = {name: running.pid for name, running in post.engines.running.items()}
    return found | {f"rspamd {pid}": int(pid) for pid in children}


@pytest.mark.timeout(2700)
def test_no_mutated_message_crashes_a_process_or_passes_unscanned(post: Post, box: Mailbox) -> None:
    before = processes_of(post)

    def hand_in(message: bytes) -> int:
        return post.send(message, box.address)[0]

    with ThreadPoolExecutor(SESSIONS) as pool:
        answers = Counter(pool.map(hand_in, mutations(seeds(), COUNT, SEED)))
    accepted = answers[250]
    log.warning("%d mutations: answers %s", COUNT, dict(answers))
    assert set(answers) <= {250, 550, 552, 554, 500}, answers  # nothing is put off: each has its verdict
    assert accepted > COUNT // 2
    until(lambda: len(copies(post, box)) >= accepted, f"{accepted} copies")
    rows = copies(post, box)
    assert len(rows) == accepted
    ids = [row["hdr.x-beffroi-id"].strip() for row in rows]
    assert all(is_id(one, "msg") for one in ids) and len(set(ids)) == accepted
    assert not [row for row in rows if row["hdr.x-beffroi-unchecked"]]
    until(lambda: MailMessage.objects.filter(pk__in=ids).count() == accepted, "a verdict for each copy")
    verdicts = [verdict_of(one) for one in MailMessage.objects.filter(pk__in=ids)]
    log.warning("held for %s", dict(Counter(code for one in verdicts for code in one["findings"])))
    quarantined = [row for row in rows if row["mailbox"].startswith("beffroi-")]
    assert len(quarantined) == sum(one["action"] == "quarantine" for one in verdicts)
    assert processes_of(post) == before


@pytest.mark.parametrize("cap", UNPARSEABLE)
def test_a_message_past_a_cap_of_its_shape_is_held(post: Post, box: Mailbox, cap: str) -> None:
    assert post.send(UNPARSEABLE[cap], box.address)[0] == 250
    until(lambda: MailMessage.objects.count() == 1, "the verdict")
    found = verdict_of(MailMessage.objects.get())
    assert (found["action"], found["findings"]) == ("quarantine", ["unparseable"])
    until(lambda: len(copies(post, box)) == 1, "the copy")
    assert post.count(box) == 0
