"""What a box keeps on its disk, written so that a power cut leaves the old or the new, never a half.

Purpose: key, identity, trust, last good policy, a DecisionTable per channel, time floor.
Process: the agent, as root; files 0600, directory 0700.
Fails:   a damaged file is recognised (checksum) and the previous one is used; without one, a snapshot is asked.
         Key, identity and pinned root are written once, so both of their copies are written at once: a copy that is
         damaged is mended from the other. With both damaged the identity is asked again (``enrol.recover``); a key
         that is lost is a box to enrol anew, and never replaced silently.
         A full disk is reported by OSError; the caller goes on enforcing from memory.
Source:  power-cut trials: fsync file, rename, fsync directory lost nothing; any less lost rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE, ProtocolError, StateDamaged
from beffroi_protocol.messages import PolicyMessage, decode_feed
from beffroi_protocol.signing import TrustStore, b64, public_bytes, split_line, unb64
from beffroi_protocol.table import DecisionTable
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from beffroi_box.errors import IdentityDamaged, KeyUnreadable, NotEnrolled

log = logging.getLogger("beffroi_box.store")

FLOOR_STEP_S = 300
"""After a power cut trusted time may begin that much earlier than it was: what ended meanwhile holds so much longer."""


_OF_A_COMMUNE = (
    "spool", "diary", "labels.json", "policy", "policy-candidate", "policy-log.json", "policy-failed.json",
)  # fmt: skip


class Identity(msgspec.Struct, frozen=True):
    """Who this box is and whom it trusts; written once, at enrolment."""

    v: int
    box_id: str
    collectivite_id: str
    collectivite_name: str
    root_public_key: str
    centre: str


class Asked(msgspec.Struct, frozen=True):
    """An enrolment that has begun: the code as text, shown once to a person; ``heard``: the centre knows it.

    The check of the root key is over the code's secret, so the code itself is kept; beside it is the box's own key."""

    code: str
    serial: str
    heard: bool = False


class Store:
    def __init__(self, state: Path) -> None:
        self.state = state
        self._floor = 0  # on disk

    def prepare(self) -> None:
        for name in ("", "tables", "lists", "spool", "names", "resolver", "diary"):
            (self.state / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        # Unbound and dnsdist run as their own users and must reach their files below.
        for path in (self.state / name for name in ("", "names", "resolver")):
            if path.stat().st_mode & 0o777 != 0o711:  # a disk that can be read only stops no start
                path.chmod(0o711)

    def key(self) -> Ed25519PrivateKey:
        """Return the box's own key, made at the first call. Errors: KeyUnreadable, OSError."""
        path = self.state / "box.key"
        if (text := read_twin(path)) is not None:
            return Ed25519PrivateKey.from_private_bytes(unb64(text.decode("ascii").strip()))
        if _any_copy(path):
            raise KeyUnreadable(path)
        key = Ed25519PrivateKey.generate()
        raw = key.private_bytes_raw()
        write_twin(path, b64(raw).encode() + b"\n")
        return key

    def identity(self) -> Identity:
        """Errors: NotEnrolled, IdentityDamaged."""
        path = self.state / "identity.json"
        if (data := read_twin(path)) is not None:
            return msgspec.json.decode(data, type=Identity)
        # The pinned root stays when every copy of the identity is gone: this box was enrolled once.
        raise IdentityDamaged() if _any_copy(path) or _any_copy(self.state / "root.pub") else NotEnrolled()

    def stand_in(self) -> tuple[Identity, Ed25519PrivateKey]:
        """For a start that can only bring back what was in force: the box proves itself to nobody with it."""
        key = Ed25519PrivateKey.generate()
        names = [*(read_twin(self.state / "belongs-to") or b"").decode().split(), "", ""]
        return Identity(0, names[0], names[1], "", b64(public_bytes(key)), ""), key

    def save_identity(self, identity: Identity) -> None:
        write_twin(self.state / "root.pub", identity.root_public_key.encode() + b"\n")
        write_twin(self.state / "identity.json", msgspec.json.encode(identity))

    def move_in(self, identity: Identity) -> None:
        """Leave nothing of before to another box, or commune, that this machine became by a new code: what was told is
        the former box's, and would be told as this one's; what a commune's machines did, and its policy, are its own.

        Errors: OSError."""
        mark = self.state / "belongs-to"
        now = f"{identity.box_id} {identity.collectivite_id}".encode()
        before = read_twin(mark)
        if before == now:
            return
        if before is not None:
            same_commune = before.split()[1:] == now.split()[1:]
            log.warning("this machine is another box now: what was of the former one is deleted")
            for name in ("spool/told",) if same_commune else _OF_A_COMMUNE:
                path = self.state / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
                    _previous(path).unlink(missing_ok=True)
            self.prepare()
        write_twin(mark, now)

    def pinned_root(self) -> bytes | None:
        """The root key pinned at enrolment, 32 bytes, kept apart from the identity; None when it is lost too."""
        text = read_twin(self.state / "root.pub")
        return unb64(text.decode("ascii").strip()) if text is not None else None

    def asked(self) -> Asked | None:
        """The enrolment that a power cut may have broken off."""
        try:
            return msgspec.json.decode((self.state / "enrolment.json").read_bytes(), type=Asked)
        except (OSError, *UNDECODABLE):
            return None

    def save_asked(self, asked: Asked) -> None:
        """Errors: OSError."""
        if asked != self.asked():
            write_atomic(self.state / "enrolment.json", msgspec.json.encode(asked))

    def forget_asked(self) -> None:
        """The code served, or never will. Errors: OSError."""
        if (path := self.state / "enrolment.json").exists():
            path.unlink()
            sync_directory(self.state)

    def trust(self, identity: Identity) -> TrustStore:
        """The pinned root, and every delegation seen so far that still verifies."""
        trust = TrustStore(unb64(identity.root_public_key))
        for line in (read_checked(self.state / "delegations") or b"").splitlines():
            try:
                trust.add_delegation(line)
            except ProtocolError as error:
                log.warning("a saved delegation was refused: %s", error.code)
        return trust

    def save_trust(self, trust: TrustStore) -> None:
        write_checked(self.state / "delegations", b"".join(x + b"\n" for x in trust.lines.values()))

    def policy(self, name: str = "policy") -> PolicyMessage | None:
        """Return the last good policy ("policy") or the one not yet proved ("policy-candidate")."""
        line = read_checked(self.state / name)
        if line is None:
            return None
        try:
            message = decode_feed(split_line(line)[2])
        except ProtocolError as error:
            log.warning("the saved %s was refused: %s", name, error.code)
            return None
        return message if isinstance(message, PolicyMessage) else None

    def save_policy(self, line: bytes, name: str = "policy") -> None:
        write_checked(self.state / name, line)

    def promote_candidate(self) -> None:
        """The policy of the enrolment proved itself."""
        line = read_checked(self.state / "policy-candidate")
        if line is not None:
            self.save_policy(line)
        (self.state / "policy-candidate").unlink(missing_ok=True)

    def _table_path(self, channel: str) -> Path:
        return self.state / "tables" / (channel.replace("/", "_") + ".state")

    def table(self, channel: str) -> DecisionTable:
        """Return the last saved table, the one before it if that is damaged, or an empty one."""
        path = self._table_path(channel)
        for candidate in (path, _previous(path)):
            try:
                table = DecisionTable.load(candidate.read_bytes())
                if table.channel != channel:
                    raise StateDamaged("another channel")
            except FileNotFoundError:
                continue
            except (OSError, ProtocolError) as error:
                log.warning("state of channel %s is unusable (%s)", channel, type(error).__name__)
                continue
            return table
        return DecisionTable(channel)

    def save_table(self, table: DecisionTable) -> None:
        write_atomic(self._table_path(table.channel), table.dump(), keep_previous=True)

    def time_floor(self) -> int:
        data = read_checked(self.state / "time-floor")
        self._floor = int(data) if data is not None and data.isdigit() else 0
        return self._floor

    def save_time_floor(self, floor: int) -> None:
        """Errors: OSError. A heartbeat moves it every few seconds; flash memory need not take each."""
        if floor - self._floor >= FLOOR_STEP_S:
            write_checked(self.state / "time-floor", str(floor).encode())
            self._floor = floor

    def centre_addresses(self) -> tuple[str, ...]:
        """Addresses at which the centre last answered: a start without DNS still finds it."""
        data = read_checked(self.state / "centre-addresses")
        return tuple(data.decode().split()) if data else ()

    def save_centre_addresses(self, addresses: tuple[str, ...]) -> None:
        if addresses != self.centre_addresses():
            write_checked(self.state / "centre-addresses", " ".join(addresses).encode())


def write_checked(path: Path, body: bytes) -> None:
    """Errors: OSError, old content kept."""
    write_atomic(path, _with_checksum(body), keep_previous=True)


def write_twin(path: Path, body: bytes) -> None:
    """Two copies of what is written once. Errors: OSError."""
    data = _with_checksum(body)
    write_atomic(_previous(path), data)
    write_atomic(path, data)


def read_twin(path: Path) -> bytes | None:
    """Return the content of a copy that is whole, and mend the other; None when neither is."""
    body = read_checked(path)
    if body is None:
        return None
    data = _with_checksum(body)
    for copy in (path, _previous(path)):
        try:
            if copy.exists() and copy.read_bytes() == data:
                continue
            write_atomic(copy, data)
        except OSError as error:
            log.warning("%s stays damaged: %s", copy.name, error.strerror)
    return body


def _with_checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _any_copy(path: Path) -> bool:
    return path.exists() or _previous(path).exists()


def read_checked(path: Path) -> bytes | None:
    """Return the last content that is whole, or None."""
    for candidate in (path, _previous(path)):
        try:
            digest, _, body = candidate.read_bytes().partition(b"\n")
        except OSError:
            continue
        if hashlib.sha256(body).hexdigest().encode() == digest:
            return body
        log.warning("%s is damaged", candidate.name)
    return None


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def write_atomic(path: Path, data: bytes, *, keep_previous: bool = False, mode: int = 0o600) -> None:
    """Write so that readers and power cuts see the old or the new content. Errors: OSError, old content kept.

    Links are not followed, neither as the directory nor in it: some belong to other users, who would choose what root
    overwrites."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        temporary = path.name + ".new"
        _remove(temporary, directory)  # left by a power cut, or laid there by a stranger
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=directory
        )
        try:
            try:
                os.fchmod(descriptor, mode)  # whatever the umask: other users read some of these files
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            _remove(temporary, directory)
            raise
        if keep_previous:
            with contextlib.suppress(FileNotFoundError):
                os.replace(path.name, _previous(path).name, src_dir_fd=directory, dst_dir_fd=directory)
        os.replace(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
    finally:
        os.close(directory)


def _remove(name: str, directory: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)


def sync_directory(path: Path) -> None:
    """Errors: OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def user_id(name: str) -> int:
    """Return the id of a system user that gets files from root, -1 where there is nothing to give."""
    if not name or os.geteuid() != 0:
        return -1
    import pwd  # noqa: PLC0415 - only where there are system users

    return pwd.getpwnam(name).pw_uid
