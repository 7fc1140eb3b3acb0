"""Mail that really leaves: the centre's engines with ``outgoing_mail``, and a foreign internet on loopback. Needs root.

The foreign internet: an unbound that answers for every name (example.org signed with DNSSEC, the rest not), and a
second Postfix, with TLS at ``SECURE`` and without at ``CLEAR``. Ports 22600-22699, and 25 and 53 on addresses of
loopback that nothing else has. Used as a plugin: ``pytest_plugins = ["tests.fixtures_sending"]``.
"""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.zone
import pytest
from beffroi.lib import config as config_module
from beffroi.lib.config import Config
from beffroi.mail.engines import layout, setup
from beffroi.supervise import secret_files
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import database_url
from tests.fixtures_mail import _forget
from tests.mail_post import ENGINES, PORTS, Engines, Post, until

SECURE, CLEAR = "127.0.0.31", "127.0.0.32"
FOREIGN_DNS = "127.0.0.1@22654"
SIGNED, FORGED, PLAIN, SLOW, SILENT = (
    "partenaire.example.org",  # TLSA record of the certificate that its server shows
    "trompeur.example.org",  # TLSA record of another one
    "ailleurs.example.net",  # no TLS
    "orange.fr",
    "muet.example.net",  # nobody listens
)
HOUR_MESSAGES, CONTAIN = 12, 3
_ROOT = f"""\
. 60 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60
. 60 IN NS ns.invalid.
{PLAIN}. 60 IN MX 10 mx.{PLAIN}.
mx.{PLAIN}. 60 IN A {CLEAR}
{SLOW}. 60 IN MX 10 smtp-in.{SLOW}.
smtp-in.{SLOW}. 60 IN A {SECURE}
{SILENT}. 60 IN MX 10 mx.{SILENT}.
mx.{SILENT}. 60 IN A 127.0.0.33
"""
_SIGNED = """\
example.org. 60 IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60
example.org. 60 IN NS ns.example.org.
ns.example.org. 60 IN A 127.0.0.1
{signed}. 60 IN MX 10 mx.{signed}.
mx.{signed}. 60 IN A {address}
_25._tcp.mx.{signed}. 60 IN TLSA 3 1 1 {digest}
{forged}. 60 IN MX 10 mx.{forged}.
mx.{forged}. 60 IN A {address}
_25._tcp.mx.{forged}. 60 IN TLSA 3 1 1 {wrong}
"""
_UNBOUND = """\
server:
  directory: "{home}"
  chroot: ""
  username: ""
  pidfile: "{home}/unbound.pid"
  use-syslog: no
  logfile: "{home}/unbound.log"
  interface: {dns}
  do-daemonize: no
  module-config: "iterator"
  local-zone: "invalid." nodefault
  local-zone: "test." nodefault
remote-control:
  control-enable: no
auth-zone:
  name: "."
  zonefile: "{home}/root.zone"
  for-upstream: yes
  for-downstream: no
auth-zone:
  name: "example.org."
  zonefile: "{home}/signed.zone"
  for-upstream: yes
  for-downstream: no
"""
_MAIN = """\
compatibility_level = 3.10
queue_directory = {home}/queue
data_directory = {home}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {home}/postfix.log
maillog_file_prefixes = /var, /tmp
import_environment = MAIL_CONFIG
myhostname = mx.example.org
mydestination =
local_transport = error:none
alias_maps =
mynetworks =
inet_interfaces = {secure}, {clear}
inet_protocols = ipv4
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {home}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_transport = virtual
smtpd_peername_lookup = no
smtpd_tls_chain_files = {home}/key.pem, {home}/cert.pem
smtpd_tls_received_header = yes
smtputf8_enable = yes
smtpd_relay_restrictions = reject_unauth_destination
"""
_MASTER = """\
{secure}:25 inet n - n - - smtpd
  -o smtpd_tls_security_level=may
{clear}:25 inet n - n - - smtpd
  -o smtpd_tls_security_level=none
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass
class Foreign:
    """The foreign Postfix and what reached it."""

    home: Path

    def arrived(self) -> list[bytes]:
        """Every message, as its server stored it, in the order of arrival."""
        found = sorted((self.home / "mail" / "all" / "new").glob("*"), key=lambda one: one.stat().st_mtime_ns)
        return [one.read_bytes() for one in found]

    def arrives(self, subject: str) -> bytes:
        """The message of this subject, once it is there."""

        def there() -> bool:
            return any(email.message_from_bytes(one)["Subject"] == subject for one in self.arrived())

        until(there, f"{subject} at the foreign server")
        return next(one for one in self.arrived() if email.message_from_bytes(one)["Subject"] == subject)


@dataclass
class Sending:
    """The post office of one test, whose mail leaves for a foreign internet."""

    post: Post
    foreign: Foreign

    @property
    def config(self) -> Config:
        return self.post.config

    def log(self) -> str:
        return (self.config.log / "postfix.log").read_text("utf-8", "replace")

    def logged(self, *parts: str) -> str:
        """The first line of Postfix's log that holds all of these, once it is there."""

        def lines() -> list[str]:
            return [line for line in self.log().splitlines() if all(part in line for part in parts)]

        until(lambda: bool(lines()), f"{parts} in the log")
        return lines()[0]


def _spki_sha256(certificate: x509.Certificate) -> str:
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public)
    return digest.finalize().hex()


def _write_zones(home: Path, certificate: x509.Certificate) -> Path:
    """The two zones, and the file of trust anchors of the signed one."""
    (home / "root.zone").write_text(_ROOT)
    text = _SIGNED.format(
        signed=SIGNED, forged=FORGED, address=SECURE, digest=_spki_sha256(certificate), wrong="ab" * 32
    )
    zone = dns.zone.from_text(text, origin="example.org.", relativize=False)
    private = ec.generate_private_key(ec.SECP256R1())
    key = dns.dnssec.make_dnskey(private.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)
    dns.dnssec.sign_zone(zone, keys=[(private, key)], lifetime=30 * 86400, add_dnskey=True, dnskey_ttl=60)
    zone.to_file(str(home / "signed.zone"), relativize=False)
    anchors = home / "anchors"
    anchors.write_text(f"example.org. 60 IN DNSKEY {key.to_text()}\n")
    return anchors


def _foreign_postfix(home: Path) -> None:
    postfix, owner = layout.user("postfix", "postfix"), layout.user("nobody", "base-files")
    for name in ("etc", "queue"):
        layout.directory(home / name, 0o755)
    layout.directory(home / "data", 0o700, postfix)
    layout.directory(home / "mail", 0o755, owner)
    domains = ", ".join((SIGNED, FORGED, PLAIN, SLOW))
    main = _MAIN.format(home=home, secure=SECURE, clear=CLEAR, domains=domains, uid=owner.uid, gid=owner.gid)
    (home / "etc" / "main.cf").write_text(main)
    (home / "etc" / "master.cf").write_text(_MASTER.format(secure=SECURE, clear=CLEAR))


@pytest.fixture(scope="module")
def foreign() -> Iterator[Foreign]:
    if os.geteuid() != 0:
        pytest.skip("mail engines start as root")
    home = Path(tempfile.mkdtemp(prefix="bff-"))
    home.chmod(0o755)
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem"), "-days", "30"),
            *("-subj", "/CN=mx.example.org"),
        ],
        check=True,
        capture_output=True,
    )
    _write_zones(home, x509.load_pem_x509_certificate((home / "cert.pem").read_bytes()))
    (home / "unbound.conf").write_text(_UNBOUND.format(home=home, dns=FOREIGN_DNS))
    _foreign_postfix(home)
    etc = str(home / "etc")
    environment = {**os.environ, "MAIL_CONFIG": etc}
    subprocess.run(
        ["/usr/sbin/postfix", "-c", etc, "check"], env=environment, check=True, capture_output=True
    )
    commands = (["/usr/sbin/unbound", "-d", "-p", "-c", str(home / "unbound.conf")],)
    commands += (["/usr/lib/postfix/sbin/master", "-c", etc, "-s"],)
    running = [
        subprocess.Popen(one, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for one in commands
    ]
    try:
        until(lambda: all(one.poll() is None for one in running), "the foreign internet")
        yield Foreign(home)
    finally:
        for one in running:
            one.terminate()
            one.wait(20)
        if not os.environ.get("BEFFROI_KEEP"):
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def sending_engines(foreign: Foreign) -> Iterator[Engines]:
    state = Path(tempfile.mkdtemp(prefix="bfs-"))
    state.chmod(0o755)
    lines = [f"{name} = {port + 100}" for name, port in PORTS.items()]
    lines += [f'dns_forward = "{FOREIGN_DNS}"', f'dns_trust_anchors = "{foreign.home / "anchors"}"']
    lines += ["heartbeat_s = 2", "outgoing_mail = true", 'outgoing_name = "sortie.beffroi.example"']
    lines += [f"sending_hour_messages = {HOUR_MESSAGES}", f"sending_contain_refusals = {CONTAIN}"]
    lines += ['outgoing_addresses = "127.0.0.41"', 'slow_destinations = "orange 1 1 1 orange.fr wanadoo.fr"']
    (state / "beffroi.toml").write_text("\n".join(lines) + "\n")
    config = config_module.load(state)
    for name in ("run", "log", "db", "feed", "doors"):
        (state / name).mkdir(mode=0o755)
    secret_files.generate(config)
    assert secret_files.renew_delegation(config) == ""
    setup.write(config)
    engines = Engines(config)
    try:
        engines.start(*ENGINES)
        yield engines
    finally:
        engines.stop()
        if not os.environ.get("BEFFROI_KEEP"):
            shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def sending(committed: str, sending_engines: Engines, foreign: Foreign, settings: Any) -> Iterator[Sending]:
    """The post office with an empty database, stream and mailgate running."""
    path = sending_engines.config.state / "beffroi.toml"
    plain = "\n".join(x for x in path.read_text().splitlines() if not x.startswith("database_url"))
    path.write_text(f'{plain}\ndatabase_url = "{database_url()}"\n')
    config = config_module.load(sending_engines.config.state)
    sending_engines.config = config
    settings.BEFFROI = config
    _forget(config)
    sending_engines.start("stream", "mailgate")
    try:
        yield Sending(Post(sending_engines, config), foreign)
    finally:
        sending_engines.kill("mailgate", "stream")
