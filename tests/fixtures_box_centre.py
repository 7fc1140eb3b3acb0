"""A small real centre for boxes: HTTPS in a namespace, a signed feed, signed requests checked."""

from __future__ import annotations

import datetime
import hashlib
import queue
import secrets
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from beffroi_protocol.enrolment_code import EnrolmentCode
from beffroi_protocol.facts import Fact, FactBatch
from beffroi_protocol.indicators import Kind
from beffroi_protocol.lists import content as list_content
from beffroi_protocol.messages import (
    Ack,
    AckBatch,
    Batch,
    BulkList,
    EnrolAnswer,
    EnrolRequest,
    Entry,
    FeedMessage,
    Policy,
    PolicyMessage,
    Problem,
    Snapshot,
    SnapshotFile,
    decode,
    encode,
)
from beffroi_protocol.requests import BOX_HEADER, NONCE_HEADER, SIGNATURE_HEADER, verify_request
from beffroi_protocol.signing import (
    Signer,
    TrustStore,
    b64,
    delegate,
    payload_hash,
    public_bytes,
    split_line,
    unb64,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NAME = "boitiers.cotedor.fr"
BOX_ID, COLLECTIVITE = "box_1", "col_1"
BEAT_S = 0.7
DAY_S = 86400


@dataclass
class FeedCentre:
    """Holds one box's connection. ``ahead_s``: how far its clock, certificate included, runs before the machine's."""

    directory: Path
    ahead_s: int = 0
    box_key: bytes = b""
    code: EnrolmentCode | None = None
    confirmed: bool = False
    """The code that may enrol a box, and whether a person confirmed the box that came with it."""
    acks: list[Ack] = field(default_factory=list)
    policy_versions: list[int] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)
    refuse_with: int = 0
    epoch: int = 1
    policy: PolicyMessage | None = None
    packed_bytes: int = 0
    """Of compressed posts."""
    cut_after_bytes: int = 0
    cuts_left: int = 0
    """So many answers of a file end after so many bytes."""
    ends_in_a_line: bool = False
    """The next line of the feed ends in its middle, and the connection with it."""
    asked_from: list[int] = field(default_factory=list)
    """Where each request for a file began."""
    mail_token: Callable[[bytes], tuple[int, bytes]] | None = None
    """Answers a box's request for a token; returns status and body."""

    def __post_init__(self) -> None:
        self.root, self.feed = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.signer = Signer(self.feed)
        day = self.now() // DAY_S * DAY_S
        self.delegation = delegate(
            self.root, public_bytes(self.feed), serial=1, not_before=day - DAY_S, not_after=day + 30 * DAY_S
        )
        self.version, self.head = 0, ""
        self.entries: dict[str, Entry] = {}
        self.lists: dict[str, BulkList] = {}
        self.files: dict[str, bytes] = {}
        self.by_file = False
        self.overlay_version = 1
        self.log: list[tuple[int, str, bytes]] = []
        self.lines: queue.Queue[bytes] | None = None
        self.lock = threading.Lock()
        self.nonces: set[str] = set()
        self._servers: list[_Server] = []

    def now(self) -> int:
        return int(time.time()) + self.ahead_s

    def trust(self) -> TrustStore:
        trust = TrustStore(public_bytes(self.root))
        trust.add_delegation(self.delegation)
        return trust

    # -- what the centre says ----------------------------------------------------------------------------

    def publish(
        self,
        *added: Entry,
        removed: tuple[str, ...] = (),
        lists: tuple[BulkList, ...] = (),
        lists_removed: tuple[str, ...] = (),
    ) -> int:
        """Sign a batch, send it to who is connected, return its version."""
        with self.lock:
            batch = msgspec.structs.replace(
                self.batch(self.version + 1, added=added, removed=removed),
                lists=lists,
                lists_removed=lists_removed,
            )
            line = self.signer.line(batch)
            self.log.append((self.version, self.head, line))
            self.version, self.head = batch.to_version, payload_hash(split_line(line)[2])
            for one in removed:
                self.entries.pop(one, None)
            self.entries |= {one.id: one for one in added}
            for name in lists_removed:
                del self.lists[name]
            self.lists |= {one.name: one for one in lists}
            self._say(line)
            return self.version

    def bulk_list(self, name: str, kind: Kind, values: Iterable[str], *, expires_at: int = 0) -> BulkList:
        """Make a list and its file; ``publish`` announces it."""
        plain = list_content(values)
        digest = hashlib.sha256(plain).hexdigest()
        self.files[digest] = zlib.compress(plain)
        return BulkList(name, kind, digest, len(plain), plain.count(b"\n"), expires_at=expires_at)

    def batch(self, to: int, *, added: tuple[Entry, ...] = (), removed: tuple[str, ...] = ()) -> Batch:
        now = self.now()
        return Batch(
            1, "box", self.epoch, self.version, to, now, now + DAY_S, self.head, added, tuple(removed)
        )

    def overlay(self, *entries: Entry) -> bytes:
        """A signed snapshot of what holds for this collectivité alone."""
        self.overlay_version += 1
        return self._snapshot(f"box@{COLLECTIVITE}", self.overlay_version, "h", entries)

    def set_policy(self, policy: Policy) -> int:
        version = self.policy.policy_version + 1 if self.policy else 1
        self.policy = PolicyMessage(1, COLLECTIVITE, version, self.now(), policy)
        self._say(self.signer.line(self.policy))
        return version

    def say(self, line: bytes) -> None:
        """Send whatever the test made, signed or not."""
        with self.lock:
            self._say(line)

    def _say(self, line: bytes) -> None:
        if self.lines is not None:
            self.lines.put(line)

    def enforced(self, version: int) -> bool:
        return any(a.channel == "box" and a.version >= version for a in self.acks)

    def first_lines(self, since: str) -> list[bytes]:
        lines = [self.delegation]
        if self.policy is not None:
            lines.append(self.signer.line(self.policy))
        for part in since.split(","):
            channel, epoch, version, head = part.split(":")
            if channel != "box":
                if version == "0":
                    lines.append(self._snapshot(channel, 1, "h", ()))
                continue
            at = (int(version), head)
            known = [n for n, step in enumerate(self.log) if step[:2] == at]
            if int(epoch) == self.epoch and (at == (self.version, self.head) or known):
                lines += [line for _, _, line in self.log[known[0] :]] if known else []
                continue
            lines.append(self._snapshot("box", self.version, self.head, tuple(self.entries.values())))
        return lines

    def _snapshot(self, channel: str, version: int, head: str, entries: tuple[Entry, ...]) -> bytes:
        now = self.now()
        announced = tuple(self.lists.values()) if channel == "box" else ()
        message: FeedMessage = Snapshot(
            1, channel, self.epoch, version, now, now + DAY_S, head, tuple(entries), announced
        )
        if self.by_file and channel == "box":
            # One file serves for long.
            payload = encode(msgspec.structs.replace(message, issued_at=1, valid_until=1))
            digest = hashlib.sha256(payload).hexdigest()
            self.files[digest] = zlib.compress(payload)
            message = SnapshotFile(1, channel, self.epoch, version, now, now + DAY_S, digest, len(payload))
        return self.signer.line(message)

    def enrol(self, request: EnrolRequest) -> EnrolAnswer | Problem:
        if self.code is None or request.code != self.code.locator:
            return Problem("box.enrol_refused", "")
        root = b64(public_bytes(self.root))
        if not self.confirmed:
            return EnrolAnswer(1, "pending", root_public_key=root)
        assert self.policy is not None
        self.box_key = unb64(request.public_key)
        policy = self.signer.line(self.policy).decode()
        return EnrolAnswer(
            1, "active", BOX_ID, COLLECTIVITE, "Beaune", root, (self.delegation.decode(),), policy
        )

    # -- its server --------------------------------------------------------------------------------------

    def serve(self, listening: socket) -> None:
        server = _Server(listening, self)
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def certificate(self) -> tuple[Path, Path]:
        """Write (authority, key): one self-signed certificate whose dates are this centre's own."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        now = datetime.datetime.fromtimestamp(self.now(), datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        paths = self.directory / "centre.pem", self.directory / "centre.key"
        paths[0].write_bytes(made.public_bytes(Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return paths


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True

    def __init__(self, listening: socket, centre: FeedCentre) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.centre = centre
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(*centre.certificate())

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake is made in the connection's own thread: a silent peer holds up nobody."""
        request.settimeout(10)
        try:
            with self.tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except OSError:
            pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Boxes are killed and cut here; that is no error of the centre."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, status: int, message: object) -> None:
        body = message if isinstance(message, bytes) else msgspec.json.encode(message)
        nonce = secrets.token_hex(8)
        self.server.centre.nonces.add(nonce)
        self.send_response(status)
        self.send_header(NONCE_HEADER, nonce)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Encoding", "deflate")
        self.end_headers()
        self.wfile.write(body)

    def _signed(self, body: bytes) -> bool:
        centre = self.server.centre
        names = (BOX_HEADER, NONCE_HEADER, SIGNATURE_HEADER)
        headers = {name: self.headers.get(name, "") for name in names}
        fresh = headers[NONCE_HEADER] in centre.nonces
        centre.nonces.discard(headers[NONCE_HEADER])
        if not fresh:
            self._answer(401, Problem("request.nonce_refused", ""))
            return False
        verify_request(centre.box_key, headers, method=self.command, path=self.path, body=body)
        return True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/v1/nonce":
            self._answer(200, {"ok": True})
            return
        if not self._signed(b""):
            return
        self._file(parts.path.removeprefix("/v1/files/"))

    def _feed(self, since: str) -> None:
        centre = self.server.centre
        lines: queue.Queue[bytes] = queue.Queue()
        with centre.lock:
            for line in centre.first_lines(since):
                lines.put(line)
            centre.lines = lines
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        said = threading.Thread(target=self._acknowledged, daemon=True)
        said.start()
        while said.is_alive():
            try:
                line = lines.get(timeout=BEAT_S)
            except queue.Empty:
                with centre.lock:
                    line = centre.signer.line(centre.batch(centre.version))
                    if not lines.empty():
                        continue  # a batch came meanwhile: its place is before this heartbeat
            if centre.ends_in_a_line:
                centre.ends_in_a_line = False
                self.wfile.write(b"%x\r\n%s" % (len(line) + 1, line[:20]))
                self.connection.shutdown(SHUT_RDWR)
                return
            self.wfile.write(b"%x\r\n%s\n\r\n" % (len(line) + 1, line))

    def _acknowledged(self) -> None:
        """What the box says meanwhile, until a line that the test has refused, or the end."""
        centre = self.server.centre
        try:
            while size := int(self.rfile.readline(), 16):
                line = self.rfile.read(size + 2).strip()
                if centre.refuse_with:
                    return
                if line:
                    batch = decode(line, AckBatch)
                    centre.acks += batch.acks
                    centre.policy_versions.append(batch.policy_version)
        except (OSError, ValueError):
            pass

    def _file(self, digest: str) -> None:
        centre = self.server.centre
        packed = centre.files.get(digest)
        if packed is None:
            self._answer(404, Problem("not_found", ""))
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        centre.asked_from.append(start)
        if start >= len(packed):
            self._answer(416, Problem("range", ""))
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(packed) - start))
        self.end_headers()
        end = start + centre.cut_after_bytes if centre.cuts_left else len(packed)
        centre.cuts_left = max(0, centre.cuts_left - 1)
        self.wfile.write(packed[start:end])
        self.close_connection = end < len(packed)

    def do_POST(self) -> None:
        centre = self.server.centre
        parts = urlsplit(self.path)
        if parts.path == "/v1/feed":
            if self._signed(b""):
                self._feed(parse_qs(parts.query)["since"][0])
                self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/enrol":
            answer = centre.enrol(decode(body, EnrolRequest))
            self._answer(403 if isinstance(answer, Problem) else 200, answer)
            return
        if self.path == "/v1/mail-token" and centre.mail_token is not None:
            self._answer(*centre.mail_token(body))
            return
        if not self._signed(body):
            return
        if "Content-Encoding" in self.headers:
            centre.packed_bytes += len(body)
            body = zlib.decompress(body)
        if centre.refuse_with:
            self._answer(centre.refuse_with, Problem("request.too_many", "", True))
            return
        centre.facts |= {fact.id: fact for fact in decode(body, FactBatch).facts}
        self._answer(200, {"ok": True})
