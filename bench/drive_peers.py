"""The servers of `bench drive`: ours, and file servers that registries offer, each on a loopback port of its own.

Peers:   Apache mod_dav (Debian's apache2-bin), also on a file system that is mounted sync, so that a second one is as
         durable as we are; rclone serve webdav; copyparty and WsgiDAV (PyPI, in an environment of their own by
         ``drive-peers.lock``). Each is configured as it ships, with Basic, on the same disk.
Process: any user; the file system mounted sync needs root. Everything lies in the given directory.
Fails:   Absent, with the reason: the peer's column stays empty.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from beffroi.drive import projections
from beffroi.drive.store import tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.model import Act, Content, InlineChunk
from beffroi.drive.store.writing import Writing
from beffroi.drive.views import View
from beffroi.drive.who import Who
from beffroi.lib import ids
from beffroi.lib.config import STATE_VARIABLE, Config
from blake3 import blake3

ROOT = Path(__file__).parents[1]
LOCK = Path(__file__).with_name("drive-peers.lock")
LOGIN, PASSWORD = "bench", secrets.token_hex(16)
BASIC = "Basic " + base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()
START_LIMIT_S, END_LIMIT_S = 60.0, 20.0
QUIET_S, QUIET_LIMIT_S = 0.3, 120.0
SYNC_DISK_BYTES = 6 << 30
FILL_A_CHANGE = 500
APACHE_MODULES = (
    *("mpm_event", "dav", "dav_fs", "dav_lock"),
    *("authn_core", "authn_file", "authz_core", "authz_user", "auth_basic"),
)
MODULES = "/usr/lib/apache2/modules"
APACHE_USER = "www-data"
PLAIN = "plain files, no fsync"


class Absent(Exception):
    """A peer that cannot run here; its text says why."""


@dataclass(frozen=True)
class Server:
    """``base``: path of the root. ``durability``: what its answer to a PUT promises. ``pids``: of its processes, but
    for those that these start. ``is_slow``: a large file takes it minutes."""

    name: str
    durability: str
    port: int
    base: str
    pids: tuple[int, ...]
    is_slow: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base}"

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> int:
        """Return the length of the answer's body, of which nothing is kept."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600, blocksize=1 << 20)
        room, length = memoryview(bytearray(1 << 20)), 0
        with contextlib.closing(line):
            line.request(method, self.base + path, body, {"Authorization": BASIC, **headers})  # type: ignore[arg-type]
            answer = line.getresponse()
            while got := answer.readinto(room):
                length += got
            assert answer.status < 300, (self.name, method, answer.status)
        return length

    def processes(self) -> list[int]:
        """Those, and all below them."""
        parents = {int(one.name): _parent(one) for one in Path("/proc").iterdir() if one.name.isdigit()}
        found = list(self.pids)
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def memory_mb(self) -> tuple[float, float]:
        """(now, at most) resident in all processes together; pages that several share count in each."""
        now = peak = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                said = dict(
                    line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                )
                now, peak = now + int(said["VmRSS"].split()[0]), peak + int(said["VmHWM"].split()[0])
        return now / 1024, peak / 1024

    def rest(self) -> None:
        """Wait until it has done what it does after its answers, and the disk has what it has taken."""
        end, before = time.monotonic() + QUIET_LIMIT_S, -1.0
        while time.monotonic() < end:
            spent = sum(_spent_ticks(pid) for pid in self.processes())
            if spent - before <= 1:  # hundredths of a second
                break
            before = spent
            time.sleep(QUIET_S)
        os.sync()


Kind = Callable[[Path, "Folders"], contextlib.AbstractContextManager[Server]]
Folders = dict[str, int]
"""Folders of so many files of one byte each, there before the server starts: how they came is not measured."""


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _spent_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _running(argv: list[str], log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as said:
        process = subprocess.Popen(argv, env=os.environ | more, cwd=ROOT, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _started(argv: list[str], log: Path, port: int, **more: str) -> Iterator[int]:
    """The identifier of a process that listens. Errors: Absent."""
    with _running(argv, log, **more) as process:
        end = time.monotonic() + START_LIMIT_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            if process.poll() is not None or time.monotonic() > end:
                raise Absent(f"did not start: {log.read_text('utf-8', 'replace')[-300:].strip()}")
            time.sleep(0.05)
        yield process.pid


def _files(directory: Path, folders: Folders) -> Path:
    files = directory / "files"
    for folder, count in folders.items():
        (files / folder).mkdir(parents=True)
        for number in range(count):
            (files / folder / f"{number:05}").write_bytes(b"x")
    files.mkdir(exist_ok=True)
    return files


# -- ours ----------------------------------------------------------------------------------------------------


def ours(directory: Path, folders: Folders) -> contextlib.AbstractContextManager[Server]:
    return serving(directory, functools.partial(_fill, folders=folders))


@contextlib.contextmanager
def serving(directory: Path, fill: Callable[[Path, Who], object]) -> Iterator[Server]:
    """``fill(directory of the drives, whose)``: called before it starts."""
    config = Config(state=directory)
    for name in ("run", "secrets", "drive"):
        (directory / name).mkdir(parents=True)
    for name in ("commune-master.key", "drive-grant.key"):
        (directory / "secrets" / name).write_text(secrets.token_hex(32))
    who = Who(
        ids.new_id("per"), ids.new_id("mem"), ids.new_id("col"), "agent", LOGIN, "Bench", ids.new_id("apw")
    )
    row = projections.Row(
        sha256=hashlib.sha256(PASSWORD.encode()).hexdigest(),
        app_password_id=who.app_password_id,
        person_id=who.person_id,
        membership_id=who.membership_id,
        collectivite_id=who.collectivite_id,
        role=who.role,
        login=LOGIN,
        display_name="Bench",
    )
    projections.put(config, (row.app_password_id,), lambda _: (row,))
    fill(directory / "drive", who)
    port = _free_port()
    argv, log = [sys.executable, "-m", "bench.drive_serve", str(port)], directory / "log"
    environment = {STATE_VARIABLE: str(directory)}
    with (
        _running([sys.executable, "-m", "beffroi.drive.sentry"], log, **environment) as sentry,
        _started(argv, log, port, **environment) as pid,
    ):
        durability = "on the disk, encrypted, versioned, judged"
        yield Server("ours", durability, port, "/remote.php/webdav", (pid, sentry.pid))


def _fill(directory: Path, who: Who, folders: Folders) -> None:
    # By the portal: no device's changes, which would be judged.
    act = Act(who.person_id, "", int(time.time()))

    def content(number: int) -> Content:
        name = blake3(number.to_bytes(8)).digest()
        sums = hashlib.sha1(b"x", usedforsecurity=False).hexdigest(), hashlib.sha256(b"x").hexdigest()
        return Content(1, *sums, Manifest((Chunk(name, 1),)).pack(), (InlineChunk(name, lambda: b"x"),))

    def some(writing: Writing, folder: int, start: int, end: int) -> None:
        for number in range(start, end):
            tree.put(writing, act, folder, f"{number:05}", content(number))

    with ThreadPoolExecutor(1) as pool, contextlib.closing(Communes(directory, pool)) as communes:
        database = communes.metadata(who.collectivite_id)
        home, _ = database.write(View(database, who).make_roots)
        for name, count in folders.items():
            folder = database.write(lambda w, name=name: tree.make_folder(w, act, home.id, name)).id  # type: ignore[misc]
            for start in range(0, count, FILL_A_CHANGE):
                end = min(start + FILL_A_CHANGE, count)
                database.write(lambda w, f=folder, s=start, e=end: some(w, f, s, e))  # type: ignore[misc]


# -- peers ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mod_dav(directory: Path, folders: Folders) -> Iterator[Server]:
    directory.mkdir(parents=True)
    with _apache("mod_dav", PLAIN, directory, _files(directory, folders)) as server:
        yield server


@contextlib.contextmanager
def mod_dav_sync(directory: Path, folders: Folders) -> Iterator[Server]:
    directory.mkdir(parents=True)
    if os.geteuid() != 0:
        raise Absent("mounting a file system needs root")
    disk, place = directory / "disk", directory / "mounted"
    place.mkdir()
    with disk.open("wb") as file:
        file.truncate(SYNC_DISK_BYTES)
    try:
        _done("mkfs.ext4", "-q", "-F", "-m", "0", str(disk))
        _done("mount", "-o", "loop", str(disk), str(place))
    except (OSError, subprocess.CalledProcessError) as error:
        raise Absent(f"no file system can be mounted here: {error}") from None
    try:
        files = _files(place, folders)
        _done("mount", "-o", "remount,sync", str(place))
        durability = "plain files, on the disk (ext4 mounted sync)"
        with _apache("mod_dav sync", durability, directory, files) as server:
            yield replace(server, is_slow=True)  # each 8 KiB are a flush of the disk
    finally:
        _done("umount", str(place))


@contextlib.contextmanager
def _apache(name: str, durability: str, directory: Path, files: Path) -> Iterator[Server]:
    program = shutil.which("apache2", path="/usr/sbin:/usr/bin")
    if program is None:
        raise Absent("not installed here (apache2-bin): ./beffroi bench --peers drive")
    port = _free_port()
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).digest()).decode()
    (directory / "people").write_text(f"{LOGIN}:{{SHA}}{digest}\n")
    (directory / "run").mkdir()
    loaded = [f"LoadModule {one}_module {MODULES}/mod_{one}.so" for one in APACHE_MODULES]
    if os.geteuid() == 0:
        loaded += [f"User {APACHE_USER}", f"Group {APACHE_USER}"]
        _done("chown", "-R", f"{APACHE_USER}:", str(files), str(directory / "run"))
    (directory / "apache.conf").write_text(
        "\n".join(
            (
                *loaded,
                f"ServerRoot {directory}",
                "ServerName localhost",
                f"Listen 127.0.0.1:{port}",
                f"PidFile {directory}/pid",
                f"DefaultRuntimeDir {directory}/run",
                f"ErrorLog {directory}/errors",
                f"DavLockDB {directory}/run/locks",
                f"DocumentRoot {files}",
                f"<Directory {files}>",
                "Dav On",
                "AuthType Basic",
                "AuthName bench",
                f"AuthUserFile {directory}/people",
                "Require valid-user",
                "</Directory>",
                "",
            )
        )
    )
    argv = [program, "-D", "FOREGROUND", "-f", str(directory / "apache.conf")]
    with _started(argv, directory / "log", port) as pid:
        yield Server(name, durability, port, "", (pid,))


@contextlib.contextmanager
def rclone(directory: Path, folders: Folders) -> Iterator[Server]:
    directory.mkdir(parents=True)
    port = _free_port()
    argv = [str(RCLONE), "--config", "", "serve", "webdav", str(_files(directory, folders))]
    argv += ["--addr", f"127.0.0.1:{port}", "--user", LOGIN, "--pass", PASSWORD]
    with _started(argv, directory / "log", port) as pid:
        yield Server("rclone", PLAIN, port, "", (pid,))


@contextlib.contextmanager
def copyparty(directory: Path, folders: Folders) -> Iterator[Server]:
    directory.mkdir(parents=True)
    port, files = _free_port(), _files(directory, folders)
    argv = [str(_environment() / "python"), "-m", "copyparty", "-i", "127.0.0.1", "-p", str(port), "--daw"]
    argv += ["-a", f"{LOGIN}:{PASSWORD}", "-v", f"{files}::A,{LOGIN}", "-q", "--no-ansi"]
    own = str(directory / "own")
    with _started(argv, directory / "log", port, XDG_CONFIG_HOME=own, HOME=own) as pid:
        yield Server("copyparty", PLAIN, port, "", (pid,))


@contextlib.contextmanager
def wsgidav(directory: Path, folders: Folders) -> Iterator[Server]:
    directory.mkdir(parents=True)
    port, files = _free_port(), _files(directory, folders)
    accounts = f'{{"*": {{"{LOGIN}": {{"password": "{PASSWORD}"}}}}}}'
    (directory / "wsgidav.json").write_text(
        f'{{"host": "127.0.0.1", "port": {port}, "provider_mapping": {{"/": "{files}"}}, "verbose": 1,'
        f' "http_authenticator": {{"accept_digest": false, "default_to_digest": false}},'
        f' "simple_dc": {{"user_mapping": {accounts}}}}}'
    )
    argv = [str(_environment() / "wsgidav"), "--config", str(directory / "wsgidav.json")]
    with _started(argv, directory / "log", port) as pid:
        yield Server("WsgiDAV", PLAIN, port, "", (pid,))


RCLONE = Path(sys.executable).with_name("rclone")
PEERS: dict[str, Kind] = {
    "mod_dav": mod_dav,
    "rclone": rclone,
    "copyparty": copyparty,
    "WsgiDAV": wsgidav,
    "mod_dav sync": mod_dav_sync,
}


def _environment() -> Path:
    """Where the programs of the peers from PyPI are; made at the first use. Errors: Absent."""
    place = ROOT / ".venv" / f"drive-peers-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    if not (place / "whole").exists():
        try:
            _done("/usr/bin/python3", "-m", "venv", "--clear", str(place))
            _done(str(place / "bin/pip"), "install", "-q", "--require-hashes", "-r", str(LOCK))
        except (OSError, subprocess.CalledProcessError) as error:
            raise Absent(f"its Python packages could not be installed: {error}") from None
        (place / "whole").touch()
    return place / "bin"


def _done(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
