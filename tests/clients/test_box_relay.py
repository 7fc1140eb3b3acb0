"""A copier sends through the box: real swaks on the LAN, real agent, rules and relay, real submission and mailbox."""

from __future__ import annotations

import email
import email.header
import email.message
import email.utils
import signal

import imapclient
from beffroi.boxes.models import Box
from beffroi.mail import tokens
from beffroi_protocol.facts import MailRelayed
from imapclient.exceptions import IMAPClientError

from tests.copier import Copier
from tests.mail_post import Post, needs_engines
from tests.town_hall import needs_network
from tests.town_hall_network import BOX, LAN, NET, WAN_BOX, inside, run
from tests.waiting import PATIENCE_S, until

pytest_plugins = ["tests.fixtures_mail", "tests.fixtures_relay"]
pytestmark = [*needs_engines, *needs_network]


def newest(post: Post, copier: Copier) -> email.message.Message:
    client = post.imap(copier.recipient)
    try:
        client.select_folder("INBOX", readonly=True)
        uid = max(client.search())
        return email.message_from_bytes(client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"])
    finally:
        client.logout()


def arrives(copier: Copier, count: int) -> None:
    until(
        lambda: copier.post.count(copier.recipient) >= count,
        f"not delivered: {copier.log()} {copier.hall.log()}",
    )
    assert copier.post.count(copier.recipient) == count


def test_a_scan_arrives_in_the_name_of_the_functional_mailbox(copier: Copier) -> None:
    code, said = copier.swaks(
        "--h-Reply-To", "agent@beaune.test", "--h-Subject", "Scan", "--body", ".\n..\nfin"
    )
    assert code == 0, said
    arrives(copier, 1)
    mail = newest(copier.post, copier)
    assert email.utils.parseaddr(str(mail["From"]))[1] == copier.sender.address
    assert mail["Reply-To"] == "agent@beaune.test"
    shown = email.header.decode_header(mail["X-Boitier-Device"])[0]
    assert shown[0].decode(shown[1]) == "Copieur du secrétariat"
    assert mail["Sender"] is None and copier.hall.pc[0] not in mail.as_string()
    assert mail.get_payload().split() == [".", "..", "fin"]
    until(lambda: copier.kept() == 0, "the mail is still on the box")

    # What is sent to the page's address reaches the box, too.
    code, said = copier.swaks(server="192.168.213.1")
    assert code == 0, said
    arrives(copier, 2)

    def told() -> list[MailRelayed]:
        return [fact for fact in copier.hall.centre.facts.values() if isinstance(fact, MailRelayed)]

    until(lambda: sum(one.sent for one in told()) == 2, "the centre was not told")
    assert {one.device for one in told()} == {"Copieur du secrétariat"}

    code, said = copier.swaks(to="agent@ailleurs.example.org")
    assert code != 0 and "550 5.7.1 Destinataire non admis. Admis : @beaune.test" in said
    until(lambda: any(one.reason == "recipient" for one in told()), "the refusal was not told")


def test_in_front_of_a_bridge_a_copier_sends_to_the_pages_address_or_the_boxs_own(
    bridged_copier: Copier,
) -> None:
    copier = bridged_copier
    for number, server in enumerate(("192.168.213.1", WAN_BOX), 1):
        code, said = copier.swaks(server=server)
        assert code == 0, said
        arrives(copier, number)
    code, said = copier.swaks("--timeout", "3", space=NET, server=WAN_BOX)
    assert code != 0 and "220 boitier" not in said, "from the internet it is not there"


def test_nobody_reaches_it_from_the_internet(copier: Copier) -> None:
    for port in ("25", "587"):
        code, said = copier.swaks("--port", port, "--timeout", "3", space=NET, server=WAN_BOX)
        assert code != 0 and "220 boitier" not in said
    listening = run(*inside(BOX, "ss", "-Hltn", "sport", "=", ":25"))
    assert [line.split()[3] for line in listening.splitlines()] == ["185.11.30.1:25"]


def test_cut_off_and_killed_it_loses_nothing_that_it_answered_for(copier: Copier) -> None:
    copier.hall.cut(down=True)
    try:
        for number in range(3):
            code, said = copier.swaks("--h-Subject", f"Scan {number}")
            assert code == 0, said
        copier.hall.kill("relay", signal.SIGKILL)
        assert copier.kept() == 3
    finally:
        copier.hall.cut(down=False)
    copier.start()
    arrives(copier, 3)
    until(lambda: copier.kept() == 0, "mails are still on the box")


def test_a_revoked_box_sends_no_more_and_says_so(copier: Copier) -> None:
    Box.objects.update(state=Box.State.REVOKED)
    code, said = copier.swaks()
    assert code == 0, said
    until(lambda: "box.not_active" in copier.log(), f"not refused: {copier.log()}")
    assert copier.kept() == 1 and copier.post.count(copier.recipient) == 0


def test_turned_off_it_ends_and_its_ports_are_closed(copier: Copier) -> None:
    from tests.town_hall import good_policy

    copier.give(good_policy())
    until(lambda: copier.hall.processes["relay"].poll() == 0, f"it still runs: {copier.log()}")
    code, said = copier.swaks("--timeout", "3", space=LAN)
    assert code != 0 and "220" not in said
    chain = run(*inside(BOX, "nft", "list", "chain", "inet", "beffroi", "input_"))
    assert "dport { 25, 587 }" not in chain


def test_the_boxs_token_opens_no_mailbox(copier: Copier) -> None:
    address, config = copier.sender.address, copier.post.config
    sending = tokens.sending_token(config, address)
    own = address, tokens.mailbox_token(config, address)
    for (login, token), opens in ((sending, False), ((address, sending[1]), False), (own, True)):
        client = imapclient.IMAPClient("127.0.0.1", config.imap_local_port, ssl=False, timeout=PATIENCE_S)
        try:
            client.oauthbearer_login(login, token)
            assert opens
        except IMAPClientError:
            assert not opens
        finally:
            client.shutdown()


def test_what_the_centre_refuses_for_good_is_told_to_the_sending_mailbox(copier: Copier) -> None:
    code, said = copier.swaks(to="personne@beaune.test")
    assert code == 0, said
    until(lambda: copier.post.count(copier.sender) == 1, f"no notice: {copier.log()}")
    until(lambda: copier.kept() == 0, "the mail is still on the box")
