"""Clients of files that people really have, on the real drive: litmus, curl, rclone, cadaver, davfs2 where FUSE is."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drive_asking import HOME
from tests.drive_server import PASSWORD, Served
from tests.waiting import PATIENCE_S, until

pytest_plugins = ["tests.fixtures_drive_dav"]

RCLONE = Path(sys.executable).with_name("rclone")
LITMUS = {"basic": 16, "copymove": 13, "props": 30, "locks": 41, "http": 4}
needs_fuse = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/fuse").exists() or shutil.which("mount.davfs") is None,
    reason="davfs2 needs root and FUSE",
)


@pytest.mark.skipif(shutil.which("litmus") is None, reason="needs litmus")
@pytest.mark.parametrize("base", [HOME, "/remote.php/webdav", "/dav"])
def test_litmus_passes_in_every_section(drive: Served, base: str, tmp_path: Path) -> None:
    found = subprocess.run(
        ("litmus", "-k", f"{drive.url}{base}/", "alice", PASSWORD),
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    passed = dict(re.findall(r"summary for `(\w+)': of \d+ tests run: (\d+) passed, 0 failed", found.stdout))
    assert {name: int(count) for name, count in passed.items()} == LITMUS, found.stdout


def rclone(drive: Served, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(drive.directory),
        "RCLONE_CONFIG_D_TYPE": "webdav",
        "RCLONE_CONFIG_D_URL": f"{drive.url}{HOME}",
        "RCLONE_CONFIG_D_VENDOR": "nextcloud",
        "RCLONE_CONFIG_D_USER": "alice",
        "RCLONE_CONFIG_D_PASS": subprocess.run(
            (RCLONE, "obscure", PASSWORD), capture_output=True, text=True, check=True
        ).stdout.strip(),
    }
    command = (
        str(RCLONE),
        "--config",
        "",
        "--webdav-pacer-min-sleep",
        "0",
        "--transfers",
        "4",
        *arguments,
    )
    found = subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert found.returncode == 0, found.stderr
    return found.stderr


def made(folder: Path) -> Path:
    """Files of all kinds of sizes and names, and an empty one."""
    noise = random.Random(7)
    for number, size in enumerate((0, 1, 100, 65_536, 65_537, 300_000, 5_000_000)):
        below = folder / f"dossier n° {number % 3}" / "été & hiver"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"fichier (copie) {number} % #1.bin").write_bytes(noise.randbytes(size))
        os.utime(below / f"fichier (copie) {number} % #1.bin", (1_500_000_000 + number,) * 2)
    return folder


def test_rclone_copies_both_ways_checks_and_syncs(drive: Served, tmp_path: Path) -> None:
    source, back = made(tmp_path / "source"), tmp_path / "back"
    rclone(drive, "copy", str(source), "d:rclone")
    rclone(drive, "check", str(source), "d:rclone")
    rclone(drive, "check", "--download", str(source), "d:rclone")
    rclone(drive, "copy", "d:rclone", str(back))
    kept = {
        path.relative_to(source): (path.read_bytes(), path.stat().st_mtime) for path in source.rglob("*.bin")
    }
    assert {
        path.relative_to(back): (path.read_bytes(), path.stat().st_mtime) for path in back.rglob("*.bin")
    } == kept
    next(source.rglob("*3 % #1.bin")).unlink()
    assert "Deleted" in rclone(drive, "sync", "-v", str(source), "d:rclone")
    rclone(drive, "moveto", "d:rclone/dossier n° 0", "d:rclone/déplacé")
    rclone(drive, "purge", "d:rclone")


def test_curl_sends_and_fetches_in_parts(drive: Served, tmp_path: Path) -> None:
    body = random.Random(8).randbytes(3_000_000)
    (tmp_path / "body").write_bytes(body)
    url = f"{drive.url}{HOME}/curl.bin"
    curl = ("curl", "-sS", "--fail", "--max-time", "30", "-u", f"alice:{PASSWORD}")
    subprocess.run((*curl, "-T", tmp_path / "body", url), check=True)
    subprocess.run(
        (*curl, "-H", "Transfer-Encoding: chunked", "-T", tmp_path / "body", f"{url}.2"), check=True
    )
    got = subprocess.run((*curl, "-r", "1000000-1999999", url), check=True, capture_output=True).stdout
    got += subprocess.run((*curl, "-r", "2000000-", f"{url}.2"), check=True, capture_output=True).stdout
    assert got == body[1_000_000:]


def cadaver(drive: Served, home: Path, *commands: str) -> str:
    host = drive.url.removeprefix("http://").partition(":")[0]
    (home / ".netrc").write_text(f'machine {host}\nlogin alice\npassword "{PASSWORD}"\n')
    (home / ".netrc").chmod(0o600)
    found = subprocess.run(
        ("cadaver", f"{drive.url}/dav/Commune/"),
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"},
        cwd=home,
        input="\n".join((*commands, "quit", "")),
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE_S,
    )
    return found.stdout + found.stderr


@pytest.mark.skipif(shutil.which("cadaver") is None, reason="needs cadaver")
def test_cadaver_locks_keeps_properties_and_takes_its_lock_up_again(drive: Served, tmp_path: Path) -> None:
    (tmp_path / "lettre.txt").write_text("Bonjour")
    (tmp_path / "été & hiver.txt").write_text("Été")
    said = cadaver(
        drive,
        tmp_path,
        "mkcol cadaver",
        "cd cadaver",
        "mput lettre.txt 'été & hiver.txt'",
        "lock lettre.txt",
        "propset lettre.txt auteur Claire",
        "showlocks",
    )
    assert "failed" not in said and said.count("succeeded") == 5, said
    token = re.findall(r"<(urn:uuid:[0-9a-f-]+)>", said)[0]
    at = "/dav/Commune/cadaver/lettre.txt"
    assert drive.ask("PUT", at, b"x", "amir")[0] == drive.ask("DELETE", at, login="amir")[0] == 423
    (tmp_path / "lettre.txt").write_text("Au revoir")
    (tmp_path / "été & hiver.txt").unlink()
    said = cadaver(
        drive,
        tmp_path,
        "cd cadaver",
        "steal lettre.txt",
        "put lettre.txt",
        "propget lettre.txt auteur",
        "unlock lettre.txt",
        token,  # which it asks for: of what it took up it knows no address of a server
        "mget 'été & hiver.txt'",
        "delete 'été & hiver.txt'",
    )
    assert "failed" not in said and "Value of auteur is: Claire" in said, said
    assert (tmp_path / "été & hiver.txt").read_text() == "Été"
    assert drive.ask("PUT", at, b"x", "amir")[0] == 204
    assert "failed" not in cadaver(drive, tmp_path, "rmcol cadaver")


@pytest.fixture
def mounted(drive: Served, tmp_path: Path) -> Iterator[Path]:
    place, secrets, conf = tmp_path / "mount", tmp_path / "secrets", tmp_path / "davfs2.conf"
    place.mkdir()
    conf.write_text(f"secrets {secrets}\nask_auth 0\nuse_locks 1\ndelay_upload 0\nbuf_size 64\n")
    secrets.write_text(f'"{drive.url}/dav" alice "{PASSWORD}"\n')
    secrets.chmod(0o600)
    command = ("mount.davfs", "-o", f"conf={conf}", f"{drive.url}/dav", place)
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    if found.returncode:
        pytest.skip(f"this kernel mounts no FUSE: {found.stderr.strip().splitlines()[-1:]}")
    try:
        yield place
    finally:
        subprocess.run(("umount", place), check=True, timeout=PATIENCE_S, capture_output=True)


@needs_fuse
def test_a_mount_reads_and_writes_as_a_folder(drive: Served, mounted: Path) -> None:
    """With ``buf_size 64``: a kernel as new as 6.18 reads folders by 32 KiB, which the usual 16 KiB do not hold."""
    assert drive.ask("MKCOL", "/dav/Commune/long")[0] == 201
    names = {f"a long name of a file {number:04d}" for number in range(600)}
    for name in names:
        assert drive.ask("PUT", f"/dav/Commune/long/{name.replace(' ', '%20')}", b"x")[0] == 201
    assert (mounted / "Commune").is_dir() and mounted / "Commune" in mounted.iterdir()
    assert {one.name for one in (mounted / "Commune" / "long").iterdir()} == names
    folder = mounted / "monté"
    folder.mkdir()
    body = random.Random(9).randbytes(700_000)
    (folder / "a b.bin").write_bytes(body)
    (folder / "a b.bin").rename(folder / "c.bin")
    assert ((folder / "c.bin").read_bytes(), (folder / "a b.bin").exists()) == (body, False)
    (folder / "d.txt").write_text("un")
    (folder / "d.txt").unlink()
    assert [one.name for one in folder.iterdir()] == ["c.bin"]
    until(lambda: drive.ask("GET", "/dav/mont%C3%A9/c.bin")[2] == body, "the file is sent")
    until(lambda: drive.ask("GET", "/dav/mont%C3%A9/d.txt")[0] == 404, "the other one is deleted")
