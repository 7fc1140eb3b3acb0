"""The scanner behind real rspamd: what is inside a file holds a mail; ordinary files arrive; without it mail waits."""

from __future__ import annotations

import signal
import threading
from email.message import EmailMessage
from pathlib import Path

from beffroi.core.events.running import run_pending
from beffroi.mail.held import actions
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage
from beffroi.mail.safety import actions as safety
from beffroi.mail.safety import queries
from beffroi.mail.safety.rules import Concern
from beffroi.scan.wire import socket_path

from tests import mail_files
from tests import scan_samples as samples
from tests.conftest import Commune
from tests.mail_files import EXE, packed
from tests.mail_post import OTHER_IP, SENDER_IP, Post, needs_engines, until
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
HELD = {
    "essai.txt": (samples.EICAR, "malware", True),
    "facture.xls": (samples.workbook(0, 1), "macro", False),
    "facture.zip": (packed(facture__xls=samples.workbook(1)), "macro", False),
    "courrier.docx": (
        samples.docx(**{"word/embeddings/oleObject1__bin": samples.package("run.exe", EXE)}),
        "program",
        True,
    ),
    "dossier.zip": (packed(a__zip=packed(b__exe=EXE)), "program nested", True),
    "dossier.7z": (samples.made("7zip", "none", {"lisez": EXE}), "program", True),
    "plan.zip": (packed(facture__html=mail_files.SCRIPT), "active_page", False),
    "formulaire.pdf": (samples.LAUNCHES, "active_pdf", False),
    "grand.zip": (samples.bomb(), "nested", False),
    "casse.rar": (samples.rar("a.pdf", samples.pdf())[:60], "unreadable", False),
    "demande.eml": (samples.FOUND["mail with a program"][0], "program", True),
    "autre nom.bin": (samples.FOUND["mail with macros in a mail in a zip"][0], "macro", False),
    "demande.msg": (samples.FOUND["mail of Outlook with macros"][0], "macro", False),
    "winmail.dat": (samples.FOUND["winmail.dat with a file"][0], "unreadable", False),
}
ARRIVE = {
    "compte rendu.pdf": samples.pdf(),
    "cerfa.pdf": samples.COMPUTES,
    "courrier.docx": samples.docx(),
    "budget.xlsx": samples.xlsx(),
    "budget.ods": samples.ods(),
    "ancien.xls": samples.workbook(0),
    "photos.zip": samples.HARMLESS["photos"],
    "demande.eml": samples.HARMLESS["mail"],
    "demande.msg": samples.HARMLESS["mail of Outlook"],
    "winmail.dat": samples.HARMLESS["winmail.dat without a file"],
}


def receive(post: Post, box: Mailbox, name: str, content: bytes, *, client: str = SENDER_IP) -> str:
    """Deliver one; return its identifier."""
    before = MailDelivery.objects.count()
    mail = mail_files.letter(name, content, to=box.address)
    code, text = post.send(mail, box.address, client=client)
    assert code == 250, text
    post.settle(before + 1)
    return str(MailMessage.objects.latest("id").id)


def test_what_a_file_carries_inside_holds_the_mail_and_ordinary_files_arrive(
    post: Post, box: Mailbox
) -> None:
    for name, content in ARRIVE.items():
        receive(post, box, name, content)
    assert not HeldMail.objects.exists(), HeldMail.objects.values_list("findings", flat=True)
    post.wait_count(box, len(ARRIVE))
    found = {}
    for name, (content, _, _) in HELD.items():
        receive(post, box, name, content)
        row = HeldMail.objects.latest("id")
        found[name] = (row.findings, row.strict)
        row.delete()
    assert found == {name: (codes, strict) for name, (_, codes, strict) in HELD.items()}
    assert post.count(box) == len(ARRIVE)


def test_an_unreadable_file_is_released_by_its_owner_and_an_active_pdf_passes_where_a_referent_says_so(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    receive(post, box, "casse.rar", HELD["casse.rar"][0])
    actions.release(actor=beaune.agent, held_id=HeldMail.objects.get().id)
    run_pending("remediation")
    post.wait_count(box, 1)
    safety.set_policy(actor=beaune.referent, allowed=["active_pdf"])
    run_pending("main")
    receive(post, box, "formulaire.pdf", samples.LAUNCHES)
    post.wait_count(box, 2)


def test_bank_details_in_a_pdf_are_warned_of_as_those_in_the_text(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    def level(one: str) -> Concern | None:
        found = queries.bank_warnings(beaune.agent, [one]).get(one)
        return found.concern if found else None

    plain = receive(post, box, "devis.pdf", samples.pdf("Devis de la toiture"))
    first = receive(post, box, "facture.pdf", samples.pdf(f"IBAN : {samples.IBAN}"))
    changed = receive(post, box, "rib.docx", samples.docx("DE89 3704 0044 0532 0130 00"))
    announced = receive(post, box, "avis.pdf", samples.pdf("Veuillez noter notre nouveau RIB"))
    levels = [level(one) for one in (plain, first, changed, announced)]
    assert levels == [None, Concern.FIRST, Concern.CHANGED, Concern.ANNOUNCED]
    assert b"rspamd_task_write_log" in (post.config.log / "rspamd.out").read_bytes()
    assert (post.config.log / "unbound.log").stat().st_mode & 0o007 == 0
    for path in post.config.log.glob("*"):
        assert b"3000 6000" not in path.read_bytes() and b"3000600001" not in path.read_bytes()
    receive(post, box, "rib.pdf", samples.pdf("Notre RIB a change"), client=OTHER_IP)
    assert HeldMail.objects.get().findings == "forged_bank"


def test_mail_with_a_file_waits_while_the_scanner_is_away_and_other_mail_does_not(
    post: Post, box: Mailbox
) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "S <billing@sender.example.net>",
        box.address,
        "Jeudi",
    )
    message["Message-ID"] = "<jeudi@sender.example.net>"
    message.set_content("Bonjour, le conseil est reporté à jeudi.")
    post.engines.kill("scan")
    try:
        code, text = post.send(mail_files.letter("outil.exe", mail_files.EXE, to=box.address), box.address)
        assert code == 451 and "scanner" in text
        assert not MailMessage.objects.exists()
        assert post.send(message.as_bytes(), box.address)[0] == 250
        post.settle(1)
    finally:
        post.engines.start("scan")
    receive(post, box, "outil.exe", mail_files.EXE)
    assert HeldMail.objects.get().findings == "program"


def test_a_mail_whose_file_is_being_looked_at_when_the_scanner_dies_comes_again(
    post: Post, box: Mailbox
) -> None:
    mail = mail_files.letter("outil.exe", mail_files.EXE, to=box.address)
    answers: list[tuple[int, str]] = []
    post.engines.running["scan"].send_signal(signal.SIGSTOP)  # it takes the file, and says nothing
    try:
        sending = threading.Thread(target=lambda: answers.append(post.send(mail, box.address)))
        sending.start()
        until(lambda: _asked(post), "the question of rspamd")
        post.engines.kill("scan")
        sending.join(PATIENCE_S)
    finally:
        post.engines.kill("scan")
        post.engines.start("scan")
    assert [code for code, _ in answers] == [451]
    assert not MailMessage.objects.exists()
    receive(post, box, "outil.exe", mail_files.EXE)


def _asked(post: Post) -> bool:
    """Whether somebody is connected to the scanner's socket: its listener and a connection that it did not accept."""
    path = str(socket_path(post.config.state)).encode()
    return Path("/proc/net/unix").read_bytes().count(path) > 1


def test_a_mail_with_many_files_and_one_of_5_megabytes_get_their_verdict(post: Post, box: Mailbox) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "S <billing@sender.example.net>",
        box.address,
        "Plans",
    )
    message["Message-ID"] = "<plans@sender.example.net>"
    message.set_content("Voici les plans.")
    for n in range(40):
        content = EXE if n == 39 else samples.pdf(f"Plan {n}")
        message.add_attachment(content, maintype="application", subtype="pdf", filename=f"plan {n}.bin")
    message.add_attachment(bytes(5 * 2**20), maintype="image", subtype="jpeg", filename="vue.jpg")
    assert post.send(message.as_bytes(), box.address)[0] == 250
    post.settle(1)
    assert HeldMail.objects.get().findings == "program"


def test_more_files_than_are_looked_at_hold_the_mail(post: Post, box: Mailbox) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "S <billing@sender.example.net>", box.address, "Lot"
    message["Message-ID"] = "<lot@sender.example.net>"
    message.set_content("Voici le lot.")
    for n in range(120):
        content = EXE if n == 119 else b"x"
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=f"{n}.bin")
    assert post.send(message.as_bytes(), box.address)[0] == 250
    post.settle(1)
    assert HeldMail.objects.get().findings == "unparseable"
