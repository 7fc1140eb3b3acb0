"""An old provider: a second, private Dovecot with a certificate of its own authority, and the wire to it, which can
be cut. Needs root. Ports 22580-22583."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests import waiting
from tests.waiting import PATIENCE_S

HOST, OTHER_HOST = "localhost", "127.0.0.1"
PORT, STARTTLS_PORT, WIRE_PORT = 22580, 22581, 22582
USER, PASSWORD = "mairie.beaune@ancien.example", "été à Beaune 21"
MAIL_UID = 5000
FIRST_DAY_S = 1_600_000_000
"""When the oldest of the generated mails was received; each next one came 1,001 seconds later."""
_CONF = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
instance_name = old-provider
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
listen = 127.0.0.1
protocols = imap
ssl = required
ssl_server_cert_file = {home}/server.pem
ssl_server_key_file = {home}/server.key
mail_uid = {uid}
mail_gid = {uid}
first_valid_uid = {uid}
mail_driver = maildir
mail_path = {home}/mail
mailbox_list_utf8 = yes
maildir_stat_dirs = yes
auth_mechanisms = plain
passdb static {{
  password = {password}
}}
userdb static {{
  fields {{
    uid = {uid}
    gid = {uid}
    home = {home}
  }}
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Corbeille {{
    special_use = \\Trash
  }}
  mailbox Tout {{
    special_use = \\All
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {starttls}
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
"""


@dataclass
class Wire:
    """Passes bytes on to the provider until so many came back, then drops the connection, so often."""

    cut_after_bytes: int = 0
    cuts_left: int = 0
    connections: int = 0
    _server: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._server = socket.create_server((OTHER_HOST, WIRE_PORT))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)  # close alone would leave the waiting thread its port
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near = self._server.accept()[0]
                self.connections += 1
                far = socket.create_connection((OTHER_HOST, PORT))
                for pair, counts in (((near, far), False), ((far, near), True)):
                    threading.Thread(target=self._pass, args=(*pair, counts), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                if counts and self.cuts_left and passed > self.cut_after_bytes:
                    self.cuts_left -= 1
                    break
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@dataclass
class OldProvider:
    """``authority``: the file with the certificate of its authority."""

    home: Path
    server: subprocess.Popen[bytes]

    @property
    def authority(self) -> Path:
        return self.home / "ca.pem"

    def empty(self) -> None:
        for path in (self.home / "mail").iterdir() if (self.home / "mail").exists() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def fill(self, folders: Mapping[str, int], mail: Callable[[str, int], bytes] | None = None) -> None:
        """Put so many generated mails into each folder, as a maildir of old has them."""
        for name, count in folders.items():
            for number in range(count):
                data = (mail or generated)(name, number)
                self.put(name, number, data, at_s=received_s(number), flags=flags_of(number))
        self._own()

    def put(self, folder: str, number: int, data: bytes, *, at_s: int, flags: str = "") -> None:
        """One mail; ``_own`` must follow."""
        home = self.home / "mail" / ("" if folder == "INBOX" else "." + folder.replace("/", "."))
        for part in ("cur", "new", "tmp"):
            (home / part).mkdir(parents=True, exist_ok=True)
        path = home / "cur" / f"{at_s}.{number:06d}.old:2,{flags}"
        path.write_bytes(data)
        os.utime(path, (at_s, at_s))

    def arrive(self, number: int, data: bytes, *, at_s: int) -> None:
        """A new mail in the inbox."""
        self.put("INBOX", number, data, at_s=at_s)
        self._own()

    def _own(self) -> None:
        for path, directories, files in (self.home / "mail").walk():
            os.chown(path, MAIL_UID, MAIL_UID)
            for one in (*directories, *files):
                os.chown(path / one, MAIL_UID, MAIL_UID)


def received_s(number: int) -> int:
    return FIRST_DAY_S + number * 1001


def flags_of(number: int) -> str:
    """As maildir writes them: every second is seen, every third answered, every fifth flagged."""
    marks = (("F", number % 5 == 0), ("R", number % 3 == 0), ("S", number % 2 == 0))
    return "".join(letter for letter, is_set in marks if is_set)


def generated(folder: str, number: int) -> bytes:
    """A mail of its own content; every 50th has an attachment of 200 kB, every 97th no Message-ID."""
    name = f"{folder.encode().hex()}.{number}"
    message_id = "" if number % 97 == 96 else f"Message-ID: <{name}@ancien.example>\n"
    body = f"Courrier {number} du dossier.\n" + "La séance du conseil est ouverte.\n" * (5 + number % 40)
    if number % 50 == 49:
        body += ("QUJD" * 19 + "\n") * 2700
    return (
        f"From: expediteur{number % 31}@exemple.example\nTo: {USER}\nSubject: Objet {name}\n{message_id}"
        f"Date: Tue, 24 Nov 2020 10:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        f"Content-Transfer-Encoding: 8bit\n\n{body}"
    ).encode()


@contextmanager
def old_provider() -> Iterator[OldProvider]:
    home = Path(tempfile.mkdtemp(prefix="bfo-"))
    home.chmod(0o755)
    for name in ("run", "state", "mail"):
        (home / name).mkdir(mode=0o755)
    os.chown(home / "mail", MAIL_UID, MAIL_UID)
    os.chown(home, MAIL_UID, MAIL_UID)
    _certificates(home)
    conf = home / "dovecot.conf"
    conf.write_text(
        _CONF.format(home=home, uid=MAIL_UID, password=f'"{PASSWORD}"', port=PORT, starttls=STARTTLS_PORT)
    )
    with (home / "out").open("wb") as out:
        server = subprocess.Popen(["dovecot", "-F", "-c", str(conf)], stdout=out, stderr=out)
    try:
        waiting.until(lambda: _listens() or _ended(server, home), "the old provider listens")
        yield OldProvider(home, server)
    finally:
        server.terminate()
        server.wait(PATIENCE_S)
        shutil.rmtree(home, ignore_errors=True)


def _listens() -> bool:
    try:
        socket.create_connection((OTHER_HOST, PORT), 1).close()
    except OSError:
        return False
    return True


def _ended(server: subprocess.Popen[bytes], home: Path) -> bool:
    assert server.poll() is None, (home / "out").read_text()
    time.sleep(0.02)
    return False


def _certificates(home: Path) -> None:
    """An authority, and a certificate for ``HOST`` and no other name."""
    (home / "ext").write_text(
        f"subjectAltName=DNS:{HOST}\nbasicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\n"
    )
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for argv in (
        (*new, "-x509", "-days", "30", "-subj", "/CN=old authority", "-addext", "keyUsage=critical,keyCertSign",
         "-keyout", "ca.key", "-out", "ca.pem"),
        (*new, "-subj", "/CN=old", "-keyout", "server.key", "-out", "server.csr"),
        ("openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30",
         "-extfile", "ext", "-out", "server.pem"),
    ):  # fmt: skip
        subprocess.run(argv, cwd=home, check=True, capture_output=True)
