"""A mailbox for the portal's tests: mails with hostile content, shown from a list.

The mail server is replaced where pages meet it: ``reader.open_mailbox``, and what ``show`` names. The real one is
used by the tests of mail and of the webmail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.mail.compose import Original
from beffroi.mail.folders import HITS, Folder, Hits
from beffroi.mail.heads import Authentication, MessageSummary
from beffroi.mail.original import Opened
from beffroi.mail.quota.rules import Room
from beffroi.mail.reader import AttachedMail, Attachment, MessageView
from beffroi.mail.unsubscribing import Way

FILE = b"PK\x03\x04 not really an archive"
SEEN: list[int] = []
SENT_AT = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
LURE_HTML = """
<html><head><style>body{background:url(http://evil.test/x)}</style><script>alert(1)</script></head>
<body onload="alert(2)"><p>Bonjour, votre colis est en attente.</p>
<p><a href="https://colis-suivi-paiement.example/laposte" onclick="alert(3)">https://www.laposte.fr/suivi</a></p>
<img src="https://pixel.example/t.gif" alt="logo" onerror="alert(4)">
<form action="https://evil.test"><input name=p></form>
<iframe src="https://evil.test"></iframe></body></html>
"""


def letter(uid: int, subject: str, sender: str, **changes: Any) -> MessageView:
    summary = MessageSummary(
        uid=uid,
        beffroi_id="msg_" + str(uid % 10) * 26,
        from_name=changes.pop("name", ""),
        from_address=sender,
        subject=subject,
        received_at=clock.now() - timedelta(minutes=17 * uid),
        seen=changes.pop("seen", True),
        unchecked=changes.pop("unchecked", False),
    )
    view = MessageView(summary, ("mairie@beaune.test",), "Bonjour,\n\nBien à vous.", "", (), Authentication())
    return replace(view, **changes)


def letters() -> list[MessageView]:
    """A lure, and ordinary mail with hostile subjects."""
    return [
        letter(
            1,
            "Votre colis est en attente de paiement <script>alert(1)</script>",
            "suivi@colis-suivi-paiement.example",
            name="La Poste",
            html=LURE_HTML,
            text="Votre colis est en attente.",
            seen=False,
            authentication=Authentication(spf="fail", dkim="none", dmarc="fail"),
            attachments=(Attachment("2", "facture 88213.zip", "application/zip", 48_213),),
        ),
        letter(
            2,
            "Contrôle de légalité : délibération 2026-41 reçue",
            "prefecture@cote-dor.example",
            name="Préfecture de la Côte-d’Or",
            seen=False,
            authentication=Authentication("pass", "pass", "pass"),
            unsubscribe=Way("fin@lettres.cote-dor.example", "unsubscribe"),
            receipt_to="prefecture@cote-dor.example",
        ),
        letter(3, "Effectifs cantine, semaine 49", "ecole@nuits.test", name="École Jean-Macé"),
        letter(4, "Permis de construire, pièces manquantes", "j.bertrand@example.org", unchecked=True),
        letter(5, "x" * 180, "long@" + "a" * 60 + ".example", name="Un nom " + "très " * 20 + "long"),
    ]


class ShownMailbox:
    """What the reader is asked, answered from a list."""

    def __init__(self, held: list[MessageView]) -> None:
        self._held = {one.summary.uid: one for one in held}

    def list(
        self, folder: str = "INBOX", limit: int = 50, before_uid: int | None = None
    ) -> list[MessageSummary]:
        found = [
            one.summary for one in self._held.values() if before_uid is None or one.summary.uid < before_uid
        ]
        return found[:limit]

    def read(self, uid: int, folder: str = "INBOX") -> MessageView:
        if uid not in self._held:
            raise NotFound("message")
        return self._held[uid]

    def summaries(self, uids: Sequence[int]) -> Sequence[MessageSummary]:
        return [self._held[uid].summary for uid in uids]

    def mark_seen(self, uid: int, folder: str = "INBOX") -> None:
        SEEN.append(uid)

    def attachment(self, uid: int, section: str, folder: str = "INBOX") -> tuple[Attachment, bytes]:
        for one in self.read(uid).attachments:
            if one.part == section:
                return one, FILE
        raise NotFound("attachment")

    def read_attached(self, uid: int, section: str, folder: str = "INBOX") -> AttachedMail:
        self.attachment(uid, section)
        return AttachedMail("", "c@devis.example", (), None, "Devis", "Le devis", "", (), False)


PLACES = [
    Folder("INBOX", "inbox", 2),
    Folder("Drafts", "drafts", 0),
    Folder("Sent", "sent", 0),
    Folder("Junk", "junk", 3),
    Folder("Trash", "trash", 0),
    Folder("Conseil municipal et délibérations " + "longues " * 6, "", 0),
    Folder("État civil <b>", "", 12),
]


def show(set_one: Callable[[Any, str, Any], None]) -> None:
    """Answer from the list what pages ask of the folders and of one mail beyond ``ShownMailbox``."""
    from beffroi.mail import contacts, deleted, folders, original
    from beffroi.mail.filters import preview

    def fetch(opened: ShownMailbox, uid: int, folder: str, text: str) -> Original:
        one = opened.read(uid).summary
        return Original(uid, 1, folder, one.from_name, one.from_address, (), ("mairie@beaune.test",), (),
                        one.subject, SENT_AT, text, "<m@example.org>")  # fmt: skip

    def draft(opened: ShownMailbox, uid: int) -> Opened:
        view = opened.read(uid)
        return Opened(uid, 1, "Jean <jean@nuits.test>", "", "", view.summary.subject, view.text, "<d@beaune.test>",
                      "", "", "", view.attachments, view.html, "", "accueil@beaune.test", True)  # fmt: skip

    def matching(opened: ShownMailbox, text: str) -> list[MessageSummary]:
        return [one for one in opened.list() if text.lower() in one.subject.lower()]

    def search(opened: ShownMailbox, places: list[Folder], text: str, *, skip: int = 0) -> Hits:
        """Each find in a folder of its own, as far as there are folders."""
        found = [(places[n % len(places)].name, one) for n, one in enumerate(matching(opened, text))]
        return Hits(found[skip : skip + HITS], len(found))

    def conversation(opened: ShownMailbox, folder: str, uid: int) -> list[tuple[str, MessageSummary]]:
        return [(folder, opened.read(uid).summary), ("Sent", opened.read(3).summary)] if uid == 2 else []

    set_one(folders, "listing", lambda opened: PLACES)
    set_one(folders, "unseen", lambda opened: 2)
    set_one(folders, "room", lambda opened: Room(2_500_000_000, 5 * 1024**3))
    set_one(folders, "search", search)
    set_one(deleted, "search", lambda opened, text="", **days: (found := matching(opened, text), len(found)))
    set_one(folders, "conversation", conversation)
    set_one(folders, "first_contact", lambda opened, folder, one, places: one.uid == 2)
    set_one(original, "fetch", fetch)
    set_one(original, "draft", draft)
    set_one(preview, "look", lambda opened, rule: (7, 30))
    set_one(contacts, "suggestions", lambda config, actor, mailbox: PEOPLE)


PEOPLE = [
    ("Jean Dupont", "jean@nuits.test"),
    ("", "sgc@dgfip.example"),
    ("Élise Jeannin", "elise@beaune.test"),
]


def opener(held: Callable[[], list[MessageView]]) -> Callable[..., Any]:
    @contextmanager
    def open_mailbox(config: object, address: str) -> Iterator[ShownMailbox]:
        yield ShownMailbox(held())

    return open_mailbox


@pytest.fixture
def shown_mail(monkeypatch: pytest.MonkeyPatch) -> list[MessageView]:
    from beffroi.mail import reader

    held = letters()
    SEEN.clear()
    monkeypatch.setattr(reader, "open_mailbox", opener(lambda: held))
    show(monkeypatch.setattr)
    return held
