"""Of which tables a backup of the database says less than all, or what is true today instead of then. No Django.

Rule:    a destroyed key is in no backup, so no snapshot holds a key that destroys something: those of mailboxes and
         collectivités, and what these wrapped. They lie beside the snapshots as they are today. What was ended stays
         ended: a restore opens nothing that somebody closed since. The database of the version before is backed up by
         these lists, too: where a migration renames a table or a column of ``KEYS``, the former one stays here.
Source:  docs/decisions/0135-backup-of-the-database.md.
"""

from __future__ import annotations

from typing import NamedTuple


class Kept(NamedTuple):
    """Columns of which today's value is the one that counts; ``where``: in which rows. ``lasts``: a row of this table
    is removed with an erased collectivité alone, which says so in STATE/erased; one that lacks else says that the
    database is another one. Names and conditions are our own constants, in SQL that SQLite and PostgreSQL both read."""

    table: str
    key: str
    columns: tuple[str, ...]
    where: str = "1 = 1"
    lasts: bool = False

    @property
    def name(self) -> str:
        return f"{self.table}.{self.columns[0]}"


KEYS = (
    Kept("mail_commune_key", "collectivite_id", ("wrapped",), lasts=True),
    Kept("mail_mailbox", "id", ("crypt_key",), lasts=True),
    Kept("mail_dkim_key", "id", ("wrapped",), lasts=True),
    Kept("mail_import_job", "id", ("password",)),
    Kept("mail_export", "id", ("key",)),
)
"""Texts that are "" in every snapshot."""

ENDED = (
    Kept("person", "id", ("is_active",), "NOT is_active"),
    Kept("membership", "id", ("until",), "until IS NOT NULL"),
    Kept("app_password", "id", ("revoked_at",), "revoked_at IS NOT NULL"),
    Kept("rescue_code", "id", ("used_at", "ended_at"), "used_at IS NOT NULL OR ended_at IS NOT NULL"),
    Kept("activation_code", "id", ("used_at", "ended_at"), "used_at IS NOT NULL OR ended_at IS NOT NULL"),
    Kept("administrator", "id", ("is_active", "closed_at"), "closed_at IS NOT NULL"),
    Kept(
        "administrator",
        "id",
        ("email", "name", "password", "totp_secret", "erased_at"),
        "erased_at IS NOT NULL",
    ),
    Kept("box", "id", ("state", "revoked_at"), "revoked_at IS NOT NULL"),
    Kept("mail_mailbox", "id", ("closed_at",), "closed_at IS NOT NULL"),
    Kept("mail_member", "id", ("ended_at",), "ended_at IS NOT NULL"),
    Kept("mail_delegation", "id", ("ended_at", "ended_by"), "ended_at IS NOT NULL"),
    Kept("mail_forward", "id", ("ended_at", "ended_by"), "ended_at IS NOT NULL"),
    # What would destroy something by itself, and was called back.
    Kept("mail_erasure", "id", ("state", "reason"), "state IN ('refused', 'withdrawn')"),
    Kept("commune_erasure", "id", ("state", "reason"), "state IN ('refused', 'withdrawn')"),
    Kept(
        "approval",
        "id",
        ("state", "decided_by", "decided_at"),
        "state = 'refused' AND verb IN ('communes:erasure', 'drive:erasure', 'mail:erasure')",
    ),
)

LEFT_OUT = ("django_session", "device_link", "login_flow")
"""Empty in every snapshot: what lives for minutes, and sessions that somebody may have ended since."""

SHOWN = {
    "collectivite": "collectivités",
    "person": "people",
    "mail_mailbox": "mailboxes",
    "box": "boîtiers",
    "decision": "decisions",
    "audit_entry": "entries of the audit log",
}
"""Counts that a person sees before a restore."""

RESTORED = "database:restored"
"""Event of the outbox (``core.events.outbox``), within the database that a restore put in place."""
AUDIT_HEAD = "SELECT position, hash FROM audit_seal ORDER BY position DESC LIMIT 1"
"""Of the last entry of the audit log that is sealed."""

FILES = ("lists", "audit", "software")
"""Directories of STATE whose files rows name: bulk lists, what left the audit log, releases for boîtiers."""
