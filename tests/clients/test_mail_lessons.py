"""What people taught, in the real rspamd: the same kind of mail is held before, and passes after."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from beffroi.lib.config import Config
from beffroi.mail.engines import rspamd
from beffroi.mail.held import lessons

from tests.mail_engines import engines_of
from tests.mail_post import PORTS, needs_engines
from tests.waiting import PATIENCE_S

pytestmark = needs_engines
WANTED = "mairie conseil devis ramettes enveloppes cantine budget adjoint voirie travaux association"
UNWANTED = "bonus investir gagner argent facile loterie pilule urgent offre cadeau million transfert"


@pytest.fixture(scope="module")
def config() -> Iterator[Config]:
    """An rspamd of its own, that nobody has taught."""
    lines = [f"{name} = {port + 400}" for name, port in PORTS.items()]
    with engines_of("bfl-", lines, names=("unbound", "rspamd")) as engines:
        yield engines.config


def mail(words: str, number: int, *, careless: bool) -> bytes:
    """``careless``: as a poor program writes it, without date, identifier and recipient."""
    pick, choice = random.Random(f"{words} {number}"), words.split()
    subject = " ".join(pick.choice(choice) for _ in range(4))
    body = "\r\n".join(" ".join(pick.choice(choice) for _ in range(12)) for _ in range(12))
    head = "From: devis@papeterie.example\r\n"
    if careless:
        return f"{head}Subject: {subject.upper()}\r\n\r\n{body}\r\n".encode()
    return (
        f"{head}To: agent@beaune.test\r\nSubject: {subject}\r\nMessage-ID: <{number}.{choice[0]}@papeterie.example>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        f"{body}\r\n"
    ).encode()


def judged(config: Config, message: bytes) -> tuple[str, dict[str, float]]:
    """The action, and what the classifier said."""
    connection = http.client.HTTPConnection("127.0.0.1", config.rspamd_normal_port, timeout=PATIENCE_S)
    head = {"IP": "198.51.100.7", "From": "devis@papeterie.example", "Rcpt": "agent@beaune.test"}
    connection.request("POST", "/checkv2", message, head)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    said = {name: one["score"] for name, one in answer["symbols"].items() if name.startswith("BAYES_")}
    return answer["action"], said


def test_what_is_held_before_people_released_its_like_passes_after(config: Config, settings: Any) -> None:
    settings.BEFFROI = config
    action, said = judged(config, mail(WANTED, 0, careless=True))
    assert (action, said) == ("add header", {}), "held, by its form alone"
    for number in range(1, rspamd.MIN_LEARNS + 1):
        assert lessons.learn(mail(WANTED, number, careless=True), wanted=True)
    assert judged(config, mail(WANTED, 0, careless=True)) == ("add header", {}), (
        "of one kind alone it says nothing"
    )
    for number in range(1, rspamd.MIN_LEARNS + 1):
        assert lessons.learn(mail(UNWANTED, number, careless=False), wanted=False)
    action, said = judged(config, mail(WANTED, 0, careless=True))
    assert action == "no action" and said["BAYES_HAM"] == pytest.approx(rspamd.BAYES_WANTED, abs=0.1)
    action, said = judged(config, mail(UNWANTED, 0, careless=True))
    assert action == "add header" and said["BAYES_SPAM"] == pytest.approx(rspamd.BAYES_UNWANTED, abs=0.1)
    action, said = judged(config, mail(UNWANTED, 0, careless=False))
    assert action == "no action" and said["BAYES_SPAM"] > 3, "what people taught holds nothing alone"
