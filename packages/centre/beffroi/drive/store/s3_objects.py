"""Sealed chunks in a bucket of an S3 service, and what a setting says of one.

Process: every one that opens files.
Hostile: who may write in the bucket, as ``objects`` says; a service may answer a range with the whole.
Fails:   as ``objects`` says; SettingInvalid where a setting leads to no bucket.
Source:  docs/internals/drive-format.md; docs/decisions/0067-what-the-drive-s-content-rests-on.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import obstore
from obstore.exceptions import GenericError
from obstore.store import S3Store

from beffroi.drive.store import s3_listing
from beffroi.drive.store.objects import ObjectMissing, Stored, bounded, checked, failures, is_ours
from beffroi.drive.store.sealing import Bytes
from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid

S3_SECRET = "drive-objects.key"  # noqa: S105 - the name of the file
_NOT_PARTIAL = "non-partial response"  # obstore's word for an answer 200 where 206 was asked for
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class S3Place:
    """Where the bucket is and who asks. ``folder``: within the bucket, no slash at its ends; empty: all of it."""

    bucket: str
    folder: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)

    def below(self, folder: str) -> S3Place:
        return replace(self, folder=f"{self.folder}/{folder}" if self.folder else folder)


class S3Objects:
    """A bucket of an S3 service, or a folder of one. A put is one request: nothing half-written, nothing to sweep."""

    def __init__(self, place: S3Place) -> None:
        self._place = place
        self._folder = f"{place.folder}/" if place.folder else ""
        self._ranges = True
        self.store = S3Store(
            place.bucket,
            endpoint=place.endpoint,
            region=place.region,
            access_key_id=place.access_key,
            secret_access_key=place.secret_key,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": urlsplit(place.endpoint).hostname in _LOOPBACK,
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=60),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
        )

    def put(self, name: str, data: Bytes) -> None:
        with failures():
            obstore.put(self.store, self._key(name), data, use_multipart=False)

    def get(self, name: str, room: memoryview | None = None) -> Bytes:
        with failures(name):
            found = obstore.get(self.store, self._key(name))
            bounded(name, found.meta["size"])
            return memoryview(found.bytes())

    def get_range(self, name: str, start: int, end: int) -> Bytes:
        if self._ranges:
            with failures(name):
                try:
                    return memoryview(obstore.get_range(self.store, self._key(name), start=start, end=end))
                except GenericError as error:
                    if _NOT_PARTIAL not in str(error):
                        raise
                    self._ranges = False
        return self.get(name)[start:end]  # RFC 9110: who serves may ignore a range; no object is long

    def exists(self, name: str) -> bool:
        key = self._key(name)
        try:
            with failures(name):
                obstore.head(self.store, key)
        except ObjectMissing:
            return False
        return True

    def delete(self, name: str) -> None:
        key = self._key(name)
        try:
            with failures(name):
                obstore.delete(self.store, key)
        except ObjectMissing:
            return

    def list(self, collectivite_id: str) -> Iterator[Stored]:
        now = clock.epoch()
        for one in s3_listing.below(self.store, self._place, f"{self._folder}{collectivite_id}"):
            if is_ours(name := one.path.removeprefix(self._folder)):
                yield Stored(name, one.size_bytes, max(0.0, now - one.written))

    def sweep(self, older_than_s: float) -> int:
        return 0

    def _key(self, name: str) -> str:
        return self._folder + checked(name)


def s3_place(config: Config, setting: str = "drive_objects", secret: str = S3_SECRET) -> S3Place:
    """What a setting and its secret's two words say. Errors: SettingInvalid."""
    parts, file = urlsplit(str(getattr(config, setting))), config.state / "beffroi.toml"
    wanted = parse_qs(parts.query)
    endpoint, region = (
        wanted.get(name, [usual])[0] for name, usual in (("endpoint", ""), ("region", "us-east-1"))
    )
    door = urlsplit(endpoint)
    if (
        parts.scheme != "s3"
        or not parts.netloc
        or "@" in parts.netloc
        or set(wanted) - {"endpoint", "region"}
    ):
        raise SettingInvalid(setting, file, "must be s3://BUCKET/FOLDER?endpoint=https://HOST or empty")
    if door.scheme != "https" and not (door.scheme == "http" and door.hostname in _LOOPBACK):
        raise SettingInvalid(setting, file, "its endpoint must be https://HOST")
    said = config.secret(secret).decode("ascii", "replace").split()
    if len(said) != 2:
        raise SettingInvalid(f"secrets/{secret}", config.state, "two words: access key, secret key")
    return S3Place(parts.netloc, parts.path.strip("/"), endpoint, region, *said)
