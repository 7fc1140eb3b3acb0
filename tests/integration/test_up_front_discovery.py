"""MTA-STS, Thunderbird and Outlook through the real front door, under the names of an enrolled domain."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from beffroi.lib.config import Config
from beffroi.mail.certificates import places
from beffroi.mail.domains import asking, records
from beffroi.supervise import front, front_listeners

from tests import front_planes
from tests.certificates import self_signed, unverified
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.root, pytest.mark.slow]
DOMAIN = "mairie.test"
_ENROL = f"""
import django
django.setup()
from beffroi.core.communes import actions
from beffroi.core.identity.actor import Actor
system = Actor.system("tests")
one = actions.create_collectivite(actor=system, kind="commune", name="Mairie")
actions.add_domain(actor=system, collectivite=one, name="{DOMAIN}")
"""


@pytest.fixture(scope="module")
def centre() -> Iterator[Config]:
    with front_planes.running("bfd-", 23140, {}, "web") as planes:
        config = planes.config
        environment = os.environ | {
            "BEFFROI_STATE": str(config.state),
            "DJANGO_SETTINGS_MODULE": "beffroi.settings.base",
        }
        subprocess.run((sys.executable, "-c", _ENROL), env=environment, check=True)
        _certificate(config)
        front.write(config)
        with (config.log / "front.out").open("ab") as log:
            process = subprocess.Popen(
                ("haproxy", "-db", "-f", str(front.config_path(config))), stdout=log, stderr=log
            )
        try:
            front_planes.until_up(config, process)
            yield config
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _certificate(config: Config) -> None:
    """Its own authority, as a public one would issue it: the file that the Département puts there."""
    folder = places.installed(config.state)
    folder.mkdir()
    key, pem = folder / "key", folder / f"{DOMAIN}.pem"
    self_signed(pem, key, *(f"{label}{DOMAIN}" for label in front_listeners.DISCOVERY_HOSTS))
    pem.write_bytes(pem.read_bytes() + key.read_bytes())
    key.unlink()


def ask(
    config: Config, host: str, path: str, *, method: str = "GET", body: bytes = b"", port: int = 0
) -> http.client.HTTPResponse:
    context = unverified()
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port or config.portal_port, timeout=PATIENCE_S, context=context
    )
    connection.request(method, path, body=body or None, headers={"Host": host, "Cookie": "beffroi_session=x"})
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def authorities(config: Config) -> str:
    return str(places.installed(config.state) / f"{DOMAIN}.pem")


def test_a_sender_fetches_the_policy_with_a_certificate_that_holds(centre: Config) -> None:
    name = f"mta-sts.{DOMAIN}"
    found = asking.fetch_policy(name, "127.0.0.1", centre.portal_port, authorities=authorities(centre))
    assert found[0] == ""
    servers = records.Servers(mx=centre.mail_name, front="", imaps_port=1, submission_port=1)
    assert found[1] == records.sts_policy(servers, records.Choices())


def test_without_a_public_certificate_the_policy_counts_for_nothing(centre: Config) -> None:
    assert asking.fetch_policy(f"mta-sts.{DOMAIN}", "127.0.0.1", centre.portal_port)[0] == "certificate"


def test_a_name_that_is_not_enrolled_has_no_policy(centre: Config) -> None:
    assert ask(centre, "mta-sts.ailleurs.test", "/.well-known/mta-sts.txt").status == 404


def test_thunderbird_and_outlook_find_their_settings(centre: Config) -> None:
    answer = ask(centre, f"autoconfig.{DOMAIN}", f"/mail/config-v1.1.xml?emailaddress=a@{DOMAIN}")
    assert answer.status == 200
    tree = ElementTree.fromstring(answer.body)  # type: ignore[attr-defined]
    assert tree.findtext("emailProvider/incomingServer/hostname") == centre.mail_name
    for path in ("/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"):
        answer = ask(centre, f"autodiscover.{DOMAIN}", path, method="POST", body=b"<x/>")
        assert answer.status == 200
        assert b"<Type>IMAP</Type>" in answer.body  # type: ignore[attr-defined]
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/", "/connexion/", "/live", "/healthz", "/v1/feed", "/static/portal/beffroi.css"]
)
def test_under_a_communes_name_there_is_nothing_else(centre: Config, path: str) -> None:
    for label in front_listeners.DISCOVERY_HOSTS:
        assert ask(centre, f"{label}{DOMAIN}", path).status == 404


def test_a_large_body_and_other_listeners_are_refused(centre: Config) -> None:
    body = b"x" * (front_listeners.MAX_DISCOVERY_BODY_BYTES + 1)
    answer = ask(centre, f"autodiscover.{DOMAIN}", "/autodiscover/autodiscover.xml", method="POST", body=body)
    assert answer.status == 413
    for port in (centre.console_port, centre.box_port):
        assert ask(centre, f"mta-sts.{DOMAIN}", "/.well-known/mta-sts.txt", port=port).status in (404, 421)


def test_a_stranger_name_is_refused_as_before_and_the_portal_opens(centre: Config) -> None:
    assert ask(centre, "www.mairie.test", "/.well-known/mta-sts.txt").status == 421
    assert ask(centre, "localhost", "/healthz").status == 200


def test_the_portals_certificate_is_shown_to_whoever_names_none_of_these(centre: Config) -> None:
    context = ssl.create_default_context(cafile=str(centre.state / "tls" / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", centre.portal_port), PATIENCE_S) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        assert tls.version() in ("TLSv1.2", "TLSv1.3")
