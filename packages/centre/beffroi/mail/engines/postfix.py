"""Configuration of the private Postfix instance.

Purpose: receive mail for the collectivités' mailboxes, refuse the rest, hand over to Dovecot by LMTP; let out what
         signed-in people send (``engines.outgoing``).
Process: master as root, its daemons as ``postfix``; the files are written by the supervisor.
Hostile: every SMTP client and every message; Postfix and rspamd meet them, no Python does.
Fails:   closed for relaying and unknown recipients; with a temporary refusal when rspamd is away, but for a term
         (``engines.unscanned``).
Source:  postconf(5), SMTPD_PROXY_README, MILTER_README.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.process import Process
from beffroi.mail import alias_routes, tokens
from beffroi.mail.engines import layout, outgoing, pools, probes, said, unscanned
from beffroi.mail.reports import values
from beffroi.mail.sending import policies

REPORTS_SERVICE = "beffroi-reports"
LONGEST_PAUSE_S = 4000
"""Between two tries, unless main.cf says so (maximal_backoff_time of postconf(5))."""
_SIGNED_IN = (
    "smtpd_reject_footer_maps=regexp:@home@/etc/said",
    "cleanup_service_name=cleanup-own",
    "smtpd_tls_security_level=encrypt",
    "smtpd_tls_auth_only=yes",
    "smtpd_sasl_auth_enable=yes",
    "smtpd_client_restrictions=permit_sasl_authenticated,reject",
    "smtpd_sender_restrictions=reject_non_fqdn_sender,reject_authenticated_sender_login_mismatch",
    "smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    "smtpd_recipient_restrictions=reject_non_fqdn_recipient,$beffroi_open,$beffroi_known,$beffroi_moving,$beffroi_room,permit",
)
"""Policy of the services for signed-in clients."""
_ADDRESS = re.compile(r"[a-z0-9._-]{1,64}@[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")


def write(config: Config) -> None:
    """Write the instance. Errors: EngineMissing, SettingInvalid."""
    paths = layout.Paths(config.state)
    postfix = layout.user("postfix", "postfix")
    etc = paths.postfix / "etc"
    layout.directory(paths.postfix, 0o755)
    layout.directory(etc, 0o755)
    layout.directory(paths.postfix / "queue", 0o755)
    layout.directory(paths.postfix / "data", 0o700, postfix)
    # Dovecot makes its sockets here and may start before Postfix has made the directory.
    layout.directory(paths.postfix / "queue" / "private", 0o700, layout.Owner(postfix.uid, 0))
    reports = _reports(config)
    layout.write(
        etc / "main.cf",
        layout.render(
            "postfix-main.cf",
            home=paths.postfix,
            state=config.state,
            log=config.log,
            tls=paths.tls,
            mail_name=config.mail_name,
            interfaces="all" if config.listen == "*" else config.listen,
            rspamd_proxy_port=config.rspamd_proxy_port,
            max_mail_bytes=layout.MAX_MAIL_BYTES,
            filters_print=_fingerprint(paths.tls / "filters.pem"),
            own_domain=f", {config.mail_name}",
            outgoing=outgoing.main_cf(config),
        ),
        0o644,
    )
    layout.write(
        etc / "master.cf",
        layout.render(
            "postfix-master.cf",
            smtp=_service(config.listen, config.smtp_port),
            submission=_service(config.listen, config.submission_port),
            filters=_service(layout.LOOPBACK, config.filters_port),
            submissions=_service(config.listen, config.submissions_port),
            signed_in="\n".join(f"  -o {one}" for one in _SIGNED_IN).replace("@home@", str(paths.postfix)),
            home=paths.postfix,
            reports=values.root(config.state),
            reports_uid=reports.uid,
            reports_gid=reports.gid,
            **outgoing.master_cf(config, split_print=_fingerprint(paths.tls / "split.pem")),
        ),
        0o644,
    )
    collected = config.reports_address
    if not _ADDRESS.fullmatch(collected):
        raise SettingInvalid("mail_reports", config.state, "must be a mail address")
    if config.probe_echo and not _ADDRESS.fullmatch(config.probe_echo.lower()):
        raise SettingInvalid("probe_echo", config.state, "must be a mail address")
    layout.write(etc / "system", f"# Written by Beffroi, do not edit.\n{collected} {collected}\n", 0o644)
    layout.write(
        etc / "transport", f"{outgoing.transport_map(config)}{collected} {REPORTS_SERVICE}:\n", 0o644
    )
    layout.write(
        etc / "lanes", pools.header_checks(config, f"[{layout.LOOPBACK}]:{config.split_port}"), 0o644
    )
    layout.write(etc / "doubtful", pools.doubtful_map(config), 0o644)
    layout.write(etc / "said", said.table(config), 0o644)
    layout.write(etc / "bounce.cf", layout.template("postfix-bounce.cf"), 0o644)
    # Whoever is away wrote none of the answers that wait for a server which is down: they hear of a failure alone.
    failures = "/^(RCPT +TO:<[^<> ]*>)( +ORCPT=[^ ]+)?$/ $1 NOTIFY=FAILURE$2\n"
    layout.write(etc / "filter-commands", f"# Written by Beffroi, do not edit.\n{failures}", 0o644)
    layout.write(etc / "resolv.conf", outgoing.RESOLVER, 0o644)
    unscanned.write(config, etc, paths.routes)
    _write_map(etc / "inside.cf", paths.routes, pools.inside_query(config))
    _write_map(etc / "tls-policy.cf", policies.path(config), policies.QUERY)
    _write_map(etc / "partners.cf", policies.path(config), policies.SENDERS_QUERY)
    _write_map(etc / "domains.cf", paths.routes, "SELECT name FROM domain WHERE name='%s'")
    _write_map(etc / "mailboxes.cf", paths.routes, "SELECT address FROM mailbox WHERE address='%s'")
    _write_map(etc / "aliases.cf", paths.routes, alias_routes.ALIASES_QUERY)
    _write_map(etc / "senders.cf", paths.routes, alias_routes.SENDERS_QUERY)
    _write_map(etc / "closed.cf", paths.routes, alias_routes.CLOSED_QUERY)
    _write_map(etc / "awaited.cf", paths.routes, alias_routes.AWAITED_QUERY)
    _write_map(etc / "awaited-here.cf", paths.routes, alias_routes.AWAITED_HERE_QUERY)
    _write_map(etc / "full.cf", paths.routes, alias_routes.FULL_QUERY)
    _write_map(etc / "moving.cf", paths.routes, alias_routes.MOVING_MAILBOXES_QUERY)
    _write_map(etc / "moving-transport.cf", paths.routes, alias_routes.MOVING_TRANSPORT_QUERY)
    _write_map(etc / "moving-access.cf", paths.routes, alias_routes.MOVING_ACCESS_QUERY)
    # Whose login may be whose sender: a mailbox's own, that of a token which only sends (mail/tokens.py), those of its
    # app passwords. Asked at each mail, so that a session outlives none of them.
    own = f"SELECT address || ' ' || address || '{tokens.SENDING_ONLY}'"
    app = "UNION ALL SELECT login.login FROM login JOIN mailbox USING (address) WHERE address='%s'"
    _write_map(etc / "logins.cf", paths.routes, f"{own} FROM mailbox WHERE address='%s' {app}")


def _fingerprint(certificate: Path) -> str:
    """As Postfix writes it: pairs of hexadecimal digits of SHA-256."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    return found.hex(":").upper()


def _reports(config: Config) -> layout.Owner:
    """Where mails with reports lie: Postfix writes ``mail``, the process reports reads it and writes ``read``, which
    the Python user empties."""
    reports, python = layout.reports_owner(config), layout.python_owner(config)
    layout.directory(values.root(config.state), 0o711)
    layout.directory(values.maildir(config.state), 0o700, reports)
    layout.directory(values.read_folder(config.state), 0o2770, layout.Owner(reports.uid, python.gid))
    return reports


def _service(listen: str, port: int) -> str:
    if listen == "*":
        return str(port)
    return f"[{listen}]:{port}" if ":" in listen else f"{listen}:{port}"


def _write_map(path: Path, database: Path, query: str) -> None:
    layout.write(path, f"dbpath = {database}\nquery = {query}\n", 0o644)


def process(config: Config) -> Process:
    etc = layout.Paths(config.state).postfix / "etc"
    inside = layout.Paths(config.state).postfix / "queue" / "etc"
    return Process(
        name="postfix",
        # ``postfix check`` makes the queue directories, and Debian's puts the machine's resolv.conf into them: ours
        # takes its place. What a clock ahead put off would wait until the time that it said. Then the shell becomes the
        # master itself.
        argv=(
            "/bin/sh",
            "-c",
            f"/usr/sbin/postfix -c '{etc}' check && mkdir -p '{inside}' &&"
            f" cp '{etc}/resolv.conf' '{inside}/resolv.conf' &&"
            f" {{ find '{inside.parent}/deferred' -type f -newermt '{LONGEST_PAUSE_S} seconds'"
            " -execdir touch -hc {} + || :; } &&"
            f" exec /usr/lib/postfix/sbin/master -c '{etc}' -s",
        ),
        environment={"MAIL_CONFIG": os.fspath(etc)},
        healthy=lambda: probes.smtp(config),
        stop_signal=signal.SIGTERM,
        stop_timeout_s=10,
        # Its queue manager goes on by the time of before, and puts off by it.
        restart_when_set_back=True,
        advice=f"Look at {config.log / 'postfix.log'}; is another program on port {config.smtp_port}?",
    )
