"""Random histories of imports, of what people do with what came, and of undoing, against a plain model."""

from __future__ import annotations

import io
import random
import zipfile
from typing import Any

import pytest
from beffroi.mail.importing import actions, bringing, queries, runner
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.models import Mailbox
from imapclient.exceptions import IMAPClientError

from tests import old_provider
from tests.conftest import Commune
from tests.fixtures_import import State
from tests.mail_post import Post, needs_engines

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
FOLDERS = ("INBOX", "Reprise/A", "Reprise/A/B", "Sent")
MARKS = (b"\\Answered", b"\\Flagged", b"$Forwarded")


def opens(client: Any, name: str) -> bool:
    """What is only above another folder does not."""
    try:
        client.select_folder(name, readonly=True)
    except IMAPClientError:
        return False
    return True


def content(post: Post, box: Mailbox) -> dict[str, dict[bytes, frozenset[bytes]]]:
    client = post.imap(box)
    found: dict[str, dict[bytes, frozenset[bytes]]] = {}
    try:
        for name in (*FOLDERS, "Ailleurs"):
            found[name] = {}
            if not opens(client, name):
                continue
            rows = client.fetch(client.search(), ["FLAGS", "ENVELOPE"]) if client.search() else {}
            found[name] = {
                one[b"ENVELOPE"].subject: frozenset(one[b"FLAGS"]) & frozenset(MARKS) for one in rows.values()
            }
            assert len(found[name]) == len(rows), "no mail twice"
        return found
    finally:
        client.logout()


@pytest.mark.parametrize("seed", range(3))
def test_undoing_takes_what_its_import_brought_and_nothing_else(
    post: Post, beaune: Commune, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(runner, "BATCH", 3)
    box = post.mailbox(beaune, beaune.agent, "agent")
    post.imap(box).create_folder("Ailleurs")
    # subject -> (marks, import that brought it, marks it came with)
    model: dict[str, dict[bytes, tuple[frozenset[bytes], str, frozenset[bytes]]]] = {
        name: {} for name in (*FOLDERS, "Ailleurs")
    }
    jobs: list[ImportJob] = []

    def bring() -> None:
        file = io.BytesIO()
        wanted = []
        with zipfile.ZipFile(file, "w") as made:
            for _ in range(chance.randrange(3, 9)):
                folder, number = chance.choice(["A", "A/B"]), chance.randrange(12)
                if (folder, number) in wanted:
                    continue
                wanted.append((folder, number))
                status = b"X-Status: AF\n" if number % 3 == 0 else b""
                body = status + old_provider.generated(folder, number)
                made.writestr(f"{folder}/{number}.eml", body)
        file.seek(0)
        job = bringing.bring(mailbox=box, file=file, name="x.zip", folder="Reprise", account="root")
        jobs.append(job)
        for folder, number in wanted:
            subject = f"Objet {folder.encode().hex()}.{number}".encode()
            came = frozenset((b"\\Answered", b"\\Flagged")) if number % 3 == 0 else frozenset[bytes]()
            model[f"Reprise/{folder}"].setdefault(subject, (came, job.id, came))

    def touch() -> None:
        name = chance.choice([one for one in model if model[one]] or ["INBOX"])
        if not model[name]:
            return
        subject = chance.choice(sorted(model[name]))
        marks, job, came = model[name][subject]
        client = post.imap(box)
        client.select_folder(name)
        (uid,) = [
            u
            for u, r in client.fetch(client.search(), ["ENVELOPE"]).items()
            if r[b"ENVELOPE"].subject == subject
        ]
        draw = chance.random()
        if draw < 0.4:
            mark = chance.choice(MARKS)
            client.add_flags([uid], [mark])
            model[name][subject] = (marks | {mark}, job, came)
        elif draw < 0.5:
            client.remove_flags([uid], list(MARKS))
            model[name][subject] = (frozenset(), job, came)
        elif draw < 0.75:
            target = chance.choice([one for one in (*FOLDERS, "Ailleurs") if one != name])
            if opens(client, target) and client.select_folder(name) and subject not in model[target]:
                client.move([uid], target)
                del model[name][subject]
                model[target][subject] = (marks, "", came)
        else:
            client.delete_messages([uid])
            client.expunge([uid])
            del model[name][subject]
        client.logout()

    def undo() -> None:
        open_ = [one for one in jobs if one.state == State.DONE]
        if not open_:
            return
        job = chance.choice(open_)
        goes = [
            (name, subject)
            for name, mails in model.items()
            for subject, (marks, brought, came) in mails.items()
            if brought == job.id and marks <= came
        ]
        if not queries.may_undo(job):  # it brought nothing that was not there
            assert not goes
            return
        actions.undo(actor=beaune.agent, job=job)
        runner.run(job.id)
        job.refresh_from_db()
        assert (job.state, job.taken) == (State.UNDONE, len(goes))
        for name, subject in goes:
            del model[name][subject]

    for _ in range(24):
        draw = chance.random()
        (bring if draw < 0.25 else undo if draw < 0.4 else touch)()
        seen = content(post, box)
        assert seen == {name: {s: m for s, (m, _, _) in mails.items()} for name, mails in model.items()}
