"""The relay's process on its own: what it takes, what it refuses and how, what is on its disk. The centre is away."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from beffroi_box.config import BoxConfig
from beffroi_box.local import LocalSocket
from beffroi_box.relaylink import (
    REQUESTS,
    AskOrder,
    Order,
    RelayAnswer,
    RelayRequest,
    TellRelayed,
    socket_path,
)
from beffroi_protocol.relaying import Device, Relay

from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
RELAY = Relay(
    "copieur@beaune.test",
    "mx.beffroi.test",
    (Device("127.0.0.1", "Copieur « RdC »"),),
    ("@beaune.test", "perception@dgfip.example.org"),
    hour=1000,
    size_bytes=1 << 20,
)
_RUN = (
    "import sys, pathlib; from beffroi_box import relay, relayspool; relay.PAUSE_FIRST_S = 0.2; relay.LOOK_S = 0.1;"
    "relay.PAUSE_LAST_S = 1.0; relay.TELL_EVERY_S = 0.5;"
    "relayspool.MAX_MAILS = int(sys.argv[4]);"
    "relay.Relaying(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), (int(sys.argv[3]),)).run()"
)


@dataclass
class Running:
    """``told``: what the relay said to its agent."""

    home: Path
    port: int
    order: Order | None
    told: list[TellRelayed] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def answer(self, request: RelayRequest) -> RelayAnswer:
        if isinstance(request, AskOrder):
            return RelayAnswer(order=self.order)
        if isinstance(request, TellRelayed):
            self.told.append(request)
        return RelayAnswer("unreachable")

    def start(self, most_mails: int = 2000) -> None:
        places = (str(self.home / "relay.sock"), str(self.home / "relay"), str(self.port), str(most_mails))
        path = f"{ROOT}/packages/protocol:{ROOT}/packages/box"
        self.process = subprocess.Popen([sys.executable, "-c", _RUN, *places], env={"PYTHONPATH": path})
        until(self._listens, "it does not listen")

    def _listens(self) -> bool:
        try:
            Talk(self.port).end()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def policy(self, **values: object) -> None:
        assert self.order is not None
        self.order = msgspec.structs.replace(self.order, relay=msgspec.structs.replace(RELAY, **values))

    def mails(self) -> list[bytes]:
        folder = self.home / "relay"
        return [(folder / f"{path.stem}.mail").read_bytes() for path in sorted(folder.glob("*.json"))]

    def refused(self, reason: str) -> bool:
        return any(one.reason == reason and one.refused for one in self.told)


class Talk:
    """One connection; every method returns the last line of the answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._file = self._socket.makefile("rb")
        self.greeting = self.answer()

    def say(self, line: str | bytes) -> str:
        self.raw((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.answer()

    def raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> str:
        while (line := self._file.readline().decode("ascii"))[3:4] == "-":
            pass
        return line.strip()

    def begin(self, to: str = "agent@beaune.test") -> str:
        self.say("EHLO copieur")
        self.say("MAIL FROM:<scan@copieur.local>")
        return self.say(f"RCPT TO:<{to}>")

    def mail(self, content: bytes, to: str = "agent@beaune.test") -> str:
        """Content is on the wire as it is given; the final dot is added."""
        assert self.begin(to).startswith("250")
        assert self.say("DATA").startswith("354")
        self.raw(content + b"\r\n.\r\n")
        return self.answer()

    def end(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home = tmp_path
    running = Running(home, port, Order(RELAY, ("127.0.0.1",), ("127.0.0.1",)))
    config = BoxConfig(state=home, run=str(home), relay_user="")
    served = LocalSocket(config, running.answer, path=socket_path(config), user="", requests=REQUESTS)
    stopping = threading.Event()
    thread = threading.Thread(target=served.serve, args=(stopping,))
    thread.start()
    running.start()
    try:
        yield running
    finally:
        running.kill()
        stopping.set()
        thread.join()
        served.close()


HEAD = b"From: Copieur <scan@copieur.local>\r\nSubject: Scan\r\n"


def test_what_is_answered_for_is_on_the_disk_and_outlives_kill_9(relay: Running) -> None:
    answer = Talk(relay.port).mail(HEAD + b"\r\nBonjour\r\n..point")
    assert answer == "250 2.0.0 Recu : le boitier s'en charge"
    relay.kill()
    (relay.home / "relay" / "00-x.part").write_bytes(b"half")
    (relay.home / "relay" / "00-y.mail").write_bytes(b"nobody was told of it")
    relay.start()
    (mail,) = relay.mails()
    assert mail.endswith(b"\r\n\r\nBonjour\r\n..point\r\n")
    assert (
        b"From: =?utf-8?" in mail
        and b" <copieur@beaune.test>\r\n" in mail
        and b"scan@copieur.local" not in mail
    )
    (envelope,) = (json.loads(path.read_text()) for path in (relay.home / "relay").glob("*.json"))
    assert envelope["recipients"] == ["agent@beaune.test"]
    assert not list((relay.home / "relay").glob("00-*"))
    until(lambda: any(one.waiting == 1 and one.trouble for one in relay.told), "the agent does not know")


def test_reply_to_is_kept_and_hidden_fields_are_not(relay: Running) -> None:
    head = (
        HEAD
        + b"Bcc: maire@beaune.test\r\nReply-To: accueil@beaune.test\r\nX-Beffroi-Id: forged\r\n\tmore\r\n"
    )
    assert Talk(relay.port).mail(head + b"\r\nx").startswith("250")
    (mail,) = relay.mails()
    assert b"Reply-To: accueil@beaune.test\r\n" in mail
    assert b"Bcc" not in mail and b"forged" not in mail and b"more" not in mail
    assert mail.count(b"\r\nMessage-ID: ") == 1 and mail.count(b"\r\nDate: ") == 1


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("agent@ailleurs.test", "550 5.7.1 Destinataire non admis. Admis : @beaune.test, perception@dgfip.example.org"),
        ("autre@dgfip.example.org", "550 5.7.1 Destinataire non admis"),
        ("agent@beaune.test@ailleurs.test", "501 5.1.3"),
        ("agent", "501 5.1.3"),
        ("", "501 5.1.3"),
    ],
)  # fmt: skip
def test_a_recipient_that_the_policy_does_not_name_is_refused(relay: Running, to: str, said: str) -> None:
    talk = Talk(relay.port)
    assert talk.begin(to).startswith(said)
    assert talk.say("DATA").startswith("503") and talk.say("NOOP").startswith("250")
    until(lambda: relay.refused("recipient"), "the refusal was not told")
    assert talk.begin("PERCEPTION@dgfip.example.org").startswith("250")


def test_a_sender_that_is_no_address_is_refused(relay: Running) -> None:
    talk = Talk(relay.port)
    for wrong in (
        "MAIL FROM:<a b@c.test>",
        "MAIL FROM:a@c.test",
        "MAIL FROM:<a@c.test",
        "MAIL",
        "MAIL FROM:<a>",
    ):
        assert talk.say(wrong).startswith("501 5.1.7"), wrong
    assert talk.say("MAIL FROM:<>").startswith("250")


def test_a_machine_that_the_policy_does_not_name_is_refused_at_once(relay: Running) -> None:
    relay.policy(devices=(Device("192.0.2.7", "Autre"),))
    until(lambda: Talk(relay.port).greeting.startswith("554"), "the new policy is not in force")
    said = Talk(relay.port).greeting
    assert said == "554 5.7.1 Appareil inconnu du boitier (127.0.0.1) : a declarer dans ses reglages"
    until(lambda: any(one.device == "" and one.reason == "device" for one in relay.told), "not told")


def test_size_and_rate_have_limits(relay: Running) -> None:
    talk = Talk(relay.port)
    talk.say("EHLO copieur")
    assert talk.say("MAIL FROM:<a@c.test> SIZE=2000000") == "552 5.3.4 Envoi trop grand : 1 Mo au plus"
    line = b"x" * 76 + b"\r\n"
    assert talk.mail(HEAD + b"\r\n" + line * 14000).startswith("552 5.3.4")
    assert talk.mail(HEAD + b"\r\nx").startswith("250"), "the connection is still good"
    relay.policy(hour=2)
    until(lambda: _takes(relay), "the limit does not hold")
    answer = Talk(relay.port)
    answer.say("EHLO copieur")
    assert answer.say("MAIL FROM:<a@c.test>").startswith("451 4.7.1 Limite atteinte (2 envois par heure)")
    assert len(relay.mails()) == 2


def _takes(relay: Running) -> bool:
    """Send until the limit is there."""
    talk = Talk(relay.port)
    talk.say("EHLO copieur")
    if talk.say("MAIL FROM:<a@c.test>").startswith("451"):
        return True
    if len(relay.mails()) < 2:
        talk.say("RSET")
        assert talk.mail(HEAD + b"\r\nx").startswith("250")
    return False


@pytest.mark.parametrize(
    "content",
    [
        HEAD + b"\r\nx\x00y",
        HEAD + b"\r\n" + b"x" * 999,
        HEAD + b"\r\n" + b"x" * 100_000 + b"\r\nend",
        b"no head at all\r\n\r\nx",
        b" continued: from nothing\r\n\r\nx",
        HEAD + b"X-Long: 1\r\n" * 7000 + b"\r\nx",
    ],
    ids=["nul", "long", "very long", "no head", "continuation", "long head"],
)
def test_a_mail_that_is_none_is_refused_whole(relay: Running, content: bytes) -> None:
    talk = Talk(relay.port)
    assert talk.mail(content).startswith("554 5.6.0 Message mal forme")
    assert talk.say("NOOP").startswith("250"), "its end was found"
    until(lambda: relay.refused("content"), "not told")
    assert relay.mails() == [] and not list((relay.home / "relay").glob("*.part"))


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r\r\n"])
def test_no_second_mail_hides_behind_an_end_that_is_none(relay: Running, end: bytes) -> None:
    hidden = b"MAIL FROM:<maire@beaune.test>\r\nRCPT TO:<x@ailleurs.test>\r\nDATA\r\nFrom: x\r\n\r\nhidden"
    assert Talk(relay.port).mail(HEAD + b"\r\nfirst" + end + hidden).startswith("250")
    (mail,) = relay.mails()
    assert b"hidden\r\n" in mail and b"\r\n.\r\n" not in mail and b"\r\n.\n" not in mail
    assert mail.replace(b"\r\n", b"").find(b"\n") == -1 and b"\r" not in mail.replace(b"\r\n", b"")


def test_a_full_spool_says_later_and_takes_again_after_a_restart(relay: Running) -> None:
    relay.kill()
    relay.start(most_mails=2)
    talk = Talk(relay.port)
    for _ in range(2):
        assert talk.mail(HEAD + b"\r\nx").startswith("250")
    assert talk.begin().startswith("250")
    assert talk.say("DATA") == "452 4.3.1 Boitier plein, centre injoignable : reessayez plus tard"
    until(lambda: relay.refused("full"), "not told")
    relay.kill()
    relay.start(most_mails=2)
    assert len(relay.mails()) == 2
    again = Talk(relay.port)
    assert again.begin().startswith("250") and again.say("DATA").startswith("452")
    relay.kill()
    relay.start(most_mails=3)
    assert Talk(relay.port).mail(HEAD + b"\r\nx").startswith("250")


def test_half_a_mail_is_nobodys(relay: Running) -> None:
    talk = Talk(relay.port)
    talk.begin()
    assert talk.say("DATA").startswith("354")
    talk.raw(HEAD + b"\r\nhalf")
    talk.end()
    until(lambda: not list((relay.home / "relay").glob("*.part")), "half a mail stays")
    assert relay.mails() == []


def test_odd_commands_are_answered_and_end(relay: Running) -> None:
    talk = Talk(relay.port)
    assert talk.say("AUTH PLAIN AGEAYg==").startswith("502 5.5.1 Ni mot de passe ni chiffrement ici")
    assert talk.say("DATA").startswith("503") and talk.say("RCPT TO:<agent@beaune.test>").startswith("503")
    assert talk.say(b"MAIL FROM:<\xc3\xa9@c.test>").startswith("500")
    assert talk.say("X" * 5000).startswith("500")
    assert talk.say("HELO copieur").startswith("250") and talk.say("QUIT").startswith("221")
    noise = Talk(relay.port)
    assert [noise.say("FOO")[:3] for _ in range(10)] == ["502"] * 10
    assert noise.answer().startswith("421")


def test_a_fifth_connection_of_one_machine_waits(relay: Running) -> None:
    def five() -> bool:
        talks = [Talk(relay.port) for _ in range(5)]
        greetings = [talk.greeting[:3] for talk in talks]
        for talk in talks:
            talk.end()
        return greetings == ["220"] * 4 + ["421"]

    until(five, "the limit of connections does not hold")


def test_it_ends_when_the_policy_wants_no_relay(relay: Running) -> None:
    assert Talk(relay.port).mail(HEAD + b"\r\nx").startswith("250")
    relay.order = None
    assert relay.process is not None
    assert relay.process.wait(PATIENCE_S) == 0
    assert len(relay.mails()) == 1
