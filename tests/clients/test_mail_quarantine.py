"""What a decision does to mail: refused at SMTP, copies withdrawn, given back; over real engines and the real feed."""

from __future__ import annotations

import contextlib
import os

import imapclient
import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import exceptions
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotFound
from beffroi.mail import consumers, doveadm, holding, journal, queries, remediation
from beffroi.mail.engines import layout
from beffroi.mail.met import met
from beffroi.mail.models import MailMessage, RemediationItem, RemediationJob
from beffroi.mail.quota import actions as quota
from beffroi_protocol.indicators import normalise
from imapclient.exceptions import IMAPClientError

from tests.conftest import Commune
from tests.mail_post import OTHER_IP, SENDER_IP, Post, lure, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
SYSTEM = Actor.system("tests")


def test_decision_refuses_the_next_mail_and_withdraws_every_copy_until_it_ends(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    a = post.mailbox(beaune, beaune.agent, "un")
    b = post.mailbox(nuits, nuits.agent, "deux")
    other = post.mailbox(nuits, nuits.colleague, "autre")
    for box, n in ((a, "q1"), (b, "q2")):
        assert post.send(lure(box.address, n), box.address)[0] == 250
    harmless = lure(other.address, "q3").replace("evil", "kind").replace("SGVsbG8gUERG", "QXV0cmU=")
    assert post.send(harmless, other.address)[0] == 250
    post.settle(3)
    before = _file_and_flag(post, a)

    decision = post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert (post.count(a), post.count(a, "Dossier"), post.count(b), post.count(other)) == (0, 0, 0, 1)
    _nothing_to_see(post, a)
    job = RemediationJob.objects.get(direction="withdraw")
    report = queries.report(job)
    assert (report.moved, report.mailboxes, report.failed) == (2, 2, 0)
    assert report.collectivites == {beaune.id: 1, nuits.id: 1}

    post.wait_gate(1)
    code, text = post.send(lure(b.address, "q4"), b.address)
    assert code == 554
    assert "Blocked by collective immunity" in text
    assert decision.id in text

    decisions.revoke(actor=SYSTEM, decision=decision, reason="mistake")
    run_pending("remediation")
    assert (post.count(a, "Dossier"), post.count(b)) == (1, 1)
    assert _seen(post, a, "Dossier") == before
    post.wait_gate(0)
    assert post.send(lure(b.address, "q5"), b.address)[0] == 250


def test_what_was_withdrawn_comes_back_into_a_mailbox_that_is_full_by_then(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "plein")
    assert post.send(lure(box.address, "p1"), box.address)[0] == 250
    post.settle(1)
    decision = post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert post.count(box) == 0
    quota.limit_mailbox(actor=SYSTEM, mailbox=box, limit_mib=1)
    run_pending("main")
    client = post.imap(box)
    for size in (300_000, 100_000, 1_000, 10):
        with pytest.raises(IMAPClientError, match="OVERQUOTA"):
            while True:
                client.append("INBOX", b"Subject: x\r\n\r\n" + os.urandom(size).hex().encode())
    client.logout()
    full = post.count(box)
    decisions.revoke(actor=SYSTEM, decision=decision, reason="mistake")
    run_pending("remediation")
    assert post.count(box) == full + 1
    assert queries.report(RemediationJob.objects.get(direction="restore")).failed == 0


def test_what_a_commune_lets_through_reaches_its_mailboxes_and_nobody_elses(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    a = post.mailbox(beaune, beaune.agent, "un")
    b = post.mailbox(nuits, nuits.agent, "deux")
    consumers.put_owners()
    post.block("domain", "evil.example.com", communes=0)
    post.wait_gate(1)
    assert post.send(lure(a.address, "x1"), a.address)[0] == 554
    made = exceptions.allow_locally(
        actor=beaune.agent,
        collectivite_id=beaune.id,
        indicator=normalise("domain", "evil.example.com"),
        ttl_s=600,
        reason="notre fournisseur",
    )
    until(lambda: post.send(lure(a.address, "x2"), a.address)[0] == 250, "its mail passes")
    post.settle(1)
    run_pending("remediation")
    assert post.count(a) == 1
    assert post.send(lure(b.address, "x3"), b.address)[0] == 554
    both = [a.address, b.address]
    assert post.send(lure(a.address, "x4"), *both)[0] == 554
    exceptions.end(actor=beaune.agent, exception_id=made.id)
    until(lambda: post.send(lure(a.address, "x5"), a.address)[0] == 554, "refused again")


def test_a_range_withdraws_what_came_from_it_and_gives_it_back(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "plage")
    for n, client in (("r1", OTHER_IP), ("r2", SENDER_IP)):
        assert post.send(lure(box.address, n), box.address, client=client)[0] == 250
    post.settle(2)
    decision = post.block("cidr", "91.240.118.0/24")
    run_pending("remediation")
    assert post.count(box) == 1
    post.wait_gate(1)
    assert post.send(lure(box.address, "r3"), box.address, client="91.240.118.7")[0] == 554
    decisions.revoke(actor=SYSTEM, decision=decision, reason="x")
    run_pending("remediation")
    assert post.count(box) == 2


def test_copy_held_by_two_decisions_comes_back_when_both_ended(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "double")
    post.send(lure(box.address, "d1"), box.address)
    post.settle(1)
    first = post.block("url", "https://pay.evil.example.com/f?x=1")
    second = post.block("domain", "pay.evil.example.com")
    run_pending("remediation")
    assert post.count(box) == 0
    decisions.revoke(actor=SYSTEM, decision=first, reason="x")
    run_pending("remediation")
    assert post.count(box) == 0
    decisions.revoke(actor=SYSTEM, decision=second, reason="x")
    run_pending("remediation")
    assert post.count(box) == 1


def test_a_copy_that_two_decisions_held_is_given_back_and_counted_once_when_both_end_at_once(
    post: Post, beaune: Commune
) -> None:
    """As the undo of a campaign ends them."""
    box = post.mailbox(beaune, beaune.agent, "ensemble")
    post.send(lure(box.address, "e1"), box.address)
    post.settle(1)
    both = [
        post.block("url", "https://pay.evil.example.com/f?x=1"),
        post.block("domain", "pay.evil.example.com"),
    ]
    run_pending("remediation")
    for one in both:
        decisions.revoke(actor=SYSTEM, decision=one, reason="x")
    run_pending("remediation")
    assert post.count(box) == 1
    back = [queries.report(job) for job in RemediationJob.objects.filter(direction="restore")]
    assert (len(back), sum(one.moved for one in back), sum(one.failed for one in back)) == (2, 1, 0)


def test_an_interrupted_return_is_finished_and_counted(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "retour")
    post.send(lure(box.address, "e2"), box.address)
    post.settle(1)
    decision = post.block("domain", "evil.example.com")
    run_pending("remediation")
    decisions.revoke(actor=SYSTEM, decision=decision, reason="x")
    run_pending("remediation")
    job = RemediationJob.objects.get(direction="restore")
    # As a kill between the move and its confirmation leaves it.
    job.items.update(state="found")
    RemediationJob.objects.filter(pk=job.pk).update(state="running", moved=0)
    assert remediation.resume() == 1
    job.refresh_from_db()
    assert (job.state, job.moved, post.count(box)) == ("done", 1, 1)


def test_mail_for_quarantine_is_delivered_where_only_the_decision_can_release_it(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "entree")
    decision = post.block("domain", "evil.example.com", action="quarantine")
    post.wait_gate(1)
    assert post.send(lure(box.address, "e1"), box.address)[0] == 250
    post.settle(1)
    assert post.count(box) == 0
    _nothing_to_see(post, box)
    decisions.revoke(actor=SYSTEM, decision=decision, reason="x")
    run_pending("remediation")
    assert post.count(box) == 1


def test_client_that_asks_to_be_told_of_everything_is_not_told_where_a_copy_went(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "annonce")
    assert post.send(lure(box.address, "n1"), box.address)[0] == 250
    post.settle(1)
    client = post.imap(box)
    tag = client._imap._new_tag()
    client._imap.send(tag + b" NOTIFY SET (personal (MessageNew MessageExpunge))\r\n")
    while not (line := client._imap.readline()).startswith(tag):
        pass
    assert b" OK " in line
    post.block("domain", "evil.example.com")
    run_pending("remediation")
    told: list[object] = []
    until(lambda: told.append(client.noop()) or "INBOX" in repr(told), "the client is told of its inbox")
    told += [client.noop() for _ in range(3)]
    assert layout.quarantine_prefix(post.config).rstrip("/") not in repr(told)
    client.logout()


def test_a_storage_that_is_rebuilt_by_its_owners_client_brings_nothing_back(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "reconstruit")
    for name in ("r1", "r2"):
        assert post.send(lure(box.address, name), box.address)[0] == 250
    harmless = lure(box.address, "r3").replace("evil", "kind").replace("SGVsbG8gUERG", "QXV0cmU=")
    assert post.send(harmless, box.address)[0] == 250
    post.settle(3)
    decision = post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert post.count(box) == 1
    storage = layout.Paths(post.config.state).mailboxes / box.id / "mdbox" / "storage"
    for index in storage.glob("dovecot.map.index*"):
        index.unlink()
    until(lambda: len(_texts(post, box)) == 1, "the owner's client has had the storage rebuilt")
    assert post.count(box) == 1
    decisions.revoke(actor=SYSTEM, decision=decision, reason="x")
    run_pending("remediation")
    assert post.count(box) == 3


@pytest.mark.parametrize(
    "folder", ["beffroi-quarantaine/Messages", "beffroi-quarantine/Messages", "beffroi-"]
)
def test_folder_that_an_owner_names_like_quarantine_hides_nothing_from_a_decision(
    post: Post, beaune: Commune, folder: str
) -> None:
    box = post.mailbox(beaune, beaune.agent, "cache" + os.urandom(3).hex())
    assert post.send(lure(box.address, "c1"), box.address)[0] == 250
    post.settle(1)
    client = post.imap(box)
    client.create_folder(folder)
    client.select_folder("INBOX")
    client.move([1], folder)
    client.logout()
    decision = post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert post.count(box, folder) == 0
    assert queries.report(RemediationJob.objects.get()).moved == 1
    decisions.revoke(actor=SYSTEM, decision=decision, reason="x")
    run_pending("remediation")
    assert post.count(box, folder) == 1


def test_late_delivery_is_compared_with_the_decisions_of_the_moment(
    post: Post, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = post.mailbox(beaune, beaune.agent, "tard")
    assert post.send(lure(box.address, "l1"), box.address)[0] == 250
    post.wait_count(box, 1)
    # Decided after the scan and before the copy was on record: its line in the journal comes a moment later.
    post.block("domain", "evil.example.com")
    with monkeypatch.context() as moment:
        moment.setattr(journal, "follow", lambda: 0)
        run_pending("remediation")
    assert post.count(box) == 1
    post.settle(1)
    assert post.count(box) == 0


def test_interrupted_withdrawal_is_finished_and_forgets_no_folder(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "coupe")
    post.send(lure(box.address, "i1"), box.address)
    post.settle(1)
    before = _file_and_flag(post, box)
    decision = post.block("domain", "evil.example.com")
    # As a kill between the move and its confirmation leaves it.
    job = remediation._open(decision, holding.copies_under(decision))
    RemediationItem.objects.filter(job=job).update(state="found", folder="Dossier")
    item = RemediationItem.objects.get(job=job)
    engine = doveadm.Doveadm(post.config)
    engine.run([doveadm.move(box.address, item.message_id, "Dossier", engine.quarantine)])
    assert remediation.resume() == 1
    job.refresh_from_db()
    assert (job.state, job.moved) == ("done", 1)
    run_pending("remediation")
    decisions.revoke(actor=SYSTEM, decision=decision, reason="x")
    run_pending("remediation")
    assert _seen(post, box, "Dossier") == before


def test_copies_in_several_folders_come_back_each_where_it_was(post: Post, beaune: Commune) -> None:
    """A person, or a filter of theirs, keeps a copy."""
    box = post.mailbox(beaune, beaune.agent, "plusieurs")
    post.send(lure(box.address, "c1"), box.address)
    post.settle(1)
    client = post.imap(box)
    client.create_folder("Archives")
    client.select_folder("INBOX")
    client.add_flags([1], [b"\\Flagged"])
    client.copy([1], "Archives")
    client.remove_flags([1], [b"\\Flagged"])
    client.add_flags([1], [b"\\Seen"])
    client.logout()
    before = _seen(post, box, "INBOX"), _seen(post, box, "Archives")
    decision = post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert (post.count(box), post.count(box, "Archives")) == (0, 0)
    assert [one.opened for one in met(SYSTEM, decision.id)] == [1]
    decisions.revoke(actor=SYSTEM, decision=decision, reason="x")
    run_pending("remediation")
    assert (_seen(post, box, "INBOX"), _seen(post, box, "Archives")) == before


def test_large_withdrawal_without_corroboration_waits_for_two_administrators(
    post: Post, beaune: Commune, administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.core.approvals import actions as approvals
    from beffroi.mail import actions

    monkeypatch.setattr(remediation, "FREE_MESSAGES", 0)
    box = post.mailbox(beaune, beaune.agent, "masse")
    post.send(lure(box.address, "m1"), box.address)
    post.settle(1)
    post.block("domain", "evil.example.com", communes=1)
    run_pending("remediation")
    job = RemediationJob.objects.get()
    assert (job.state, post.count(box)) == ("waiting", 1)
    approval = actions.request_remediation(actor=administrator, job=job)
    with pytest.raises(approvals.SamePerson):
        approvals.approve(actor=administrator, approval=approval)
    second = Actor("administrator", "adm_second", None, "administrator")
    approvals.approve(actor=second, approval=approval)
    run_pending("remediation")
    assert post.count(box) == 0


def test_job_of_other_communes_is_not_found(post: Post, beaune: Commune, nuits: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "secret")
    post.send(lure(box.address, "s1"), box.address)
    post.settle(1)
    post.block("domain", "evil.example.com")
    run_pending("remediation")
    job = RemediationJob.objects.get()
    assert list(queries.visible_jobs(beaune.agent)) == [job] and job.moved == 1
    for stranger in (nuits.agent, nuits.referent):
        assert not queries.visible_jobs(stranger).exists()
        with pytest.raises(NotFound):
            queries.access_message(stranger, box, MailMessage.objects.get().id)
        assert box not in queries.visible_mailboxes(stranger)


def _texts(post: Post, box: object) -> list[bytes]:
    """Whole mails of the inbox; none when Dovecot could not open them at once."""
    client: imapclient.IMAPClient = post.imap(box)  # type: ignore[arg-type]
    try:
        client.select_folder("INBOX", readonly=True)
        return [row[b"RFC822"] for row in client.fetch(client.search("ALL"), ["RFC822"]).values()]
    except imapclient.IMAPClient.AbortError:
        return []
    finally:
        with contextlib.suppress(imapclient.IMAPClient.Error):
            client.logout()


def _file_and_flag(post: Post, box: object) -> tuple[object, object]:
    """Put the one message into a folder with flags of its owner; return what must survive."""
    client: imapclient.IMAPClient = post.imap(box)  # type: ignore[arg-type]
    client.create_folder("Dossier")
    client.select_folder("INBOX")
    client.add_flags([1], [b"\\Flagged", b"\\Seen", b"Important"])
    client.move([1], "Dossier")
    client.logout()
    return _seen(post, box, "Dossier")


def _seen(post: Post, box: object, folder: str) -> tuple[object, object]:
    client: imapclient.IMAPClient = post.imap(box)  # type: ignore[arg-type]
    client.select_folder(folder, readonly=True)
    (row,) = client.fetch(client.search("ALL"), ["FLAGS", "INTERNALDATE"]).values()
    client.logout()
    return sorted(f for f in row[b"FLAGS"] if f != b"\\Recent"), row[b"INTERNALDATE"]


def _nothing_to_see(post: Post, box: object) -> None:
    """The owner's client is told the quarantine's name by no command that lists, counts or announces folders."""
    client: imapclient.IMAPClient = post.imap(box)  # type: ignore[arg-type]
    secret = layout.quarantine_folder(post.config).partition("/")[0].encode()
    told: list[object] = [client.namespace(), client.list_sub_folders()]
    for pattern in ("*", "%", "%/%", "*/Messages", "beffroi-*", "beffroi-%/Messages"):
        told += [client.list_folders("", pattern), client.list_folders("", f"INBOX/{pattern}")]
    raw = client._imap
    for name, words in (
        ("NOTIFY", "SET STATUS (personal (MessageNew MessageExpunge))"),
        ("LIST", '(SUBSCRIBED) "" "*" RETURN (CHILDREN STATUS (MESSAGES))'),
        ("LIST", '"" (* beffroi-* %/Messages) RETURN (STATUS (MESSAGES UIDNEXT))'),
        ("LIST", '(SPECIAL-USE) "" *'),
        ("XLIST", '"" *'),
        ("LSUB", '"" *'),
    ):
        tag = raw._new_tag()
        raw.send(tag + b" " + name.encode() + b" " + words.encode() + b"\r\n")
        while not (line := raw.readline()).startswith(tag):
            told.append(line)
        told.append(line)
        assert b" OK " in line
    assert secret not in repr(told).encode()
    for name in (secret.decode(), f"INBOX/{secret.decode()}/Messages"):
        with pytest.raises(IMAPClientError):
            client.select_folder(name)
    client.logout()
