"""The process that holds the keys of the communes' certificates: ``python -m beffroi.mail.certificates.keeper``.

Purpose: asks for what is missing or due, installs what came when it is what was asked for, tells the pages.
Process: root without a capability, without network where the supervisor may: STATE/acme, STATE/tls/domains, HAProxy's
         admin socket. Keys are made here and leave only into STATE/tls/domains (0600).
Hostile: what ``acme`` brought and ``sources`` wants (another user's files): a chain must hold our key and our
         names, and names must be of three below the domain.
Fails:   closed: the certificate in force stays. A file that we did not put there is never replaced.
Source:  docs/decisions/0054-registrars-and-certificates.md.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from beffroi.lib import clock, durable, pem, programs
from beffroi.lib.config import Config
from beffroi.mail.certificates import door, health, places, rules
from beffroi.mail.certificates.places import Told

TURN_S = 5.0
log = logging.getLogger("beffroi.mail.certificates")


class Keeper:
    """Use: ``turn()`` again and again."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._folder = places.folder(state)
        # What the door may not have yet: all of ours at our start.
        self._to_load = set(places.installed(state).glob("*.pem"))

    def turn(self) -> None:
        """Everything that is due now. Errors: OSError."""
        health.took_turn(self._folder / "told")
        for path in list(self._to_load):
            self._load(path)
        # Who waits longest first, so that a few that fail never keep others back.
        wanted = sorted((self._folder / "wanted").iterdir(), key=lambda one: self._told(one.name).tried_at)
        # An order that nobody waits for would keep a place for ever.
        for path in (self._folder / "orders").glob("[!.]*"):
            if not (self._folder / "wanted" / path.name).exists():
                self._over(path.name)
        for path in wanted:
            listed = places.read(path).get("names")
            names = rules.names(path.name, listed) if isinstance(listed, list) else ()
            if names:
                self._one(path.name, names)

    def _told(self, domain: str) -> Told:
        return places.told(self._state, domain) or Told("waiting")

    def _one(self, domain: str, names: tuple[str, ...]) -> None:
        path, told = places.installed(self._state) / f"{domain}.pem", self._told(domain)
        if path.exists() and mark_of(path) not in (told.mark, told.former):
            self._tell_by_hand(domain, path, told)
            self._over(domain)
            return
        if not path.exists() and told.not_after:
            told = Told("waiting", code=told.code, failures=told.failures, tried_at=told.tried_at)
        order = places.read(self._folder / "orders" / domain)
        if order:
            self._hear(domain, order, told)
            return
        times = {"not_before": told.not_before, "not_after": told.not_after, "now": clock.epoch_s()}
        if not rules.due(told.names, names, domain=domain, **times):
            return
        # A try under a clock that was ahead keeps nothing back.
        if told.code and 0 <= clock.epoch_s() - told.tried_at < rules.wait_s(told.failures, told.code):
            return
        if len(list((self._folder / "orders").glob("[!.]*"))) < rules.MAX_OPEN:
            self._ask(domain, names, told)

    def _ask(self, domain: str, names: tuple[str, ...], told: Told) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        durable.write(self._key_path(domain), (pem.of_key(key),), mode=0o600)
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .add_extension(alternatives, critical=False)
            .sign(key, hashes.SHA256())
            .public_bytes(Encoding.PEM)
        )
        number = hashlib.sha256(request).hexdigest()[:20]
        places.tell(self._state, domain, replace(told, tried_at=clock.epoch_s()))
        places.write(
            self._folder / "orders" / domain,
            {"number": number, "csr": request.decode(), "names": names, "at": clock.epoch_s()},
        )
        log.info("%s: asked for %d names", domain, len(names))

    def _hear(self, domain: str, order: dict[str, object], told: Told) -> None:
        answer = places.read(self._folder / "brought" / domain)
        if answer.get("number") != order["number"]:
            if clock.epoch_s() - int(str(order.get("at", 0))) > rules.STALE_ORDER_S:
                self._failed(domain, told, "silent")
            return
        if "chain" not in answer:
            self._failed(domain, told, str(answer.get("code", "odd")))
            return
        try:
            key, names = self._key_path(domain).read_bytes(), order["names"]
            leaf, whole = checked(str(answer["chain"]), key, list(names))  # type: ignore[call-overload]
        except (ValueError, OSError):
            self._failed(domain, told, "odd")
            return
        path = places.installed(self._state) / f"{domain}.pem"
        # Of what lies there, not of what was told: a write that failed comes here again.
        mark, former = hashlib.sha256(whole).hexdigest(), mark_of(path) if path.exists() else ""
        places.tell(self._state, domain, replace(_ok(leaf, mark=mark), former=former))
        durable.write(path, (whole,), mode=0o600)
        self._over(domain)
        log.info("%s: installed, until %s", domain, leaf.not_valid_after_utc.date())
        self._load(path)

    def _failed(self, domain: str, told: Told, code: str) -> None:
        log.warning("%s: %s", domain, code)
        again = replace(told, state="failed", code=code, failures=told.failures + 1, tried_at=clock.epoch_s())
        places.tell(self._state, domain, again)
        self._over(domain)

    def _over(self, domain: str) -> None:
        (self._folder / "orders" / domain).unlink(missing_ok=True)
        self._key_path(domain).unlink(missing_ok=True)

    def _key_path(self, domain: str) -> Path:
        return self._folder / "keys" / f"{domain}.key"

    def _tell_by_hand(self, domain: str, path: Path, told: Told) -> None:
        """Somebody put it there: it is theirs to renew, and ours to warn of."""
        try:
            found = replace(_ok(x509.load_pem_x509_certificate(path.read_bytes()), mark=""), state="by_hand")
        except ValueError:
            found = Told("by_hand", code="odd")
        if found != told:
            places.tell(self._state, domain, found)

    def _load(self, path: Path) -> None:
        try:
            door.load(self._state, path)
            self._to_load.discard(path)
        except (door.DoorClosed, OSError):
            self._to_load.add(path)


def mark_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def checked(chain: str, key: bytes, names: list[str]) -> tuple[x509.Certificate, bytes]:
    """(leaf, PEM of chain and key) when the leaf holds our key, these names and the present. Errors: ValueError."""
    certificates = x509.load_pem_x509_certificates(chain.encode("ascii"))
    leaf, private = certificates[0], load_pem_private_key(key, None)
    ours = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    theirs = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if ours != theirs or set(_names(leaf)) != set(names):
        raise ValueError("not what was asked for")
    if not leaf.not_valid_before_utc <= clock.now() < leaf.not_valid_after_utc:
        raise ValueError("not valid now")
    return leaf, b"".join(one.public_bytes(Encoding.PEM) for one in certificates) + key


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return list(found.get_values_for_type(x509.DNSName))


def _ok(leaf: x509.Certificate, *, mark: str) -> Told:
    begins, ends = (int(one.timestamp()) for one in (leaf.not_valid_before_utc, leaf.not_valid_after_utc))
    return Told("ok", tuple(_names(leaf)), begins, ends, mark=mark)


def run(config: Config) -> None:
    os.umask(0o077)
    ending, keeper = programs.Ending(), Keeper(config.state)
    while not ending.is_asked:
        time.sleep(TURN_S)
        try:
            keeper.turn()
        except OSError as error:
            log.error("%s", error.strerror)  # a full disk, say: tried again


if __name__ == "__main__":
    sys.exit(programs.run(run))
