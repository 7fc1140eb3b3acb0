"""A closed mailbox is opened for the time of one job, under a name that is no address; otherwise nobody opens it.

Purpose: Dovecot, which has forgotten the closed mailbox, knows it again as ``<identifier>@boite-fermee.invalid``:
         Postfix routes nothing there, no app password opens it, and the portal knows no such mailbox.
Process: the child of worker that exports and erases (``children``); a command that exports a whole collectivité. Each
         holds run/closing.lock.
Fails:   closed: NotClosed while Dovecot still (or again) knows the mailbox by its address. What a killed run left open
         is closed before the next job, and by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings

from beffroi.lib import envelopes
from beffroi.lib.errors import Conflict
from beffroi.mail import doveadm, key_pairs, keys, privacy, projections, reader
from beffroi.mail.doveadm import Doveadm, DoveadmUnavailable
from beffroi.mail.guarded import GuardedClient, separator_text
from beffroi.mail.models import Mailbox


class NotClosed(Conflict):
    """This mailbox is open, or its closing is not over."""

    code = "mail.not_closed"


def name_of(mailbox: Mailbox) -> str:
    """Lower case, as Dovecot makes every name."""
    return f"{mailbox.id.lower()}{projections.CLOSED_NAME}"


@contextmanager
def opened(mailbox: Mailbox) -> Iterator[str]:
    """The name by which Dovecot knows it until the end of the block. Errors: NotClosed, KeyUnreadable."""
    config, name = settings.BEFFROI, name_of(mailbox)
    outer = keys.commune_key(config, mailbox.collectivite_id)
    pair = key_pairs.of_secret(envelopes.unwrap(outer, mailbox.crypt_key, mailbox.id))
    if not projections.open_closed(config, mailbox_id=mailbox.id, name=name, pair=pair):
        raise NotClosed
    try:
        yield name
    finally:
        projections.forget_closed(config)
        with suppress(DoveadmUnavailable):  # without Dovecot nobody is connected
            Doveadm(config).run([doveadm.kick(name)])


class ClosedMailbox:
    """The folders of a closed mailbox, over IMAP: what is professional, and how much is personal.

    ``client`` shows everything; ``guarded`` what a colleague may see (``mail/guarded.py``).
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.guarded = GuardedClient(client, person_id="", writes=False)

    def folders(self) -> list[str]:
        """Those that go to the archives: not what is personal, thrown away, set aside or a draft."""
        names = [str(row[2]) for row in self.guarded.list_folders()]
        return sorted(names, key=lambda one: (one != "INBOX", one.casefold()))

    def all_folders(self) -> list[tuple[str, bool]]:
        """Every folder, and whether its name says that it is personal."""
        rows = [
            row for row in self.client.list_folders() if not {b"\\Noselect", b"\\NonExistent"} & set(row[0])
        ]
        return [(str(row[2]), privacy.is_private_folder(str(row[2]), separator_text(row[1]))) for row in rows]

    def select(self, folder: str) -> tuple[list[int], int]:
        """Open a folder of ``folders``: its mails that may be seen, and how many are personal."""
        self.guarded.select_folder(folder, readonly=True)
        uids = sorted(self.client.search("ALL"))
        seen = self.guarded.visible(uids)
        return seen, len(uids) - len(seen)

    def personal_folders(self) -> int:
        """How many mails lie in folders whose name says that they are personal."""
        hidden = [name for name, personal in self.all_folders() if personal]
        return sum(int(self.client.folder_status(one, ["MESSAGES"])[b"MESSAGES"]) for one in hidden)


@contextmanager
def connected(name: str) -> Iterator[ClosedMailbox]:
    """Errors: MailboxUnavailable."""
    with reader.connect(settings.BEFFROI, name) as client:
        yield ClosedMailbox(client)
