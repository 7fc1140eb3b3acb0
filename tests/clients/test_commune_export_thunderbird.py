"""The real Thunderbird opens a folder of mail of an export: every mail once, with what was read, marked, answered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from beffroi.portal.commune_export.mails import as_mbox

from tests.desk_thunderbird import needs_thunderbird, thunderbird

pytestmark = needs_thunderbird
OPENS = """
    const [path] = given;
    MailServices.accounts.createLocalMailAccount();
    const root = MailServices.accounts.localFoldersServer.rootFolder;
    root.QueryInterface(Ci.nsIMsgLocalMailFolder);
    const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
    file.initWithPath(path);
    file.copyTo(root.filePath, "INBOX.mbox");
    const folder = root.addSubfolder("INBOX.mbox").QueryInterface(Ci.nsIMsgLocalMailFolder);
    await new Promise(resolve => {
        const heard = { OnStartRunningUrl() {}, OnStopRunningUrl: resolve };
        try { folder.getDatabaseWithReparse(heard, null); resolve(); } catch (error) {}
    });
    const seen = [...folder.messages].map(one =>
        [one.mime2DecodedSubject, one.isRead, one.isFlagged, Boolean(one.flags & Ci.nsMsgMessageFlags.Replied)]);
    return seen.sort();
"""
MAILS = (
    ("Devis", (b"\\Seen",), b"Bonjour,\r\n\r\nFrom ici on part.\r\n>From la.\r\n"),
    ("Facture", (b"\\Flagged", b"\\Seen", b"\\Answered"), b"Fin.\r\n\r\nFrom x@y Thu Nov 26 10:00:00 2026"),
    ("Lettre", (), b"Une lettre.\r\n"),
)  # fmt: skip


def test_thunderbird_shows_every_mail_with_its_marks(tmp_path: Path) -> None:
    at = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
    kept = tmp_path / "INBOX.mbox"
    kept.write_bytes(
        b"".join(
            as_mbox(
                # Its sender says that it is deleted.
                f"From: a@b.test\r\nX-Mozilla-Status: 0008\r\nSubject: {title}\r\n\r\n".encode() + body,
                at,
                flags,
            )
            for title, flags, body in MAILS
        )
    )
    home = tmp_path / "home"
    home.mkdir()
    with thunderbird(home) as program:
        assert program.do(OPENS, str(kept)) == [
            ["Devis", True, False, False],
            ["Facture", True, True, True],
            ["Lettre", False, False, False],
        ]
