"""People's own Sieve scripts: real clients against Dovecot's door, our process behind it, real deliveries after it."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.models import AppPassword, SignIn
from beffroi.mail import projections
from beffroi.mail.filters import actions as filters
from beffroi.mail.models import Mailbox
from beffroi.mail.scripts import actions, queries, rules, server
from beffroi.mail.scripts.models import PersonalScript
from beffroi.mail.sending.models import SendingAlarm

from tests.clients.test_mail_filters import letter
from tests.clients.test_mail_look_back import attacker
from tests.conftest import PASSWORD, Commune
from tests.integration.test_mail_filters import came
from tests.mail_post import OTHER_IP, Post, lure, needs_engines, until
from tests.sieve_client import Sieve, sieve
from tests.submitting import secret_of
from tests.waiting import PATIENCE_S

__all__ = ["attacker"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
SIGNS_IN = "imap,smtp,sieve"
FILES = (
    'require ["fileinto", "imap4flags"];\r\n'
    'if header :contains "subject" "Voirie" { addflag "$voirie"; fileinto "Voirie"; }\r\n'
)


@pytest.fixture
def box(post: Post, beaune: Commune) -> Iterator[Mailbox]:
    post.engines.start("managesieve", "queue")
    yield post.mailbox(beaune, beaune.agent, "mairie")
    projections.put_held(post.config, ())  # the engines serve the next tests too
    post.engines.kill("managesieve", "queue")


@pytest.fixture
def secret(box: Mailbox, beaune: Commune) -> str:
    return secret_of(beaune, SIGNS_IN)


def sieve_connect(post: Post, box: Mailbox, secret: str, *arguments: str, ok: bool = True) -> str:
    """The program of Debian's package."""
    done = subprocess.run(
        ["/usr/bin/sieve-connect", "--server", "127.0.0.1", "--port", str(post.config.sieve_port), "--nosrv",
         "--user", box.address, "--passwordfd", "0", "--notlsverify", *arguments],
        input=f"{secret}\n", capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def deliver(post: Post, box: Mailbox, subject: str, folder: str = "INBOX", count: int = 1) -> None:
    assert post.send(letter("a@sender.example.net", box.address, subject), box.address)[0] == 250
    post.wait_count(box, count, folder)


def test_sieve_connect_brings_a_script_and_mail_is_filed_by_it(
    post: Post, box: Mailbox, secret: str, tmp_path: Path
) -> None:
    (tmp_path / "a.sieve").write_text(FILES)
    sieve_connect(
        post, box, secret, "--upload", "--localsieve", str(tmp_path / "a.sieve"), "--remotesieve", "voirie"
    )
    sieve_connect(post, box, secret, "--activate", "--remotesieve", "voirie")
    assert re.search(r'"voirie"\s+ACTIVE', sieve_connect(post, box, secret, "--list"))
    (tmp_path / "b.sieve").unlink(missing_ok=True)
    sieve_connect(
        post, box, secret, "--download", "--remotesieve", "voirie", "--localsieve", str(tmp_path / "b.sieve")
    )
    assert (tmp_path / "b.sieve").read_text().split() == FILES.split()
    run_pending("main")
    deliver(post, box, "Voirie : travaux", "Voirie")
    deliver(post, box, "Autre chose")
    sieve_connect(post, box, secret, "--deactivate")
    run_pending("main")
    deliver(post, box, "Voirie encore", count=2)
    sieve_connect(post, box, secret, "--delete", "--remotesieve", "voirie")
    assert not PersonalScript.objects.exists()


@pytest.fixture
def client(post: Post, box: Mailbox, secret: str) -> Iterator[Sieve]:
    with sieve(post.config) as made:
        assert made.sign_in(box.address, secret).startswith("OK"), made.said
        yield made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('redirect "ailleurs@example.net";', "renvoyer"),
        ('# redirect\r\nkeep;', "renvoyer"),
        ('require "vacation"; vacation "absente";', "'vacation'"),
        ('require "enotify"; notify "mailto:x@example.net";', "'enotify'"),
        ('require "reject"; reject "non";', "'reject'"),
        ('require "editheader"; deleteheader "X-Beffroi-Verdict";', "'editheader'"),
        ('require "vnd.dovecot.environment"; keep;', "'vnd.dovecot.environment'"),
        ('require "include"; include :personal "x";', "'include'"),
        ("keep", "line 1: error"),
    ],
)  # fmt: skip
def test_what_would_send_or_does_not_compile_is_refused_with_words(
    client: Sieve, text: str, said: str
) -> None:
    assert client.put("x", text).startswith("NO"), client.said
    assert said in client.said and "/tmp" not in client.said
    assert client.do("LISTSCRIPTS") == "OK\r\n"


def test_limits_and_names_are_told_by_the_protocol(client: Sieve) -> None:
    assert "QUOTA/MAXSIZE" in client.put("x", "#" * (rules.MAX_SCRIPT_BYTES + 1))
    for number in range(rules.MAX_SCRIPTS):
        assert client.put(f"n{number}", "keep;").startswith("OK")
    assert "QUOTA/MAXSCRIPTS" in client.put("more", "keep;")
    assert "QUOTA/MAXSCRIPTS" in client.do('HAVESPACE "more" 10')
    assert client.put("n0", "discard;").startswith("OK")
    assert client.put("../n0", "keep;").startswith("NO")
    assert "NONEXISTENT" in client.do('SETACTIVE "autre"')
    assert client.do('SETACTIVE "n0"').startswith("OK")
    assert "ACTIVE" in client.do('DELETESCRIPT "n0"')
    assert "ALREADYEXISTS" in client.do('RENAMESCRIPT "n0" "n1"')
    assert client.do('RENAMESCRIPT "n0" "neuf"').startswith("OK")
    assert client.do('CHECKSCRIPT "keep;"').startswith("OK")
    assert client.do('NOOP "la"').startswith('OK (TAG "la")')
    assert client.do("PUTSCRIPT").startswith("NO") and client.do("(((").startswith("NO")
    assert '"neuf" ACTIVE' in client.do("LISTSCRIPTS")
    assert client.do("LOGOUT").startswith("OK")


def opens(post: Post, box: Mailbox, secret: str) -> bool:
    with sieve(post.config) as client:
        return client.sign_in(box.address, secret).startswith("OK")


def test_one_mailbox_does_not_take_every_place(post: Post, box: Mailbox, secret: str, client: Sieve) -> None:
    with ExitStack() as stack:
        others = [stack.enter_context(sieve(post.config)) for _ in range(server.AT_ONCE_OF_ONE)]
        said = [one.sign_in(box.address, secret).startswith("OK") for one in others]
        assert said == [True] * (server.AT_ONCE_OF_ONE - 1) + [False]
        others[0].do("LOGOUT")
        until(lambda: opens(post, box, secret), "its place is free again")


def test_what_a_script_throws_away_lies_in_the_bin_and_what_is_held_never_meets_it(
    post: Post, box: Mailbox, client: Sieve
) -> None:
    assert client.put("x", "discard;").startswith("OK")
    assert client.do('SETACTIVE "x"').startswith("OK")
    run_pending("main")
    deliver(post, box, "Jetée", "Trash")
    post.block("domain", "pay.evil.example.com", action="quarantine")
    post.wait_gate(1)
    assert post.send(lure(box.address, "1"), box.address)[0] == 250
    assert post.send(letter("a@sender.example.net", box.address, "Aussi"), box.address)[0] == 250
    post.wait_count(box, 2, "Trash")
    post.settle(3)  # the held one has a copy on record, and it is not in the bin
    assert post.count(box, "Trash") == 2 and post.count(box) == 0


def test_the_portals_filters_run_first_and_their_flags_stay(
    post: Post, beaune: Commune, box: Mailbox, client: Sieve
) -> None:
    for words, act, folder in (("Conseil", "move", "Conseil"), ("Voirie", "star", "")):
        filters.add_rule(
            actor=beaune.agent, mailbox=box, field="subject", words=words, act=act, folder=folder
        )
    assert client.put("x", FILES.replace("Voirie", "o")).startswith("OK")
    assert client.do('SETACTIVE "x"').startswith("OK")
    run_pending("main")
    deliver(post, box, "Conseil municipal", "Conseil")
    deliver(post, box, "Voirie", "o")
    imap = post.imap(box)
    imap.select_folder("o")
    ((_, found),) = imap.fetch(imap.search(), ["FLAGS"]).items()
    imap.logout()
    assert b"\\Flagged" in found[b"FLAGS"] and b"$voirie" in found[b"FLAGS"]


def test_only_a_password_made_for_it_opens_it_and_the_sign_in_is_on_record(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox, secret: str
) -> None:
    other = post.mailbox(nuits, nuits.agent, "mairie")
    foreign, plain = secret_of(nuits, SIGNS_IN), secret_of(beaune)
    answers = set()
    for address, password in (
        (box.address, PASSWORD),
        (box.address, plain),
        (box.address, foreign),
        (other.address, secret),
        ("personne@beaune.test", secret),
    ):
        with sieve(post.config) as client:
            answers.add(client.sign_in(address, password))
    (answer,) = answers
    assert answer.startswith("NO") and "mot de passe d'application" in answer and "/acces/" in answer
    with sieve(post.config, tls=False) as client:
        assert client.sign_in(box.address, secret).startswith("NO"), client.said  # no TLS, no password
    with sieve(post.config) as client:
        assert client.sign_in(box.address, secret).startswith("OK"), client.said
        assert client.do("LISTSCRIPTS") == "OK\r\n"


def test_a_token_opens_it_and_a_functional_mailbox_has_none(post: Post, box: Mailbox) -> None:
    with sieve(post.config) as client:
        assert client.sign_in_with_token(post.config, box.address).startswith("OK"), client.said
        assert client.put("x", "keep;").startswith("OK")
    Mailbox.objects.filter(pk=box.pk).update(person_id=None)
    with sieve(post.config) as client:
        assert not client.sign_in_with_token(post.config, box.address).startswith("OK")


def test_a_script_that_hides_mail_from_a_new_network_rests_with_the_account(
    post: Post, beaune: Commune, box: Mailbox, client: Sieve
) -> None:
    person = queries.owner_of(box.address)[0]
    assert client.put("ok", FILES).startswith("OK") and client.do('SETACTIVE "ok"').startswith("OK")
    came(beaune.agent.id, beaune.id, "192.0.2.4", days_ago=5)
    row = actions.put(actor=person, mailbox=box, name="ok", text="discard;", address=OTHER_IP)
    assert row.suspended_at is not None and queries.text_in_force(box) == ""
    assert client.put("ok", "keep;").startswith("NO") and "suspendue" in client.said
    run_pending("main")
    deliver(post, box, "Elle arrive")
    with sieve(post.config) as other:
        assert other.sign_in(box.address, "x").startswith("NO")


def test_the_address_of_the_program_is_what_is_judged_and_kept(
    post: Post, beaune: Commune, box: Mailbox, secret: str, attacker: str
) -> None:
    came(beaune.agent.id, beaune.id, "192.0.2.4", days_ago=5)
    with sieve(post.config, source=attacker) as client:
        assert client.sign_in(box.address, secret).startswith("OK"), client.said
        assert client.put("x", FILES).startswith("OK") and client.do('SETACTIVE "x"').startswith("OK")
        until(SignIn.objects.filter(door="sieve", address=attacker).exists, "the sign-in is on record")
        assert AppPassword.objects.get(last_used_at__isnull=False).protocol_set.endswith("sieve")
        assert client.put("x", "discard;").startswith("NO") and "suspendue" in client.said
    assert SendingAlarm.objects.exclude(contained_at=None).exists()


def test_without_the_secret_nobody_is_believed(post: Post, box: Mailbox) -> None:
    with socket.create_connection(
        ("127.0.0.1", post.config.managesieve_port), timeout=PATIENCE_S
    ) as connection:
        client = Sieve(connection)
        assert client.do("LISTSCRIPTS").startswith("NO")
        assert client.sign_in(box.address, "x" * 64).startswith("NO")
        assert client.do("LISTSCRIPTS").startswith("NO")
