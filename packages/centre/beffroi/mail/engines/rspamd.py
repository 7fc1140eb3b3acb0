"""Configuration of the private rspamd instance.

Purpose: SPF, DKIM, DMARC, phishing and form checks of every message; our Lua rule asks mailgate. Signs what
         signed-in people send.
Process: rspamd as ``_rspamd``, loopback only; the packaged base in /etc/rspamd is read, ours lies over it.
Hostile: every message; rspamd alone parses it on its way in.
Fails:   rspamd away: Postfix answers 451. mailgate away: mail flows, marked for the sweep.
Rule:    a score alone never refuses: an unknown lure is delivered (or goes to Junk) and can be reported; refused are
         only what a decision blocks and what a domain's own DMARC policy asks to refuse.
Sovereignty: no map, list or hash of the outside is fetched; ``mail_dns_lists`` opens the DNS block lists.
Source:  docs.rspamd.com; docs/internals/mail-engines.md.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.process import Process
from beffroi.mail.engines import layout, patterns, probes
from beffroi.scan.wire import socket_path

SCAN_TIMEOUT_S = 20
"""Of one attached file, with its time in the queue: the scanner looks for 10 s at most, at four at once."""
HELD_FROM = 12
"""The score from which a mail goes to Junk."""
MIN_LEARNS = 200
BAYES_UNWANTED, BAYES_WANTED = 4.0, -3.0
"""The most that the classifier says: two thirds of what holds a mail are other signs, whatever people taught."""
_OFF = "enabled = false;\n"
# Everything that would learn from, or ask, somebody outside, or needs a store that the embedded form does not have.
_MODULES_OFF = (
    "antivirus",
    "arc",  # decision 182
    "asn",
    "bayes_expiry",
    "bimi",
    "dcc",
    "external_services",
    "fuzzy_check",
    "greylist",
    "history_redis",
    "known_senders",
    "mid",
    "multimap",
    "mx_check",
    "neural",
    "p0f",
    "ratelimit",
    "rbl",
    "replies",
    "reputation",
    "rspamd_update",
    "spamassassin",
    "url_redirector",
    "whitelist",
)
_CLAMD = re.compile(r"/[A-Za-z0-9_./-]{1,100}|[A-Za-z0-9.-]{1,253}:[0-9]{1,5}")
_NEEDS_DNS_LISTS = frozenset({"asn", "fuzzy_check", "rbl"})


def _overrides(config: Config) -> dict[str, str]:
    home = layout.Paths(config.state).signing
    files = {
        f"{name}.conf": _OFF
        for name in _MODULES_OFF
        if not (config.mail_dns_lists and name in _NEEDS_DNS_LISTS)
    }
    if config.clamd:
        files["antivirus.conf"] = _antivirus(config)
    files |= {
        # Score alone never rejects; see the rule above.
        "actions.conf": f"reject = null; add_header = {HELD_FROM}; greylist = null;\n",
        "dmarc.conf": 'actions { quarantine = "add_header"; reject = "reject"; }\nreporting { enabled = false; }\n',
        "phishing.conf": (
            "openphish_enabled = false; phishtank_enabled = false; phishing_feed_exclusion_enabled = false;\n"
            'exceptions { REDIRECTOR_FALSE = ["${CONFDIR}/maps.d/redirectors.inc"]; }\n'
        ),
        "mime_types.conf": 'file = ["${CONFDIR}/maps.d/mime_types.inc"];\n',
        # Files, no Redis. People teach it (mail/held/lessons.py); it judges nothing before it has learnt so many mails
        # of both kinds.
        "classifier-bayes.conf": (
            f'backend = "sqlite3"; min_learns = {MIN_LEARNS};\n'
            'cache { type = "sqlite3"; path = "${DBDIR}/learnt.sqlite"; }\n'
            'statfile { symbol = "BAYES_HAM"; spam = false; path = "${DBDIR}/wanted.sqlite"; }\n'
            'statfile { symbol = "BAYES_SPAM"; spam = true; path = "${DBDIR}/unwanted.sqlite"; }\n'
        ),
        "statistics_group.conf": (
            f'symbols {{ "BAYES_SPAM" {{ weight = {BAYES_UNWANTED}; }}'
            f' "BAYES_HAM" {{ weight = {BAYES_WANTED}; }} }}\n'
        ),
        "milter_headers.conf": (
            'use = ["authentication-results"];\n'
            'routines { authentication-results { header = "Authentication-Results"; remove = 0; '
            "add_smtp_user = false; } }\nskip_local = false; skip_authenticated = false;\n"
        ),
        # Who has signed in is signed for, with the key of the domain of the From: header, which is their own address
        # (beffroi.lua). Nothing is signed for a domain that the map does not name.
        "dkim_signing.conf": (
            f'selector_map = "{home}/selectors";\npath = "{home}/$selector.$domain.pem";\n'
            "sign_authenticated = true;\nsign_local = false;\nsign_inbound = false;\ntry_fallback = false;\n"
            "use_esld = false;\nallow_username_mismatch = true;\nallow_hdrfrom_mismatch = false;\n"
            "allow_hdrfrom_multiple = false;\ncheck_pubkey = false;\n"
        ),
        "options.inc": (
            f'dns {{ nameserver = ["127.0.0.1:{config.resolver_port}"]; timeout = 1s; retransmits = 2; }}\n'
            # Nothing but this machine is local: a town hall's client signs in, everybody else is checked.
            'local_addrs = ["127.0.0.0/8", "::1"];\n'
            'control_socket = "$RUNDIR/control.sock mode=0600";\n'
            # Longer than the scanner of attached files takes, or a mail would go on without its answer.
            f"task_timeout = {SCAN_TIMEOUT_S + 5}s;\n"
            # A worker that a mail keeps busy for about two minutes, as long as Postfix waits for it, is ended and
            # started again: its mails come again (451).
            "heartbeat_interval = 10s; heartbeats_loss_max = 4;\n"
            # All maps are files: one that changed is read after a tenth of this.
            "map_watch_interval = 30s;\n"
            # Of more than these it shows some, by chance a few less: never so few that beffroi.lua took them for all.
            "max_lua_urls = 2048;\n"
        ),
        # To the supervisor's log, which ends by size and by date; a file of its own was kept for ever.
        "logging.inc": 'type = "console"; level = "notice";\nlog_urls = false;\n',
        "worker-normal.inc": f'bind_socket = "127.0.0.1:{config.rspamd_normal_port}"; count = 1;\n',
        "worker-controller.inc": (
            f'bind_socket = "127.0.0.1:{config.rspamd_controller_port}"; secure_ip = ["127.0.0.1"];\n'
        ),
        "worker-proxy.inc": (
            f'bind_socket = "127.0.0.1:{config.rspamd_proxy_port}"; milter = yes; timeout = 60s; count = 2;\n'
            'upstream "local" { default = yes; self_scan = yes; }\n'
        ),
        "worker-fuzzy.inc": "enabled = false; count = -1;\n",
    }
    return files


def _antivirus(config: Config) -> str:
    """Every attached file goes to clamd (INSTREAM); what comes of it is ours to say (beffroi.lua).

    Errors: SettingInvalid.
    """
    if not _CLAMD.fullmatch(config.clamd):
        raise SettingInvalid("clamd", config.state, "neither an absolute path nor HOST:PORT")
    return (
        "enabled = true;\n"
        f'clamav {{ type = "clamav"; servers = "{config.clamd}"; symbol = "BEFFROI_VIRUS"; scan_mime_parts = true; '
        # Text and pictures, too: a program may be named as one.
        "scan_text_mime = true; scan_image_mime = true; "
        f"max_size = {layout.MAX_MAIL_BYTES}; timeout = 5s; retransmits = 1; log_clean = false; }}\n"
    )


def write(config: Config) -> None:
    """Write the instance. Errors: EngineMissing."""
    home = layout.Paths(config.state).rspamd
    owner = layout.user("_rspamd", "rspamd")
    layout.directory(home, 0o755)
    etc = home / "etc"
    for folder in (etc, etc / "local.d", etc / "override.d", etc / "lua.local.d"):
        layout.directory(folder, 0o755)
    for name in ("db", "run"):
        layout.directory(home / name, 0o750, owner)
    shutil.rmtree(home / "log", ignore_errors=True)  # of before; it names senders
    wanted = _overrides(config)
    for name, text in wanted.items():
        layout.write(etc / "override.d" / name, text, 0o644)
    _remove_others(etc / "override.d", set(wanted))
    layout.write(etc / "lua.local.d" / "beffroi.lua", layout.template("rspamd/beffroi.lua"), 0o644)
    for part in ("bank", "content", "links", "origin", "scan"):
        name = f"beffroi-{part}.lua"
        layout.write(etc / name, layout.template(f"rspamd/{name}"), 0o644)
    key, bank_key = layout.secret(config, "mailgate.key"), layout.secret(config, "bank.key")
    scan = socket_path(config.state) if config.scan else ""
    layout.write(
        etc / "beffroi-settings.lua",
        f'return {{ url = "http://127.0.0.1:{config.mailgate_port}", key = "{key}", bank_key = "{bank_key}",'
        f' signing = "{layout.Paths(config.state).signing}",'
        f' scan = "{scan}", scan_timeout_s = {SCAN_TIMEOUT_S} }}\n',
        0o640,
        layout.Owner(0, owner.gid),
    )
    # A map whose file is missing is looked for three times a second by each of its processes; of one that is there the
    # kernel tells them.
    layout.directory(etc / "local.d" / "maps.d", 0o755)
    layout.write(etc / "local.d" / "maps.d" / "exe_clickbait.inc", "", 0o644)
    layout.write(home / "db" / "rspamd_dynamic", "[]\n", 0o644)
    patterns.fill(home, owner)


def _remove_others(folder: Path, wanted: set[str]) -> None:
    """A module switched on again must not keep the file that switched it off."""
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()


def process(config: Config) -> Process:
    home = layout.Paths(config.state).rspamd
    return Process(
        name="rspamd",
        argv=(
            "/usr/bin/rspamd",
            "-f",
            "-u",
            "_rspamd",
            "-g",
            "_rspamd",
            "-c",
            "/etc/rspamd/rspamd.conf",
            *patterns.variables(home),
        ),
        # jemalloc, its allocator, gives freed pages back ten seconds later, and only while more mail comes: a process
        # that waits would keep those of its last mails.
        environment={"MALLOC_CONF": "dirty_decay_ms:400,muzzy_decay_ms:0"},
        healthy=lambda: probes.rspamd(config),
        # Where no patterns were compiled beforehand, it does that first.
        start_timeout_s=60,
        # Its own patience is twice task_timeout as long as a client holds a connection open.
        stop_timeout_s=4,
        advice=f"Look at {config.log / 'rspamd.log'}.",
    )
