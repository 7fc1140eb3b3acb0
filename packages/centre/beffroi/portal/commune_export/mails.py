"""Mailboxes of a collectivité, open and closed, as mbox files: one a folder, with dates and flags.

Rule:    what is personal is counted and not read, as in an export of a closed mailbox (``mail.guarded``), of an open
         mailbox too: who works there takes it along by their own program, as long as it is open. Bin, junk and drafts
         stay out.
Process: a person's command. IMAP on loopback; a closed mailbox is opened as ``closing.opening`` does it, and with its
         lock: the worker's child has the same one.
Hostile: every mail; nothing in it is parsed. Lines that a reader of mbox files would take for its own marks are called
         otherwise.
Fails:   a mailbox that cannot be read is told, and the next one follows. Dovecot away is told for all of them.
Source:  RFC 4155 with ">From " as in mboxrd; Status and X-Status as of Dovecot and mutt, X-Mozilla-Status of
         Thunderbird.
"""

from __future__ import annotations

import fcntl
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from beffroi.lib.envelopes import KeyUnreadable
from beffroi.lib.errors import BeffroiError
from beffroi.mail import projections
from beffroi.mail.closing import opening
from beffroi.mail.closing.exporting import groups
from beffroi.mail.closing.opening import ClosedMailbox, NotClosed
from beffroi.mail.models import Mailbox
from beffroi.mail.reader import MailboxUnavailable
from beffroi.portal.commune_export.about import Work
from beffroi.portal.commune_export.out import Out

FOLDER = "courriel"
ATTEMPTS, PAUSE_S = 3, 3.0
WHY: dict[type[BeffroiError], str] = {
    MailboxUnavailable: "le serveur de courrier n'a pas répondu",
    NotClosed: "sa fermeture n'est pas terminée",
    KeyUnreadable: "sa clé ne s'ouvre pas",
}
_MARKS = re.compile(rb"^(?=(?:x-)?status[ \t]*:|x-keywords[ \t]*:|x-mozilla-)", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(rb"^(?=>*From )", re.MULTILINE)
_STATUS = ((b"\\Answered", b"A", 0x2), (b"\\Flagged", b"F", 0x4))


def write(work: Work) -> None:
    """Errors: DiskFull, FolderUnusable."""
    rows = Mailbox.objects.filter(collectivite_id=work.owner.id).order_by("address", "created_at")
    for number, mailbox in enumerate(rows, 1):
        work.say(f"mailbox {number} of {len(rows)}")
        _write(work, mailbox)
    work.folder.forget("mail:")
    work.write_list("list:mailboxes", FOLDER, "boites.json", (_described(work, one) for one in rows))


def _write(work: Work, mailbox: Mailbox) -> None:
    if not mailbox.crypt_key:
        return  # erased, with the archives' visa
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _opened(work, mailbox) as box:
                _folders(work, mailbox, box)
            return
        except tuple(WHY) as error:
            if attempt == ATTEMPTS or not isinstance(error, MailboxUnavailable):
                work.miss(mailbox.address, WHY[type(error)])
                work.folder.retain(f"mail:{mailbox.id}:")
                return
            time.sleep(PAUSE_S)


@contextmanager
def _opened(work: Work, mailbox: Mailbox) -> Iterator[ClosedMailbox]:
    """Errors: MailboxUnavailable, NotClosed, KeyUnreadable."""
    if mailbox.closed_at is None:
        with opening.connected(mailbox.address) as box:
            yield box
        return
    with (work.config.run / "closing.lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            work.say("waits: another closed mailbox is being exported or erased")
            fcntl.flock(held, fcntl.LOCK_EX)
        projections.forget_closed(work.config)  # what a killed run left open
        with opening.opened(mailbox) as name, opening.connected(name) as box:
            yield box


def _folders(work: Work, mailbox: Mailbox, box: ClosedMailbox) -> None:
    box.client.normalise_times = False
    folder = work.folder.directory(f"mail:{mailbox.id}:", FOLDER, _name(mailbox))
    work.folder.tell(f"personal:{mailbox.id}", str(box.personal_folders()))
    for name in box.folders():
        key, shown = f"mail:{mailbox.id}:{name}", f"{name.replace('/', ' - ')}.mbox"
        state = box.client.folder_status(name, ["UIDVALIDITY", "UIDNEXT", "MESSAGES"])
        mark = ".".join(str(state[one]) for one in (b"UIDVALIDITY", b"UIDNEXT", b"MESSAGES"))
        if work.folder.done(key, mark, folder, shown) is not None:
            continue
        uids, personal = box.select(name)
        note: dict[str, Any] = {"dossier": name, "courriels": 0, "personnels": personal, "illisibles": 0}
        with work.folder.file(key, folder, shown, mark=mark, note=note) as out:
            _mails(box, name, uids, out, note)


def _mails(box: ClosedMailbox, name: str, uids: Sequence[int], out: Out, note: dict[str, Any]) -> None:
    box.guarded.select_folder(name, readonly=True)
    for group in groups(box, uids):
        rows = box.client.fetch(group, ["BODY.PEEK[]", "INTERNALDATE", "FLAGS"])
        for uid in group:
            row = rows.get(uid, {})
            if data := row.get(b"BODY[]"):
                out.write(as_mbox(data, row[b"INTERNALDATE"], row.get(b"FLAGS", ())))
                note["courriels"] += 1
            else:
                note["illisibles"] += 1


def as_mbox(data: bytes, at: datetime, flags: Sequence[bytes]) -> bytes:
    """One mail of an mbox file. ``at``: when it was received, aware; ``flags``: of IMAP."""
    text = data.replace(b"\r\n", b"\n")
    head, gap, body = (b"", b"", text) if text.startswith(b"\n") else text.partition(b"\n\n")
    # Who wrote a mail must not say here whether it was read, or that it is deleted.
    head = _MARKS.sub(b"X-Was-", head)
    seen = b"\\Seen" in flags
    letters = b"".join(letter for flag, letter, _ in _STATUS if flag in flags)
    mozilla = seen * 0x1 + sum(bit for flag, _, bit in _STATUS if flag in flags)
    words = b" ".join(one for one in flags if not one.startswith((b"\\", b"$Beffroi")))
    said = [b"Status: " + (b"RO" if seen else b"O"), b"X-Status: " + letters]
    said += [b"X-Mozilla-Status: %04x" % mozilla, b"X-Keywords: " + words]
    shown = b"\n".join(one for one in said if not one.endswith(b": "))
    quoted = _FROM.sub(b">", head + gap + body)
    stamp = f"{at.astimezone(UTC):%a %b %d %H:%M:%S %Y}".encode()
    end = b"\n" if quoted.endswith(b"\n") else b"\n\n"
    return b"From MAILER-DAEMON " + stamp + b"\n" + shown + b"\n" + quoted + end


def _name(mailbox: Mailbox) -> str:
    if mailbox.closed_at is None:
        return mailbox.address
    return f"{mailbox.address} (fermée le {mailbox.closed_at:%Y-%m-%d})"


def _described(work: Work, mailbox: Mailbox) -> dict[str, Any]:
    """What the list of mailboxes says of one, and what it adds to the counts."""
    prefix = f"mail:{mailbox.id}:"
    folders = [{"fichier": path, **note} for key, path, note in work.folder.notes(prefix) if key != prefix]
    sums = {what: sum(one[what] for one in folders) for what in ("courriels", "personnels", "illisibles")}
    sums["personnels"] += int(work.folder.told(f"personal:{mailbox.id}") or 0)
    for what, count in sums.items():
        work.count(what, count)
    if sums["illisibles"]:
        work.miss(mailbox.address, f"{sums['illisibles']} courriels illisibles")
    work.count("boites")
    return {
        "adresse": mailbox.address,
        "identifiant": mailbox.id,
        "personne": mailbox.person_id,
        "ouverte_le": mailbox.created_at.isoformat(),
        "fermee_le": mailbox.closed_at.isoformat() if mailbox.closed_at else None,
        "etat": "effacée" if not mailbox.crypt_key else "fermée" if mailbox.closed_at else "ouverte",
        **sums,
        "dossiers": folders,
    }
