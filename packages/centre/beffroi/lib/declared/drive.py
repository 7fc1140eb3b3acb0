"""The Coffre: where files lie, for how long, how many; time stamps of seals."""

from __future__ import annotations

from dataclasses import dataclass

from beffroi.lib.declared.setting import days, setting


@dataclass(frozen=True)
class DriveSettings:
    drive_objects: str = setting(
        "",
        "Where the encrypted content of files lies: s3://BUCKET/FOLDER?endpoint=https://HOST, with '&region=R' where"
        " the service has regions; access key and secret key are the two words of STATE/secrets/drive-objects.key."
        " Empty: STATE/drive/objects.",
    )
    drive_on_server: bool = setting(
        False,
        "Keep names, versions and shares of files in the PostgreSQL of `database_url`, a schema for each collectivité."
        " Off: an SQLite file for each under STATE/drive.",
    )
    drive_trash_days: int = days(
        30,
        "How long a deleted file can be brought back; then it is destroyed, with its versions.",
        low=1,
        high=366,
    )
    drive_version_days: int = days(
        366,
        "How long an earlier content of a file is kept, and what a folder looked like can be seen: of the last day"
        " each content, of a week one an hour, of three months one a day, then one a week.",
        low=1,
        high=3660,
    )
    drive_backup_path: str = setting(
        "",
        "Where the backups of the Coffre lie, best far from its disk: a directory (an absolute path that the Python"
        " user may write), or s3://BUCKET/FOLDER?endpoint=https://HOST as in `drive_objects`, with two words of"
        " STATE/secrets/drive-backup.key; as often and for as long as `backup_every_h` and `backup_keep_days` say."
        " Empty: STATE/drive-backup, on the same disk.",
    )
    drive_person_gb: int = setting(
        20,
        "Room of a person in the Coffre, where nobody gave them another: own files, their earlier contents, calendars"
        " and contacts.",
        unit="GB",
        low=1,
        high=1_000_000,
    )
    drive_collectivite_gb: int = setting(
        500,
        "Room of a collectivité in the Coffre, where the Département gave it no other: all of it, earlier contents,"
        " trash and uploads under way too.",
        unit="GB",
        low=1,
        high=1_000_000,
    )
    drive_most_entries: int = setting(
        2_000_000,
        "Files, folders and earlier contents that a collectivité may have in the Coffre.",
        low=1000,
        high=100_000_000,
    )
    drive_key_days: int = days(
        366,
        "Age at which the key of a collectivité's files is replaced, and everything is sealed anew under the next one.",
        low=30,
        high=3660,
    )
    drive_reseal_mib_s: int = setting(
        8,
        "How much is sealed anew each second at most while a key is replaced.",
        unit="MiB/s",
        low=1,
        high=1000,
    )

    drive_time_authority: str = setting(
        "",
        "Address of an outside authority that stamps the time of seals (RFC 3161), https://…; empty: none, and a seal"
        " rests on the centre's own signed time.",
    )
    drive_time_roots: str = setting(
        "",
        "File of the root certificates (PEM) by which time stamps are believed; an authority without it is not asked.",
    )
