"""Closed mailboxes without engines: who may export, ask, grant and call back; what pages say; how long it is kept."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import signing
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import Event
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import actions as purge
from beffroi.core.retention import registry
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail import actions as mail
from beffroi.mail.closing import actions, bag, children, consumers, erasures, exporting, queries, vault
from beffroi.mail.closing.models import Erasure, Export
from beffroi.mail.models import Mailbox
from beffroi.portal.web import closed as pages
from beffroi_protocol.signing import b64
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from tests.conftest import Commune
from tests.fixtures_portal import confirmed, console_client, no_door, on_listener, portal_client
from tests.markup import text_of

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("tests")


@pytest.fixture
def state(config: Config) -> Iterator[Config]:
    folder = actions.folder(config)
    folder.mkdir()
    yield config
    shutil.rmtree(folder)


@pytest.fixture
def key(config: Config) -> Iterator[Any]:
    """The audit key of this centre, in its place."""
    path = config.secrets / signing.KEY
    path.write_text(b64(b"a" * 32))
    yield Ed25519PrivateKey.from_private_bytes(b"a" * 32).public_key()
    path.unlink()


def closed(commune: Commune, days: int = 40, local: str = "parti") -> Mailbox:
    return Mailbox.objects.create(
        collectivite_id=commune.id,
        address=f"{local}@{commune.domain}",
        person_id=commune.agent.id,
        crypt_key="-",
        closed_at=clock.now() - timedelta(days=days),
    )


def made(commune: Commune, box: Mailbox, data: bytes = b"PK" * 2_000_000) -> Export:
    """An export that is ready."""
    export = actions.take_up(actions.ask_export(actor=commune.referent, mailbox=box))
    assert export is not None
    from django.conf import settings

    key = b"k" * vault.KEY_BYTES
    with actions.path_of(settings.BEFFROI, export.id).open("wb") as file:
        writer = vault.SealedWriter(file, key, export.id)
        writer.write(data)
        writer.finish()
    assert actions.ready(
        export, key=key, size_bytes=writer.size_bytes, sha256=writer.sha256, manifest_sha256="m"
    )
    export.refresh_from_db()
    return export


def test_only_the_referent_of_the_commune_exports_and_asks(
    beaune: Commune, nuits: Commune, administrator: Actor, state: Config
) -> None:
    box = closed(beaune)
    export = made(beaune, box)
    erasure = erasures.ask(actor=beaune.referent, mailbox=box)
    for stranger in (beaune.agent, nuits.referent, nuits.agent, administrator, SYSTEM):
        for act in (
            lambda who: actions.ask_export(actor=who, mailbox=box),
            lambda who: actions.download(actor=who, export=export),
            lambda who: actions.end_export(actor=who, export=export),
            lambda who: erasures.ask(actor=who, mailbox=box),
        ):
            with pytest.raises(NotFound):
                act(stranger)
    for stranger in (beaune.agent, nuits.referent):
        with pytest.raises(NotFound):
            erasures.call_back(actor=stranger, erasure=erasure)
    for person in (beaune.referent, nuits.referent, SYSTEM):
        with pytest.raises(NotAllowed):
            erasures.grant(actor=person, erasure=erasure, visa="AD21")
        with pytest.raises(NotAllowed):
            erasures.refuse(actor=person, erasure=erasure, reason="x")
    assert (queries.waiting(administrator), queries.waiting(beaune.referent)) == (1, 0)
    assert not queries.visible_erasures(nuits.referent).exists()
    open_box = closed(beaune, local="ouverte")
    Mailbox.objects.filter(pk=open_box.pk).update(closed_at=None)
    with pytest.raises(NotFound):
        actions.ask_export(actor=beaune.referent, mailbox=open_box)


def test_an_erasure_needs_thirty_days_a_visa_and_can_be_called_back(
    beaune: Commune, administrator: Actor, state: Config
) -> None:
    with pytest.raises(erasures.ErasureTooEarly):
        erasures.ask(actor=beaune.referent, mailbox=closed(beaune, 29, "tot"))
    box = closed(beaune)
    erasure = erasures.ask(actor=beaune.referent, mailbox=box)
    with pytest.raises(Conflict):
        erasures.ask(actor=beaune.referent, mailbox=box)
    for visa in ("", "ab", "x" * 121, "\x00\x01\x02"):
        with pytest.raises(Invalid):
            erasures.grant(actor=administrator, erasure=erasure, visa=visa)
    granted = erasures.grant(actor=administrator, erasure=erasure, visa=" AD21  2026-114 ")
    assert granted.visa == "AD21 2026-114" and granted.due_at is not None
    assert granted.due_at > clock.now() + timedelta(hours=23)
    assert not queries.due_erasures(clock.paced_now()).exists(), "a day to call it back"
    with pytest.raises(Conflict):
        erasures.grant(actor=administrator, erasure=erasure, visa="AD21 2026-115")
    erasures.call_back(actor=beaune.referent, erasure=erasure)
    Erasure.objects.update(due_at=clock.now())
    assert not queries.due_erasures(clock.paced_now()).exists()
    again = erasures.ask(actor=beaune.referent, mailbox=box)
    with pytest.raises(Invalid):
        erasures.refuse(actor=administrator, erasure=again, reason="Les registres\0manquent")
    erasures.refuse(actor=administrator, erasure=again, reason="Les registres manquent")
    assert Approval.objects.get(pk=again.approval_id).state == "refused"
    third = erasures.ask(actor=beaune.referent, mailbox=box)
    Approval.objects.filter(pk=third.approval_id).update(expires_at=clock.now())
    approvals.expire_due()
    run_pending("main")
    third.refresh_from_db()
    assert third.state == "withdrawn", "nobody answered"
    Erasure.objects.filter(pk=third.pk).update(state="erasing")
    Mailbox.objects.filter(pk=box.pk).update(crypt_key="")
    for act in (
        lambda: erasures.call_back(actor=beaune.referent, erasure=third),
        lambda: actions.ask_export(actor=beaune.referent, mailbox=box),
        lambda: mail.reopen_mailbox(actor=beaune.referent, mailbox=box),
    ):
        with pytest.raises(Conflict):
            act()


@pytest.mark.parametrize("granted", [True, False])
def test_an_erasure_is_not_of_a_mailbox_that_was_open_in_between(
    beaune: Commune, administrator: Actor, granted: bool
) -> None:
    """What came in that time has no visa, and no thirty days."""
    box = closed(beaune)
    erasure = erasures.ask(actor=beaune.referent, mailbox=box)
    if granted:
        erasures.grant(actor=administrator, erasure=erasure, visa="AD21/2026/12")
    mail.reopen_mailbox(actor=beaune.referent, mailbox=box)
    mail.close_mailbox(actor=beaune.referent, mailbox=box)
    if granted:
        Erasure.objects.update(due_at=clock.now())
        children.work(settings.BEFFROI, clock.paced_now())
        erasure.refresh_from_db()
        assert erasure.state == "withdrawn"
    else:
        with pytest.raises(Conflict):
            erasures.grant(actor=administrator, erasure=erasure, visa="AD21/2026/12")
    box.refresh_from_db()
    assert box.crypt_key == "-"


def test_a_request_ends_when_its_mailbox_is_opened_again(beaune: Commune) -> None:
    box = closed(beaune)
    erasure = erasures.ask(actor=beaune.referent, mailbox=box)
    mail.reopen_mailbox(actor=beaune.referent, mailbox=box)
    row = OutboxEvent.objects.get(kind="mail:mailbox_created")
    opened = Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload), row.created_at)
    consumers.reopened(opened)
    erasure.refresh_from_db()
    assert erasure.state == "withdrawn"
    mail.close_mailbox(actor=beaune.referent, mailbox=box)
    Mailbox.objects.update(closed_at=clock.now() - timedelta(days=31))
    again = erasures.ask(actor=beaune.referent, mailbox=box)
    consumers.reopened(opened)  # a worker that was behind
    again.refresh_from_db()
    assert again.state == "asked"


def test_an_open_incident_keeps_the_mailbox(beaune: Commune, administrator: Actor, monkeypatch: Any) -> None:
    box = closed(beaune)
    erasure = erasures.ask(actor=beaune.referent, mailbox=box)
    monkeypatch.setattr(registry, "held", lambda kind, ids: set(ids))
    with pytest.raises(erasures.MailboxHeld):
        erasures.grant(actor=administrator, erasure=erasure, visa="AD21 2026-114")
    with pytest.raises(erasures.MailboxHeld):
        erasures.ask(actor=beaune.referent, mailbox=closed(beaune, local="autre"))


def test_a_file_whose_key_was_never_kept_goes_with_the_next_run(beaune: Commune, state: Config) -> None:
    """The run died after it had named the file: the database took nothing more."""
    export = actions.ask_export(actor=beaune.referent, mailbox=closed(beaune))
    Export.objects.update(state="running", attempts=exporting.ATTEMPTS)
    path = actions.path_of(state, export.id)
    path.write_bytes(b"x" * 1000)
    exporting.run(export)
    export.refresh_from_db()
    assert (export.state, path.exists()) == ("failed", False)


def test_the_file_says_nothing_without_its_key_and_every_damage_is_seen(
    state: Config, tmp_path: Path
) -> None:
    key, path = b"k" * vault.KEY_BYTES, tmp_path / "one"
    data = bytes(range(256)) * (vault.PIECE_BYTES // 128)  # two pieces exactly
    with path.open("wb") as file:
        writer = vault.SealedWriter(file, key, "exp_1")
        for start in range(0, len(data), 70_000):
            writer.write(data[start : start + 70_000])
        writer.finish()
    whole = path.read_bytes()
    assert b"".join(vault.read(path, key, "exp_1")) == data and data[:64] not in whole
    piece = vault.PIECE_BYTES + 16
    assert len(whole) == 2 * piece
    for damaged in (
        whole[:-1],
        whole[:piece],
        whole[piece:] + whole[:piece],
        b"x" + whole[1:],
        b"",
        whole + b"x",
    ):
        path.write_bytes(damaged)
        with pytest.raises(vault.FileDamaged):
            list(vault.read(path, key, "exp_1"))
    path.write_bytes(whole)
    for name, other in (("exp_2", key), ("exp_1", b"l" * 32)):
        with pytest.raises(vault.FileDamaged):
            list(vault.read(path, other, name))


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        ("INBOX", "001 INBOX"),
        ("Projet/Été", "001 Projet - Été"),
        ("../../etc/passwd", "001 __ - __ - etc - passwd"),
        ("a\\b:c*d?\n\x00", "001 a_b_c_d___"),
        ("/", "001 -"),
        ("é" * 300, "001 " + "é" * 60),
        ("", "001"),
        ("con. ", "001 con_"),
    ],
)
def test_a_folders_name_is_no_path(folder: str, shown: str) -> None:
    assert bag.directory(1, folder) == shown


def test_an_address_is_no_path() -> None:
    day = date(2026, 11, 26)
    assert bag.base("jean.bon@beaune.test", day) == "jean.bon-beaune.test-2026-11-26"
    assert bag.base('../a"b@x.test', day) == "-a-b-x.test-2026-11-26"


def test_the_pages_export_download_and_end(beaune: Commune, nuits: Commune, state: Config) -> None:
    box = closed(beaune)
    url, client = f"/boites-fermees/{box.id}/", confirmed(beaune.referent_membership)
    assert box.address in text_of(client.get("/boites-fermees/")) and "Préparer l’export" in text_of(
        client.get(url)
    )
    fresh = portal_client(beaune.referent_membership)
    for data in ({"word": "export"}, {"word": "erase"}):
        answer = fresh.post(url, data)
        assert answer.status_code == 302 and "confirmer" in answer["Location"], "a step-up comes first"
    assert not Export.objects.exists() and not Erasure.objects.exists()
    assert client.post(url, {"word": "export"}).status_code == 302
    assert "Commence dans un instant" in text_of(
        client.get(f"{url}?part=exports", headers={"HX-Request": "true"})
    )
    export = Export.objects.get()
    assert client.post(f"{url}exports/{export.id}/").status_code == 409
    assert client.post(url, {"word": "end", "export": export.id}).status_code == 302
    export = made(beaune, box)
    assert fresh.post(f"{url}exports/{export.id}/").status_code == 302
    assert portal_client(nuits.referent_membership).post(f"{url}exports/{export.id}/").status_code == 404
    other = closed(beaune, local="autre")
    assert client.post(f"/boites-fermees/{other.id}/exports/{export.id}/").status_code == 404
    answer = client.post(f"{url}exports/{export.id}/")
    assert answer["Content-Length"] == "4000000" and "parti-beaune.test" in answer["Content-Disposition"]
    sent: Any = answer
    assert b"".join(sent.streaming_content) == b"PK" * 2_000_000
    assert "téléchargé 1 fois" in text_of(client.get(url))
    Export.objects.update(ends_at=clock.now())
    answer = client.post(f"{url}exports/{export.id}/")
    assert answer.status_code == 409 and "n’est plus téléchargeable" in text_of(answer)
    Export.objects.update(ends_at=clock.now() + timedelta(days=1))
    actions.path_of(state, export.id).write_bytes(b"x")
    answer = client.post(f"{url}exports/{export.id}/")
    assert answer.status_code == 409 and "abîmé" in text_of(answer)


def test_downloads_leave_threads_for_everybody_else(beaune: Commune, state: Config) -> None:
    box = closed(beaune)
    export, client = made(beaune, box), confirmed(beaune.referent_membership)
    url = f"/boites-fermees/{box.id}/exports/{export.id}/"
    slow: list[Any] = [client.post(url) for _ in range(pages.AT_ONCE)]
    assert client.post(url).status_code == 503
    next(iter(slow[0].streaming_content))
    for one in slow:
        # Whoever took it hung up, once in the middle, once before the first piece: what the server's close() calls.
        for end in one._resource_closers:
            end()
    assert [client.post(url).getvalue()[:2] for _ in range(3)] == [b"PK"] * 3


def test_after_seven_days_file_and_key_are_gone(
    beaune: Commune, state: Config, django_capture_on_commit_callbacks: Any
) -> None:
    export = made(beaune, closed(beaune))
    path = actions.path_of(state, export.id)
    assert export.ends_at is not None and timedelta(days=6) < export.ends_at - clock.now() < timedelta(days=8)
    with django_capture_on_commit_callbacks(execute=True):
        purge.go_on(purge.begin())
    assert path.exists()
    Export.objects.update(ends_at=clock.now() - timedelta(hours=1))
    with django_capture_on_commit_callbacks(execute=True):
        purge.go_on(purge.begin())
    export.refresh_from_db()
    assert (export.state, export.key, path.exists()) == ("ended", "", False)


def test_the_console_grants_refuses_and_keeps_the_record(
    beaune: Commune, administrator: Actor, state: Config, key: Any
) -> None:
    box = closed(beaune)
    erasure = erasures.ask(actor=beaune.referent, mailbox=box)
    url = f"/boites-a-effacer/{erasure.id}/"
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "1 boîte fermée attend le visa" in text_of(client.get("/"))
        assert box.address in text_of(client.get("/boites-a-effacer/"))
        assert "n’a jamais été exportée" in text_of(client.get(url))
        answer = client.post(url, {"word": "grant", "visa": "AD21 2026-114", "code": "000000"})
        assert answer.status_code == 403 and "AD21 2026-114" in text_of(answer)
        wrong = client.post(url, {"word": "refuse", "reason": " "})
        assert wrong.status_code == 400
        assert 'aria-describedby="id_reason_error" aria-invalid="true"' in text_of(wrong)
        assert client.post(url, {"word": "file"}).status_code == 409
        erasures.grant(actor=administrator, erasure=erasure, visa="AD21 2026-114")
        assert "Renoncer à l’effacement" in text_of(client.get(url))
    Mailbox.objects.filter(pk=box.pk).update(crypt_key="")
    now = clock.now()
    Erasure.objects.update(
        state="done", mails=7, size_bytes=310_448_112, begun_at=now, done_at=now, inventory_sha256="ab" * 32
    )
    with on_listener("console"):
        assert "ab" * 32 in text_of(client.get(url))
        packed = client.post(url, {"word": "file"})
    reader = portal_client(beaune.referent_membership)
    assert "AD21 2026-114" in text_of(reader.get(f"/boites-fermees/{box.id}/attestation/"))
    assert "Préparer" not in text_of(reader.get(f"/boites-fermees/{box.id}/"))
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        told = json.loads(archive.read("attestation.json"))
        manifest = json.loads(archive.read("manifeste.json"))
        key.verify(archive.read("manifeste.sig"), archive.read("manifeste.json"))
        page = archive.read("attestation.html").decode()
    assert (told["granted"]["visa"], told["removed"]["mails"]) == ("AD21 2026-114", 7)
    assert manifest["beffroi"] == "mailbox-erasure/1" and manifest["erasure_id"] == erasure.id
    assert "AD21 2026-114" in page and box.address in page
    assert "310 Mo (310 448 112 octets)" in page.replace("\xa0", " ").replace("\u202f", " ")
    assert AuditEntry.objects.filter(verb="mail:erasure:granted", object_id=erasure.id).exists()
