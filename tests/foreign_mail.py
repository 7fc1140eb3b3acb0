"""A foreign internet on loopback, for tests of mail that leaves. The fixtures are in tests/fixtures_sending.py.

The foreign internet: an unbound that answers for every name (example.org signed with DNSSEC, the rest not), and a
second Postfix, with TLS at ``SECURE`` and without at ``CLEAR``. Ports 22600-22699, and 25 and 53 on addresses of
loopback that nothing else has.
"""

from __future__ import annotations

import email
from dataclasses import dataclass
from pathlib import Path

import dns.dnssec
import dns.zone
from beffroi.lib.config import Config
from beffroi.mail.engines import layout
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dns.dnssectypes import Algorithm

from tests.mail_post import Post, until

SECURE, CLEAR, POLICIES = "127.0.0.31", "127.0.0.32", "127.0.0.34"
FOREIGN_DNS = "127.0.0.1@22654"
SIGNED, FORGED, PLAIN, SLOW, SILENT = (
    "partenaire.example.org",  # TLSA record of the certificate that its server shows
    "trompeur.example.org",  # TLSA record of another one
    "ailleurs.example.net",  # no TLS
    "orange.fr",
    "muet.example.net",  # nobody listens
)
REFUSING = "refuse.example.net"  # its server takes no mail for it
MOVING = "beaune.test"  # a commune whose old server is this one; it knows everybody but UNKNOWN
UNKNOWN = f"inconnu@{MOVING}"
STRICT, SURE = (
    "strict.example.net",
    "sure.example.net",
)  # the certificate of their server names mx.example.org
DESERTED = "inconnus.example.net"  # its server knows nobody
HOUR_MESSAGES, CONTAIN = 12, 3
_ROOT = f"""\
. 60 IN SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 60
. 60 IN NS ns.invalid.
{PLAIN}. 60 IN MX 10 mx.{PLAIN}.
mx.{PLAIN}. 60 IN A {CLEAR}
{SLOW}. 60 IN MX 10 smtp-in.{SLOW}.
smtp-in.{SLOW}. 60 IN A {SECURE}
{STRICT}. 60 IN MX 10 mx.{STRICT}.
mx.{STRICT}. 60 IN A {SECURE}
_mta-sts.{STRICT}. 60 IN TXT "v=STSv1; id=20261126;"
mta-sts.{STRICT}. 60 IN A {POLICIES}
{SURE}. 60 IN MX 10 mx.{SURE}.
mx.{SURE}. 60 IN A {SECURE}
{REFUSING}. 60 IN MX 10 mx.{PLAIN}.
{DESERTED}. 60 IN MX 10 mx.{PLAIN}.
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
UNBOUND = """\
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
maillog_file_prefixes = /var, /dev, {home}
import_environment = MAIL_CONFIG
myhostname = mx.example.org
mydestination =
local_transport = error:none
alias_maps =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = regexp:{{ {{!/@{deserted}$$/ all/}} }}
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
smtpd_recipient_restrictions = check_recipient_access inline:{{{{{unknown}=550 5.1.1 nobody here}}}}, permit
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


def write_zones(home: Path, certificate: x509.Certificate) -> Path:
    """The two zones, and the file of trust anchors of the signed one."""
    (home / "root.zone").write_text(_ROOT)
    text = _SIGNED.format(
        signed=SIGNED, forged=FORGED, address=SECURE, digest=_spki_sha256(certificate), wrong="ab" * 32
    )
    zone = dns.zone.from_text(text, origin="example.org.", relativize=False)
    private = ec.generate_private_key(ec.SECP256R1())
    key = dns.dnssec.make_dnskey(private.public_key(), Algorithm.ECDSAP256SHA256, flags=257)
    dns.dnssec.sign_zone(zone, keys=[(private, key)], lifetime=30 * 86400, add_dnskey=True, dnskey_ttl=60)
    zone.to_file(str(home / "signed.zone"), relativize=False)
    anchors = home / "anchors"
    anchors.write_text(f"example.org. 60 IN DNSKEY {key.to_text()}\n")
    return anchors


def foreign_postfix(home: Path) -> None:
    postfix, owner = layout.user("postfix", "postfix"), layout.user("nobody", "base-files")
    for name in ("etc", "queue"):
        layout.directory(home / name, 0o755)
    layout.directory(home / "data", 0o700, postfix)
    layout.directory(home / "mail", 0o755, owner)
    domains = ", ".join((SIGNED, FORGED, PLAIN, SLOW, STRICT, SURE, MOVING, DESERTED))
    main = _MAIN.format(
        home=home, unknown=UNKNOWN, deserted=DESERTED, domains=domains, uid=owner.uid, gid=owner.gid
    )
    (home / "etc" / "main.cf").write_text(main)
    (home / "etc" / "master.cf").write_text(_MASTER.format(secure=SECURE, clear=CLEAR))
