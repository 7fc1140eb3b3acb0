"""How long records are kept, and the backups of mailboxes and database."""

from __future__ import annotations

from dataclasses import dataclass

from beffroi.lib.declared.setting import days, setting


@dataclass(frozen=True)
class KeepingSettings:
    retention_evidence_days: int = days(
        365,
        "How long decisions that ended, and the sightings, campaigns, exceptions, appeals and approvals of the past are"
        " kept. Reporters are judged by half a year of it.",
        low=180,
    )
    retention_messages_days: int = days(
        365,
        "How long the traces of a message are kept (never its text). What a decision still refers to stays.",
        low=30,
    )
    retention_incidents_days: int = days(
        2192, "How long an incident is kept after it was closed, unless a complaint is under way.", low=365
    )
    retention_accounts_days: int = days(
        365, "How long after its end a closed account keeps its name and address.", low=30
    )
    retention_clock_days: int = days(
        31,
        "The purge trusts a clock that is at most this far ahead of the last run or checkpoint of the audit log;"
        " a centre that was off for longer waits for ./beffroi retention run --clock-is-right.",
        low=2,
        high=90,
    )
    audit_keep_days: int = setting(
        0,
        "How long entries of the audit log stay in the database; then, once a day, they are written to a file in"
        " STATE/audit, without names, and taken away. 0: only by ./beffroi audit prune. Less than 183 counts as 183.",
        unit="days",
        low=0,
        high=3650,
    )
    log_days: int = days(
        183,
        "How long technical logs are kept, by date: security logs half a year at least.",
        low=183,
        high=1095,
    )

    backup_path: str = setting(
        "",
        "Directory of the backups of mailboxes and of the database (an absolute path), best on a disk or a mount of its"
        " own; empty: STATE/backup.",
    )
    backup_every_h: int = setting(
        6, "Time between two backups of the mailboxes, and of the database.", unit="h", low=1, high=24
    )
    backup_keep_days: int = days(
        35, "How long one backup a day is kept; of the last two days, all are.", low=7, high=366
    )
