"""The one way for a page to open a mailbox: who asks, which mailbox, to do what.

Purpose: ``access`` says whether, and as whom; ``open_mailbox``, ``open_drafts`` and ``connect`` then give that person
         what they may see: an owner (or a member of a functional mailbox) all of it, a delegate what is not personal.
Process: web; webmail for messages that are due.
Fails:   closed: NotFound, for absent, forbidden and over alike. What asks for no right gets the owner's
         (``Right.OWN``), which no delegation gives.
Source:  docs/decisions/0036, 0044.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from beffroi.core.identity.actor import Actor
from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound, existing
from beffroi.mail import drafts, queries, reader
from beffroi.mail.drafts import DraftFolder
from beffroi.mail.guarded import GuardedClient, GuardedReader
from beffroi.mail.heads import MessageSummary
from beffroi.mail.models import Mailbox
from beffroi.mail.people import delegations
from beffroi.mail.people import queries as people
from beffroi.mail.people.models import DelegatedAct, Delegation
from beffroi.mail.reader import MailboxReader


class Right(IntEnum):
    """What somebody wants to do with a mailbox; each includes the ones before it."""

    READ = 1
    ANSWER = 2
    """Also mark as read, and with a star."""
    OWN = 3
    """Move, delete, settings, forwards, filters, what is held, import, telephones."""


@dataclass(frozen=True)
class Access:
    """One mailbox, open for one person. ``delegation``: by what, where they are neither owner nor member."""

    mailbox: Mailbox
    actor: Actor
    right: Right
    delegation: Delegation | None = None

    @property
    def address(self) -> str:
        return self.mailbox.address

    @property
    def answers(self) -> bool:
        return self.right >= Right.ANSWER

    @property
    def owns(self) -> bool:
        return self.right >= Right.OWN


def access(actor: Actor, mailbox_id: str, need: Right = Right.OWN) -> Access:
    """Errors: NotFound."""
    own = queries.own_mailboxes(actor).filter(pk=mailbox_id).first()
    if own is not None:
        return Access(own, actor, Right.OWN)
    if actor.kind != "person" or actor.collectivite_id is None:
        raise NotFound("mailbox")
    mailbox, delegation = existing(delegations.find(actor.id, actor.collectivite_id, mailbox_id), "mailbox")
    right = Right.ANSWER if delegation.right == Delegation.Right.ANSWER else Right.READ
    if right < need:
        raise NotFound("mailbox")
    return Access(mailbox, actor, right, delegation)


def openable(actor: Actor) -> list[Mailbox]:
    """All that this person may open: the own one, the functional ones, then those that are lent to them."""
    return [*queries.own_mailboxes(actor), *delegations.lent_to(actor)]


@contextmanager
def connect(config: Config, opened: Access) -> Iterator[Any]:
    """A signed-in IMAP client that shows what this person may see. Errors: MailboxUnavailable."""
    with reader.connect(config, opened.address) as client:
        yield client if opened.delegation is None else _guarded(client, opened)


@contextmanager
def open_mailbox(config: Config, opened: Access) -> Iterator[MailboxReader]:
    """Errors: MailboxUnavailable."""
    if opened.delegation is None:
        with reader.open_mailbox(config, opened.address) as whole:
            yield whole
        return
    with reader.connect(config, opened.address) as client:
        yield GuardedReader(_guarded(client, opened), lambda folder, one: _note(opened, folder, one))


@contextmanager
def open_drafts(config: Config, opened: Access) -> Iterator[DraftFolder]:
    """A delegate's drafts are their own ones. Errors: MailboxUnavailable."""
    if opened.delegation is None:
        with drafts.open_drafts(config, opened.address) as whole:
            yield whole
        return
    with reader.connect(config, opened.address) as client:
        yield DraftFolder(_guarded(client, opened))


def _guarded(client: Any, opened: Access) -> GuardedClient:
    return GuardedClient(client, person_id=opened.actor.id, writes=opened.answers)


def _note(opened: Access, folder: str, one: MessageSummary) -> None:
    """What cannot be written down is not shown."""
    assert opened.delegation is not None
    key = people.message_key(one) or hashlib.sha256(f"{folder}\0{one.uid}".encode()).hexdigest()
    delegations.note(
        actor=opened.actor, delegation=opened.delegation, what=DelegatedAct.What.READ, message_key=key
    )
