"""The mail clients of `bench mail`: who sends from the internet, who reads, who idles, who fills a mailbox.

Process: in the internet's namespace one each for ``answer_names`` and ``send``, one in the datacenter's (the rest: by
         the portal's own listener, in IDLE by the public one; with short tokens: a password costs one SHA-256 more).
Fails:   an answer with ``ok`` false; ``failed`` counts what a server refused.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import resource
import smtplib
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import imapclient
from beffroi.lib.config import load
from beffroi.mail import tokens
from beffroi_lab import names
from beffroi_lab import plan as plans
from beffroi_lab.hands import serve

Answer = dict[str, Any]
FILL_AT_ONCE = 250
SENDERS = ("fournisseur.fr", *(f"fournisseur{n}.fr" for n in range(97)))
"""Of the envelope, and of the visible ones."""
_WORDS = (
    "mairie conseil délibération budget école voirie cantine travaux réunion courrier urbanisme permis construire "
    "subvention facture eau assainissement élection état civil cimetière fête association salle planning commission "
    "préfecture département région commune maire adjoint secrétaire dossier pièce jointe signature convocation"
)
_idle: list[imapclient.IMAPClient] = []


def letter(number: str, to: str, *, size_bytes: int, seed: int, link: str = "") -> bytes:
    """A plain business mail of about this size, the same for the same seed."""
    chance, words = random.Random(seed), _WORDS.split()
    lines = [" ".join(chance.choices(words, k=11)) for _ in range(max(1, size_bytes // 80))]
    subject = " ".join(chance.choices(words, k=5))
    return (
        f"From: Fournisseur {seed % 97} <contact@fournisseur{seed % 97}.fr>\r\nTo: {to}\r\n"
        f"Subject: =?utf-8?q?{'_'.join(subject.split()).encode('ascii', 'replace').decode()}_{seed}?=\r\n"
        f"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}@fournisseur.fr>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + "\r\n".join(lines)
        + (f"\r\n{link}\r\n" if link else "\r\n")
    ).encode()


def answer_names(zone: list[str]) -> Answer:
    """Serve these records at the address of the scenario's DNS, until this process ends."""
    names.serve(names.Zone(zone), plans.DNS)
    return {"ok": True}


def send(
    *,
    host: str,
    source: str,
    recipients: list[str],
    count: int,
    sessions: int,
    size_bytes: int,
    name: str,
    each: int = 1,
    link: str = "",
) -> Answer:
    """Send ``count`` mails over ``sessions`` connections, ``each`` recipients a mail. ``took_s``: to the last 250."""
    numbers, lock, failed = itertools.count(), threading.Lock(), 0

    def one_session(_: int) -> None:
        nonlocal failed
        with smtplib.SMTP(host, 25, "mail.fournisseur.fr", 60, (source, 0)) as smtp:
            smtp.ehlo()
            while (number := next(numbers)) < count:
                to = [recipients[(number * each + i) % len(recipients)] for i in range(each)]
                data = letter(f"{name}-{number}", to[0], size_bytes=size_bytes, seed=number, link=link)
                try:
                    refused = smtp.sendmail("contact@fournisseur.fr", to, data, ["BODY=8BITMIME"])
                except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
                    refused = dict.fromkeys(to, (0, b""))
                with lock:
                    failed += len(refused)

    began = time.monotonic()
    with ThreadPoolExecutor(sessions) as pool:
        list(pool.map(one_session, range(sessions)))
    return {"ok": not failed, "took_s": time.monotonic() - began, "failed": failed}


def _open(address: str, *, tls: bool = False) -> imapclient.IMAPClient:
    config = load()
    if tls:
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        client = imapclient.IMAPClient(
            "127.0.0.1", config.imaps_port, ssl=True, ssl_context=anyone, timeout=120
        )
    else:
        client = imapclient.IMAPClient("127.0.0.1", config.imap_local_port, ssl=False, timeout=120)
    client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the portal (mail/reader.py)
    client.oauthbearer_login(address, tokens.mailbox_token(config, address))
    return client


def read(addresses: list[str], count: int, sessions: int) -> Answer:
    """Sign in, open the inbox, fetch its newest mail, leave; ``count`` times."""

    def once(number: int) -> float:
        began = time.monotonic()
        client = _open(addresses[number % len(addresses)])
        uids = client.search("ALL") if client.select_folder("INBOX", readonly=True) else []
        if uids:
            client.fetch(uids[-1:], ["BODY.PEEK[]"])
        client.logout()
        return time.monotonic() - began

    began = time.monotonic()
    with ThreadPoolExecutor(sessions) as pool:
        times = sorted(pool.map(once, range(count)))
    return {"ok": True, "took_s": time.monotonic() - began, "p50_s": times[count // 2]}


def idle(addresses: list[str]) -> Answer:
    """Hold one connection in IDLE for each address, encrypted as phones have it, until ``leave``."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))

    def hold(address: str) -> imapclient.IMAPClient:
        client = _open(address, tls=True)
        client.select_folder("INBOX", readonly=True)
        client.idle()
        return client

    with ThreadPoolExecutor(8) as pool:
        _idle.extend(pool.map(hold, addresses))
    return {"ok": True, "held": len(_idle)}


def leave() -> Answer:
    """End the connections in IDLE; how many of them were still alive."""
    alive = 0
    for client in _idle:
        with contextlib.suppress(OSError, imapclient.exceptions.IMAPClientError):
            client.idle_done()
            client.logout()
            alive += 1
    _idle.clear()
    return {"ok": True, "alive": alive}


def fill(address: str, first: int, count: int, size_bytes: int) -> Answer:
    """Append ``count`` mails to the inbox."""
    client = _open(address)
    for start in range(first, first + count, FILL_AT_ONCE):
        numbers = range(start, min(start + FILL_AT_ONCE, first + count))
        client.multiappend(
            "INBOX", [letter(f"fill-{n}", address, size_bytes=size_bytes, seed=n) for n in numbers]
        )
    held = client.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"]
    client.logout()
    return {"ok": True, "held": held}


def settled(address: str, word: str) -> Answer:
    """Ask the index of words until it is up to date, which the first question brings about; Dovecot waits for it some
    twenty seconds at a time."""
    client = _open(address)
    client.select_folder("INBOX", readonly=True)
    while True:
        try:
            found = client.search(["TEXT", word])
            break
        except imapclient.exceptions.IMAPClientError as error:
            if "[INUSE]" not in str(error):
                raise
    client.logout()
    return {"ok": True, "found": len(found)}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        deeds = (answer_names, send, read, idle, leave, fill, settled)
        serve({deed.__name__: deed for deed in deeds})
