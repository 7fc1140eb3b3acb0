"""The store of objects that the settings name: a local directory or a bucket.

Process: every one that opens files.
Fails:   closed (SettingInvalid, StoreUnavailable).
"""

from __future__ import annotations

from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.objects import Objects
from beffroi.drive.store.s3_objects import S3Objects, s3_place
from beffroi.lib.config import Config


def open_objects(config: Config) -> Objects:
    """The store that the settings name. Errors: SettingInvalid, StoreUnavailable."""
    if not config.drive_objects:
        return LocalObjects(config.state / "drive" / "objects")
    return S3Objects(s3_place(config))
