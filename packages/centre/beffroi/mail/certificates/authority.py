"""The process that talks to the certificate authority: ``python -m beffroi.mail.certificates.authority``.

Purpose: orders that ``certificates`` wrote down are carried out by ACME (HTTP-01); the chain, or a code, goes back.
Process: a system user of its own (``USER-acme``): the account's key, no key of a certificate, no database.
         HTTPS to ``acme_directory`` alone. Challenges need nothing from here: HAProxy answers them with the account's
         thumbprint.
Hostile: what the authority answers; it is the one that the operator named.
Fails:   closed, one code; the certificate in force stays.
Source:  RFC 8555; docs/decisions/0054-registrars-and-certificates.md.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import requests
from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from josepy.jwk import JWKRSA

from beffroi.lib import programs
from beffroi.lib.config import Config
from beffroi.mail.certificates import health, places

POLL_S = 2.0
ORDER_S = 120
NETWORK_S = 30
ORDERS = 5
"""Attempts at one order."""
_CODES = {
    "rateLimited": "rate",
    "caa": "caa",
    "dns": "challenge",
    "connection": "challenge",
    "unauthorized": "challenge",
}
log = logging.getLogger("beffroi.mail.certificates")


class Authority:
    """Use: ``step()`` again and again."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client: ClientV2 | None = None

    def step(self) -> int:
        """Carry out what waits; return how many orders."""
        count = 0
        health.took_turn(places.folder(self._config.state) / "brought")
        for path in sorted((places.folder(self._config.state) / "orders").iterdir()):
            order, answer = places.read(path), self._answer_path(path.name)
            if (
                path.name.startswith(".")
                or not order
                or places.read(answer).get("number") == order.get("number")
            ):
                continue
            health.took_turn(answer.parent)
            places.write(answer, {"number": order["number"], **self._carry_out(path.name, str(order["csr"]))})
            count += 1
        return count

    def _answer_path(self, domain: str) -> Path:
        return places.folder(self._config.state) / "brought" / domain

    def _carry_out(self, domain: str, csr: str) -> dict[str, str]:
        try:
            chain = self._patiently(csr.encode())
        except Exception as error:  # noqa: BLE001 - the library reads what came as if it were what was asked for
            self._client = None
            code = code_of(error)
            # The kind of the authority's problem (RFC 8555 6.7), never its text.
            log.warning("%s: %s (%s %s)", domain, code, type(error).__name__, getattr(error, "code", ""))
            return {"code": code}
        log.info("%s: issued", domain)
        return {"chain": chain}

    def _patiently(self, csr: bytes) -> str:
        """An authority may refuse any nonce (RFC 8555 6.5): the library asks twice for each request."""
        for _ in range(ORDERS - 1):
            try:
                return self._order(csr)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return self._order(csr)

    def _order(self, csr: bytes) -> str:
        client = self._connected()
        order = client.new_order(csr)
        for one in order.authorizations:
            if one.body.status == messages.STATUS_VALID:
                continue
            offered = [each for each in one.body.challenges if isinstance(each.chall, challenges.HTTP01)]
            if not offered:
                raise errors.Error("no HTTP-01")
            client.answer_challenge(offered[0], offered[0].chall.response(client.net.key))
        until = datetime.now() + timedelta(seconds=ORDER_S)  # noqa: DTZ005 - the library compares with a naive one
        return str(client.poll_and_finalize(order, until).fullchain_pem)

    def _connected(self) -> ClientV2:
        if self._client is None:
            config = self._config
            key = JWKRSA.load(places.account_key(config.state).read_bytes())
            net = ClientNetwork(key, user_agent="beffroi", timeout=NETWORK_S)
            net.verify_ssl = config.acme_ca or True  # type: ignore[assignment]
            client = ClientV2(ClientV2.get_directory(config.acme_directory, net), net)
            wanted = messages.NewRegistration.from_data(
                email=config.acme_email or None, terms_of_service_agreed=True
            )
            try:
                client.new_account(wanted)
            except errors.ConflictError as known:
                net.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
            self._client = client
        return self._client


def code_of(error: Exception) -> str:
    """challenge (they did not find us), caa, rate, silent, refused or odd."""
    if isinstance(error, errors.ValidationError):
        problems = [each.error for one in error.failed_authzrs for each in one.body.challenges if each.error]
        return next((_CODES.get(str(one.code), "challenge") for one in problems), "challenge")
    if isinstance(error, messages.Error):
        return _CODES.get(str(error.code), "silent" if error.code == "serverInternal" else "refused")
    if isinstance(error, requests.RequestException | errors.TimeoutError | OSError):
        return "silent"
    return "odd"


def run(config: Config) -> None:
    os.umask(0o022)
    ending, authority = programs.Ending(), Authority(config)
    while not ending.is_asked:
        time.sleep(POLL_S)
        authority.step()


if __name__ == "__main__":
    sys.exit(programs.run(run))
