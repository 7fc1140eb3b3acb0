"""Mailboxes of a whole collectivité as mbox files, before real Dovecot: read back by others' programs and our own."""

from __future__ import annotations

import email
import json
import mailbox as standard
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.mail import actions as mail
from beffroi.mail import projections
from beffroi.mail.closing import opening
from beffroi.mail.importing import archive, letters
from beffroi.mail.models import Mailbox
from beffroi.portal.commune_export import mails, work
from beffroi.portal.commune_export.folder import ExportFolder, FilesLost
from beffroi.portal.commune_export.mails import as_mbox

from tests.clients.test_mail_backup import fill, letter
from tests.conftest import Commune
from tests.mail_post import Post, needs_engines

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
TRICKY = (
    b"From: a@b.test\r\nSubject: Lettre\r\nStatus: D\r\nX-Mozilla-Status: 0009\r\n\r\n"
    b"From ici on part.\r\n>From la.\r\n\xe9t\xe9\r\n\r\nFrom x@y Thu Nov 26 10:00:00 2026\r\nfin"
)


@pytest.fixture
def export(post: Post, administrator: Actor, tmp_path: Path) -> Callable[[Commune], Path]:
    """``export(commune)``: into the same folder at each call."""
    (post.config.state / "drive").mkdir(mode=0o700, exist_ok=True)
    path = tmp_path / "disque"
    path.mkdir()

    def called(commune: Commune) -> Path:
        work.run(
            actor=administrator,
            collectivite=commune.collectivite,
            path=path,
            reason="Courrier du maire du 12 novembre",
            account="root",
        )
        return path

    return called


def subjects(path: Path) -> list[str]:
    return sorted(str(one["subject"]) for one in standard.mbox(path, create=False))


def test_open_and_closed_mailboxes_come_with_folders_and_flags_and_without_what_is_personal(
    post: Post, beaune: Commune, nuits: Commune, export: Callable[[Commune], Path]
) -> None:
    box = post.mailbox(beaune, beaune.agent, "accueil")
    client = post.imap(box)
    for name in ("Projet/Été", "Privé/Famille"):
        client.create_folder(name)
    client.multiappend("Projet/Été", [letter(f"Devis {n}") for n in range(60)])
    fill(client, "Privé/Famille", "Vacances")
    fill(client, "INBOX", "Urbanisme", "PERSONNEL rendez-vous", "Budget")
    fill(client, "Trash", "Jete")
    client.append("INBOX", TRICKY, flags=(b"\\Seen", b"\\Flagged", b"$Facture"))
    client.logout()
    gone = post.mailbox(beaune, beaune.colleague, "ancien")
    client = post.imap(gone)
    fill(client, "INBOX", "Marché public", "Personnel : médecin")
    client.logout()
    mail.close_mailbox(actor=beaune.referent, mailbox=gone)
    run_pending("main")
    gone = Mailbox.objects.get(pk=gone.pk)
    other = post.mailbox(nuits, nuits.agent, "accueil")
    client = post.imap(other)
    fill(client, "INBOX", "Nuits seule")
    client.logout()

    path = export(beaune)
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "manifest-sha256.txt"], cwd=path, check=True)
    place = path / "courriel" / box.address
    assert {one.name for one in place.iterdir()} >= {"INBOX.mbox", "Projet - Été.mbox"}
    assert subjects(place / "INBOX.mbox") == ["Budget", "Lettre", "Urbanisme"]
    assert len(subjects(place / "Projet - Été.mbox")) == 60
    closed = path / "courriel" / f"{gone.address} (fermée le {gone.closed_at:%Y-%m-%d})"
    assert len(subjects(closed / "INBOX.mbox")) == 1
    whole = b"".join(one.read_bytes() for one in path.rglob("*") if one.is_file())
    for word in (b"Vacances", b"PERSONNEL rendez-vous", b"decin", b"Jete", b"Nuits seule", b"Famille"):
        assert word not in whole, word

    (found,) = [one for one in standard.mbox(place / "INBOX.mbox") if one["subject"] == "Lettre"]
    assert set(found.get_flags()) == set("ROF") and "D" not in found.get_flags()
    listed = {one["adresse"]: one for one in json.loads((path / "courriel" / "boites.json").read_text())}
    assert (listed[box.address]["courriels"], listed[box.address]["personnels"]) == (63, 2)
    assert (listed[gone.address]["courriels"], listed[gone.address]["personnels"]) == (1, 1)

    # Our own import takes the same mails with their flags: whoever comes back loses nothing.
    with (place / "INBOX.mbox").open("rb") as file:
        back = [one.letter for one in archive.read(file, "Reprise") if one.letter is not None]
    (again,) = [one for one in back if letters.field(letters.header_of(one.data), b"subject") == b"Lettre"]
    assert set(again.flags) == {b"\\Seen", b"\\Flagged"} and len(back) == 3
    assert again.data.endswith(TRICKY.partition(b"\r\n\r\n")[2] + b"\r\n")
    # Nobody opens the closed one afterwards.
    assert not projections.opens(
        post.config, addresses=[gone.address, opening.name_of(gone)], app_passwords=[]
    )


def lost(folder: ExportFolder, whole: object) -> None:
    folder.keep()
    raise FilesLost(1)


def test_without_dovecot_nothing_is_called_whole_and_the_same_call_goes_on(
    post: Post,
    beaune: Commune,
    export: Callable[[Commune], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box = post.mailbox(beaune, beaune.agent, "accueil")
    client = post.imap(box)
    fill(client, "INBOX", "Urbanisme")
    client.logout()
    monkeypatch.setattr(mails, "PAUSE_S", 0.0)
    path = tmp_path / "disque"
    with monkeypatch.context() as patch, pytest.raises(FilesLost):
        patch.setattr(ExportFolder, "finish", lost)  # the first call ends at its last step
        export(beaune)
    post.engines.kill("dovecot")
    try:
        with pytest.raises(work.NotAllRead):
            export(beaune)
    finally:
        post.engines.start("dovecot")
    assert not (path / "manifest-sha256.txt").exists() and box.address in (path / "INCOMPLET.txt").read_text()
    read: list[str] = []
    monkeypatch.setattr(mails, "_mails", lambda box, name, *rest: read.append(name))
    export(beaune)
    assert read == []  # what the first call had read is not read once more
    assert subjects(path / "courriel" / box.address / "INBOX.mbox") == ["Urbanisme"]


def test_what_a_mail_says_never_becomes_another_mail_nor_a_mark() -> None:
    from beffroi.lib import clock

    text = as_mbox(TRICKY, clock.now(), (b"\\Answered",)) + as_mbox(b"Subject: 2\r\n\r\n", clock.now(), ())
    lines = text.split(b"\n")
    assert sum(line.startswith(b"From ") for line in lines) == 2
    first = email.message_from_bytes(text.split(b"\n", 1)[1])
    assert first.get_all("Status") == ["O"] and first.get_all("X-Mozilla-Status") == ["0002"]
