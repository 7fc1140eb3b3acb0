"""Attacks on files: a PC of a town hall encrypts what lies in the Coffre, and brings in a program that is known as bad.

Process: the laboratory's own; every change is a real request of a WebDAV client, from the town hall's LAN.
Source:  docs/internals/lab.md; docs/internals/ransomware.md.
"""

from __future__ import annotations

import base64
import hashlib
import io
import random
import secrets
import struct
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from beffroi.scan import rules, wire

from beffroi_lab import plan as plans
from beffroi_lab.attack_steps import Answer, Outcome, Stage
from beffroi_lab.centre import PORTAL, PORTAL_PORT
from beffroi_lab.doors import now_ms
from beffroi_lab.plan import CommunePlan
from beffroi_lab.report import percentiles
from beffroi_lab.running import wait_until
from beffroi_lab.topology import PATIENCE_S, LabFailed

FOLDERS = 6
PAUSE_S = 0.2
"""Between two files that are encrypted: five a second."""
MOST_LOST = 8
WORDS = (
    "la",
    "commune",
    "conseil",
    "municipal",
    "délibération",
    "vote",
    "budget",
    "voirie",
    "école",
    "arrêté",
)
INCIDENT_WORDS = "rançongiciel"
MALWARE_WORDS = "le fichier est un logiciel malveillant connu"
Files = dict[str, bytes]


@dataclass(frozen=True)
class Device:
    """A program of a person's that has an app password for files."""

    stage: Stage
    commune: CommunePlan
    login: str
    secret: str

    def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """One request of WebDAV in the collectivité's folder."""
        credentials = base64.b64encode(f"{self.login}:{self.secret}".encode()).decode()
        found: Answer = self.stage.lan(self.commune).ask(
            "https",
            host=PORTAL,
            address=plans.CENTRE.v4,
            port=PORTAL_PORT,
            method=method,
            path=f"/dav/Commune/{path}",
            body64=base64.b64encode(body).decode(),
            headers={"Authorization": f"Basic {credentials}"},
            timeout_s=20,
        )
        return found


def device(stage: Stage, commune: CommunePlan, person: int) -> Device:
    login = commune.people[person].email
    made = stage.world.centre.ask("app_passwords", emails=[login], protocol_set="dav")["secrets"]
    one = Device(stage, commune, login, made[login])
    # The projection that lets it in is written after the commit.
    wait_until(lambda: one.ask("PROPFIND", "")["status"] == 207, PATIENCE_S, 0.1)
    return one


def encrypt_files(stage: Stage) -> Outcome:
    """Errors: LabFailed."""
    report, outcome, commune = stage.report, Outcome(), stage.communes[0]
    colleague, infected = device(stage, commune, 2), device(stage, commune, 0)
    files = town_hall()
    for folder in sorted({path.partition("/")[0] for path in files}):
        colleague.ask("MKCOL", folder)
    written = [colleague.ask("PUT", path, data)["status"] for path, data in files.items()]
    report.prove("files_written", set(written) == {201}, f"the Coffre did not take the files: {set(written)}")
    order = sorted(files, key=lambda path: hashlib.sha256(path.encode()).digest())
    report.tell(f"a PC of {commune.name} encrypts the {len(files)} files of a colleague, five a second")
    began_ms = now_ms()
    lost = 0
    for path in order:
        status = infected.ask("PUT", path, secrets.token_bytes(len(files[path])))["status"]
        if status not in (201, 204):
            break
        lost += 1
        time.sleep(PAUSE_S)
    outcome.seen_ms = now_ms() - began_ms
    outcome.decided_by = "the structure that files lost"
    refused = {method: infected.ask(method, "")["status"] for method in ("PROPFIND", "GET", "DELETE")}
    others = colleague.ask("PUT", "suite.txt", b"on continue")["status"]
    stopped = set(refused.values()) <= {401, 403} and lost <= MOST_LOST
    outcome.refused = {"seen": stopped, "files": len(files), "lost": lost, "colleague": others}
    report.prove("encryptor_stopped", stopped and others == 201, f"not stopped: {outcome.refused}, {refused}")
    report.tell(f"the device is refused after {lost} files, its colleague is not")
    wait_until(lambda: bool(stage.incident_that_says(INCIDENT_WORDS)), PATIENCE_S, 0.5)
    outcome.explained = stage.incident_that_says(INCIDENT_WORDS)
    report.prove("encryptor_explained", bool(outcome.explained), "no incident says what happened")
    done = stage.world.centre.ask("take_back_files", domain=commune.domain)
    back = [path for path, data in files.items() if _same(colleague.ask("GET", path), data)]
    outcome.undone = bool(done["ok"]) and len(back) == len(files)
    report.prove("files_back", outcome.undone, f"{len(back)} of {len(files)} files are as before: {done}")
    report.tell(f"one action: all {len(back)} files are as before")
    return outcome


def bring_malware(stage: Stage) -> Outcome:
    """A file that lay in one commune before anybody knew it is found in another one. Errors: LabFailed."""
    report, outcome = stage.report, Outcome()
    here, *others = (device(stage, commune, 0) for commune in stage.communes)
    mark = secrets.token_hex(16)
    body = b"MZ" + mark.encode() + secrets.token_bytes(4000)
    sha256 = hashlib.sha256(body).hexdigest()
    lying = [one.ask("PUT", "ancien.exe", body)["status"] for one in others]
    report.prove("malware_lies", set(lying) == {201}, f"it could not be stored before: {lying}")
    _know(stage, f'rule Laboratoire {{ strings: $mark = "{mark}" condition: $mark }}')
    began_ms = now_ms()
    brought = here.ask("PUT", "nouveau.exe", body)["status"]
    report.tell(
        f"a PC of {here.commune.name} brings a program that a rule knows since now (status {brought})"
    )
    with ThreadPoolExecutor(len(others)) as pool:
        watched = [pool.submit(_until, one, body, taken=False) for one in others]
        decision = stage.decision_about(sha256, began_ms, PATIENCE_S)
        report.prove("malware_decided", decision is not None, "nothing was decided about the file")
        moments = [at for one in watched if (at := one.result())]
    if decision is None:
        return outcome
    outcome.decided_by = f"{decision['rule']}: {', '.join(decision['evidence']['detectors'])}"
    outcome.seen_ms = decision["activated_ms"] - began_ms
    outcome.block_ms = percentiles(max(0, at - decision["activated_ms"]) for at in moments)
    wait_until(lambda: all(one.ask("GET", "ancien.exe")["status"] == 403 for one in others), PATIENCE_S, 0.05)
    frozen = [one.ask("GET", "ancien.exe")["status"] for one in others]
    innocent = [one.ask("PUT", "lettre.txt", b"Madame, Monsieur")["status"] for one in others]
    complete = len(moments) == len(others) and set(frozen) == {403} and set(innocent) <= {201, 204}
    outcome.refused = {"seen": complete, "frozen": frozen, "innocent": innocent}
    report.prove("malware_refused", complete, f"not refused everywhere: {outcome.refused}, {moments}")
    report.tell(
        f"{outcome.block_ms['max']} ms after the decision the last commune refuses it; what lay there is frozen"
    )
    outcome.explained = stage.explained(f"/decisions/{decision['campaign_id']}/", MALWARE_WORDS)
    report.prove("malware_explained", bool(outcome.explained), "the page of the decision does not say why")
    stage.undo_by_page(decision["campaign_id"])
    again = [_until(one, body, taken=True) for one in others]
    wait_until(lambda: all(_same(one.ask("GET", "ancien.exe"), body) for one in others), PATIENCE_S, 0.1)
    outcome.undone = all(again) and all(_same(one.ask("GET", "ancien.exe"), body) for one in others)
    report.prove("malware_undone", outcome.undone, "after Annuler it is still refused or frozen")
    report.tell("Annuler on the page: the others store and open it again")
    return outcome


def _know(stage: Stage, rule: str) -> None:
    """Put a rule of the operator's into force. Errors: LabFailed."""
    state = stage.world.centre.state
    socket = wire.socket_path(state)
    before = wire.ask(socket, wire.VERSION)
    (rules.directory(state) / "laboratoire.yar").write_text(rule, "utf-8")
    if not wait_until(lambda: wire.ask(socket, wire.VERSION) != before, PATIENCE_S, 0.2):
        raise LabFailed("the rule is not in force")


def _until(one: Device, body: bytes, *, taken: bool) -> int:
    """Store it again and again until it is taken, or refused; when that try began (epoch ms), 0 for never."""
    deadline = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < deadline:
        began_ms = now_ms()
        if (one.ask("PUT", "copie.exe", body)["status"] in (201, 204)) is taken:
            return began_ms
    return 0


def _same(answer: Answer, data: bytes) -> bool:
    return bool(answer["status"] == 200 and answer["sha256"] == hashlib.sha256(data).hexdigest())


def town_hall() -> Files:
    """Ordinary files of a town hall, by their path; the same ones each time."""
    kinds = {"docx": _document, "csv": _table, "html": _page, "png": _picture, "txt": _letter}
    return {
        f"dossier{folder}/piece{number}.{kind}": make(random.Random(folder * 100 + number))
        for folder in range(FOLDERS)
        for number, (kind, make) in enumerate(kinds.items())
    }


def _words(source: random.Random, count: int) -> str:
    return " ".join(source.choice(WORDS) for _ in range(count))


def _letter(source: random.Random) -> bytes:
    return "\n".join(_words(source, 12) for _ in range(60)).encode()


def _table(source: random.Random) -> bytes:
    return "\n".join(f"{n};{source.randrange(10_000)};{_words(source, 3)}" for n in range(200)).encode()


def _page(source: random.Random) -> bytes:
    text = "".join(f"<p>{_words(source, 20)}</p>\n" for _ in range(40))
    return f'<!DOCTYPE html>\n<html lang="fr"><body>\n{text}</body></html>\n'.encode()


def _document(source: random.Random) -> bytes:
    out = io.BytesIO()
    text = "".join(f"<w:p><w:r><w:t>{_words(source, 20)}</w:t></w:r></w:p>" for _ in range(80))
    name = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    kinds = "http://schemas.openxmlformats.org/package/2006/content-types"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", f'<?xml version="1.0"?><Types xmlns="{kinds}"/>')
        archive.writestr(
            "word/document.xml",
            f'<?xml version="1.0"?><w:document xmlns:w="{name}"><w:body>{text}</w:body></w:document>',
        )
    return out.getvalue()


def _picture(source: random.Random) -> bytes:
    width = height = 48
    rows = b"".join(b"\0" + source.randbytes(width * 3) for _ in range(height))

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
