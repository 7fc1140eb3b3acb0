"""Settings of the centre: one frozen object, read from STATE/beffroi.toml; secrets are files in STATE/secrets.

docs/reference/settings.md is generated from the field metadata; a test fails if a field has no ``doc``.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from beffroi.lib.errors import BeffroiError

STATE_VARIABLE = "BEFFROI_STATE"
DEFAULT_STATE = Path("/var/lib/beffroi")
DATABASE_PASSWORD = "database.password"  # noqa: S105 - the name of the file


class SettingInvalid(BeffroiError):
    """Setting {} in {}: {}"""

    code = "setting.invalid"


def _setting(
    default: Any, doc: str, *, unit: str = "", low: int | None = None, high: int | None = None
) -> Any:
    return field(default=default, metadata={"doc": doc, "unit": unit, "low": low, "high": high})


def _days(default: int, doc: str, *, low: int, high: int = 3650) -> Any:
    return _setting(default, doc, unit="days", low=low, high=high)


def _port(default: int, doc: str) -> Any:
    return _setting(default, doc, unit="TCP port", low=1, high=65535)


def _limit(default: int, doc: str) -> Any:
    """A source is an IPv4 address, or the /64 of an IPv6 address: everybody behind one router."""
    return _setting(default, doc, unit="per source", low=1, high=1_000_000)


def _sent(default: int, doc: str) -> Any:
    return _setting(default, f"{doc} 0: any number.", unit="per account", low=0, high=1_000_000)


@dataclass(frozen=True)
class Config:
    state: Path = _setting(DEFAULT_STATE, "State directory; everything that must survive is under it.")
    departement: str = _setting("21", "Code of the département that runs this centre.")
    departement_name: str = _setting("Côte-d'Or", "Its name as shown to people.")
    listen: str = _setting(
        "127.0.0.1", "Address of the public listeners (mail and front); '*' means all, IPv4 and IPv6."
    )
    portal_name: str = _setting("localhost", "Host name of the agents' portal.")
    console_name: str = _setting("localhost", "Host name of the Département's console.")
    box_name: str = _setting("localhost", "Host name that the boîtiers connect to.")
    mail_name: str = _setting("mx.beffroi.test", "Name of the mail server in HELO and banner.")
    portal_port: int = _port(8443, "HTTPS, agents' portal.")
    console_port: int = _port(8444, "HTTPS, console of the Département.")
    box_port: int = _port(8445, "HTTPS, boîtiers.")
    smtp_port: int = _port(2525, "SMTP, incoming mail.")
    imap_port: int = _port(2143, "IMAP with STARTTLS.")
    imaps_port: int = _port(2993, "IMAP over TLS.")
    submission_port: int = _port(2587, "Submission of mail by signed-in clients, with STARTTLS.")
    submissions_port: int = _port(
        2465, "The same, TLS from the first byte (465 for the world): what programs and phones are set to."
    )
    sieve_port: int = _port(2190, "ManageSieve with STARTTLS: scripts of people's own mail programs.")
    mailgate_port: int = _port(21004, "mailgate, loopback only.")
    rspamd_proxy_port: int = _port(21011, "rspamd milter, loopback only.")
    rspamd_normal_port: int = _port(21012, "rspamd scanner, loopback only.")
    rspamd_controller_port: int = _port(21013, "rspamd controller, loopback only.")
    doveadm_port: int = _port(21014, "doveadm HTTP interface, loopback only.")
    filters_port: int = _port(
        21016, "SMTP for what delivery sends: absences, forwarded mail; loopback only, one certificate."
    )
    managesieve_port: int = _port(21017, "Our ManageSieve behind Dovecot's door; loopback only, one secret.")
    split_port: int = _port(
        21018, "SMTP where the mail of doubtful senders is split; loopback only, one certificate."
    )
    imap_local_port: int = _port(21015, "IMAP for the portal, loopback only.")
    resolver_port: int = _port(21053, "The centre's own DNS resolver, loopback only.")
    dns_forward: str = _setting(
        "", "Resolver to ask for all names, 'address' or 'address@port'; empty: the root servers."
    )
    dns_trust_anchors: str = _setting(
        "",
        "File of DNSSEC trust anchors to check what dns_forward answers; empty: it is believed as it is. Without"
        " dns_forward the root's own key is used.",
    )
    mail_dns_lists: bool = _setting(
        False, "Ask public DNS block lists, fuzzy hashes and networks about incoming mail."
    )
    clamd: str = _setting(
        "",
        "A clamd that looks at attached files: its socket (an absolute path) or HOST:PORT; empty: none. While it does"
        " not answer, mail waits with its senders.",
    )
    scan: bool = _setting(
        True,
        "Look into attached files: archives, Office documents, PDFs, YARA rules (those of STATE/rules, too), in a"
        " process without network. While it does not answer, mail with attached files waits with its senders.",
    )
    own_addresses: str = _setting(
        "",
        "The centre's addresses as the internet and the boîtiers see them, separated by spaces; never blocked.",
    )
    protected_names: str = _setting(
        "", "Names that must never be blocked besides the members' own, separated by spaces."
    )
    incident_contact: str = _setting(
        "",
        "What a town hall calls or writes to in an emergency, shown on each open incident and for a suspended mailbox;"
        " empty: nothing is shown.",
    )
    accessibility_contact: str = _setting(
        "",
        "Mail address for difficulties of access, in the accessibility statement; empty: it names the référents.",
    )
    office_editor: str = _setting(
        "",
        "Address of a Collabora Online or an OnlyOffice server in which people write documents of the Coffre, as their"
        " browsers and this centre reach it: https://office.example.fr. It must reach the portal by its name. Empty:"
        " documents are shown, and opened in programs.",
    )
    office_ca: str = _setting(
        "",
        "File of certificates (PEM) of an authority that the office editor may have instead of the public ones.",
    )
    office_max_mib: int = _setting(
        100, "The largest document that the office editor saves.", unit="MiB", low=1, high=2048
    )
    previews: bool = _setting(
        True,
        "Show the first pages of office documents in the Coffre: LibreOffice opens them in a process without network,"
        " which has nothing. Needs up to 2 GB of memory for a document.",
    )
    mail_spf: str = _setting(
        "mx", "SPF mechanisms of the servers that send for the communes, such as 'include:_spf.example.fr'."
    )
    mail_country: str = _setting(
        "",
        "Country where the centre stands, as ISO 3166 writes it, such as FR: RPNT asks that mail servers stand in the"
        " European Union. Empty: that criterion is not judged.",
    )
    rpki_payloads: str = _setting(
        "",
        "File in CSV that a local RPKI validator writes at least daily (rpki-client's csv, or Routinator's):"
        " internet.nl's points about RPKI. Empty: they are not measured.",
    )
    rpki_origins: str = _setting(
        "",
        "DNS zone that tells which network announces an address, in the manner of origin.asn.cymru.com; it learns the"
        " addresses of mail and name servers. Empty: RPKI is measured only where no ROA is there at all.",
    )
    mail_reports: str = _setting(
        "",
        "Address that collects DMARC and TLS reports of all domains, at the mail server's name or in a domain that is"
        " enrolled here; empty: rapports@ the mail server's name.",
    )
    mail_caa: str = _setting(
        "letsencrypt.org",
        "Authorities that may issue certificates for the communes' domains (CAA), by spaces.",
    )
    mail_dkim_zone: str = _setting(
        "",
        "Zone of the Département that holds all DKIM keys; a commune's zone then only points to it and keys change"
        " without it. Empty: the keys stand in each commune's zone.",
    )
    acme_directory: str = _setting(
        "",
        "Directory of the authority (ACME) that certifies the communes' names, for example"
        " https://acme-v02.api.letsencrypt.org/directory; setting it accepts its terms. Empty: certificates are put"
        " into STATE/tls/domains by hand.",
    )
    acme_email: str = _setting("", "Address that the authority may write to; empty: none.")
    acme_ca: str = _setting(
        "", "File of authorities that prove the ACME server's own certificate; empty: the usual public ones."
    )
    acme_port: int = _port(
        80, "HTTP, challenges of the authority and nothing else; only with acme_directory."
    )
    dns_update_server: str = _setting(
        "", "DNS server that takes our updates (RFC 2136), 'address' or 'address@port'; empty: none."
    )
    dns_update_key: str = _setting(
        "",
        "Name of the TSIG key (hmac-sha256) of these updates; its secret: STATE/secrets/dns-update.key, in base64.",
    )
    dns_name_servers: str = _setting(
        "",
        "Host names of the Département's name servers, separated by spaces, that a commune may delegate its domain to,"
        " or names below it; empty: delegation is not offered. The records get there by dns_update_server.",
    )
    powerdns_api: str = _setting(
        "",
        "Address of a PowerDNS server's API (https://dns.example:8081) that holds zones of communes; empty: none. Its"
        " key is handed in on the page of a domain.",
    )
    probe_echo: str = _setting(
        "",
        "Address outside that answers each mail or sends it back: every ten minutes a test mail leaves for it and must"
        " have come back ten minutes later. Empty: none leaves.",
    )
    outgoing_mail: bool = _setting(False, "Let mail leave for other servers. Off in a demonstration.")
    outgoing_name: str = _setting(
        "", "Name in HELO of mail that leaves, with A, AAAA and PTR of its own; empty: mail_name."
    )
    outgoing_addresses: str = _setting(
        "",
        "Addresses that mail leaves from: one IPv4, one IPv6, or both, separated by a space; of one family alone, only"
        " that one is used. Empty: the system's choice.",
    )
    outgoing_pools: str = _setting(
        "",
        "Further addresses that mail leaves from, each as 'NAME POOL HELO_NAME ADDRESS [ADDRESS]' (one IPv4, one IPv6,"
        " or both), separated by ';'. POOL: 'warming' gets a share a day that grows (the console shows it), and then"
        " its part of all; 'doubtful' (one at most) takes what doubtful senders send; 'ordinary' takes its part of"
        " all. Each needs A, AAAA and PTR of its HELO name. Empty: all mail leaves from outgoing_addresses.",
    )
    reputation_lists: str = _setting(
        "",
        "DNS block lists that are asked once a day whether they name the addresses that mail leaves from, by spaces,"
        " such as 'zen.spamhaus.org'. Each has terms of its own: read them first. Empty: none is asked.",
    )
    slow_destinations: str = _setting(
        "orange 2 1 20 orange.fr wanadoo.fr; laposte 2 1 20 laposte.net; free 3 0 20 free.fr;"
        " sfr 2 1 20 sfr.fr neuf.fr; microsoft 2 1 20 hotmail.fr outlook.fr hotmail.com outlook.com live.fr;"
        " yahoo 2 1 20 yahoo.fr yahoo.com",
        "Providers that refuse whoever is too fast, each as 'NAME CONNECTIONS DELAY_S RECIPIENTS DOMAIN...', separated"
        " by ';': connections at once to all of its domains, seconds between two mails to one domain (0: none),"
        " recipients a mail. Empty: none.",
    )
    mail_quota_gb: int = _setting(
        5,
        "Room of a mailbox, where the Département gave it no other. What was deleted within 30 days does not count.",
        unit="GB",
        low=1,
        high=1_048_576,
    )
    mail_quota_collectivite_gb: int = _setting(
        100,
        "Room of all mailboxes of a collectivité together, where the Département gave it no other.",
        unit="GB",
        low=1,
        high=1_048_576,
    )
    sending_hour_messages: int = _sent(200, "Mails that one account may send within an hour.")
    sending_day_messages: int = _sent(1000, "Mails that one account may send within a day.")
    sending_hour_recipients: int = _sent(
        500, "Recipients of what one account sends within an hour, each mail's added."
    )
    sending_day_recipients: int = _sent(2000, "The same within a day.")
    sending_contain_refusals: int = _setting(
        100,
        "An account that goes on after its limit and is refused this often within an hour is held by itself: its app"
        " passwords rest, its sessions end, its mail waits, until a person gives it back. 0: never.",
        low=0,
        high=1_000_000,
    )
    sending_contain_unknown: int = _setting(
        20,
        "Recipients that their servers do not know, within an hour: an account that has so many, and"
        " 'sending_contain_unknown_percent', is held by itself in the same way. 0: never.",
        low=0,
        high=1_000_000,
    )
    sending_contain_unknown_percent: int = _setting(
        30,
        "The part of them in all recipients of that account for whom other servers answered within the hour.",
        unit="percent",
        low=1,
        high=100,
    )
    forwarding_outside: bool = _setting(
        True,
        "People may let their mail go on to addresses outside of their collectivité's domains; the référent sees it.",
    )
    forwarding_days: int = _days(90, "Term of a forward, until its owner renews it.", low=1, high=366)
    delegation_days: int = _days(
        90, "Longest time for which a mailbox is lent to a colleague.", low=1, high=366
    )
    portal_source_connections: int = _limit(
        600,
        "Portal: connections that one source (an IPv4 address, an IPv6 /64) may hold, and may open within 10 s.",
    )
    portal_source_requests: int = _limit(
        3000, "Portal: requests of one source within 10 s; more get an answer 429."
    )
    drive_source_requests: int = _limit(
        20_000,
        "Files: requests of one source within 10 s, apart from those for pages; a first synchronisation makes many.",
    )
    portal_source_sign_ins: int = _limit(
        120, "Portal: passwords and codes that one source may send within a minute."
    )
    console_source_connections: int = _limit(
        100, "Console: connections that one source may hold, and may open within 10 s."
    )
    console_source_requests: int = _limit(600, "Console: requests of one source within 10 s.")
    console_source_sign_ins: int = _limit(20, "Console: sign-ins that one source may try within a minute.")
    connections: int = _setting(
        4000,
        "Connections that the front door holds at once, and the stream behind it. A boîtier has one,"
        " and for a moment a second when it reports. Each takes two open files of the front door.",
        low=100,
        high=500_000,
    )
    box_source_connections: int = _limit(
        1000, "Boîtiers: connections that one source may hold, and may open within 10 s."
    )
    box_source_requests: int = _limit(5000, "Boîtiers: requests of one source within 10 s.")
    hsts_s: int = _setting(
        0,
        "Strict-Transport-Security of the portal and the console; only with public certificates.",
        unit="s",
        low=0,
        high=63072000,
    )
    database_url: str = _setting(
        "",
        "PostgreSQL address 'postgresql://...', without a password: that is read from STATE/secrets/database.password."
        " Empty: SQLite in the state directory.",
    )
    user: str = _setting("", "System user of the Python processes; empty: the user that starts the centre.")
    decision_ttl_ip_s: int = _setting(
        4 * 3600, "Life of a block of an address.", unit="s", low=60, high=30 * 86400
    )
    decision_ttl_name_s: int = _setting(
        7 * 86400, "Life of a block of a name or web address.", unit="s", low=60, high=365 * 86400
    )
    decision_ttl_hash_s: int = _setting(
        90 * 86400, "Life of a block of a file hash.", unit="s", low=60, high=3650 * 86400
    )
    exception_person_s: int = _setting(
        3600, "Longest local exception that a person of a commune may make.", unit="s", low=60, high=7 * 86400
    )
    observe_s: int = _setting(
        900,
        "How long a decision on weak evidence is only observed before a few communes block it; as the next, and as "
        "rollback_s, in working time (work_begins_h).",
        unit="s",
        low=0,
        high=30 * 86400,
    )
    canary_s: int = _setting(
        1800, "How long those communes block it before all do.", unit="s", low=0, high=30 * 86400
    )
    canary_percent: int = _setting(
        5, "How many communes block first, rounded up.", unit="% of the communes in service", low=0, high=100
    )
    blast_communes: int = _setting(
        1,
        "Communes that a decision on weak evidence may touch without a person, at least.",
        low=0,
        high=10_000,
    )
    blast_percent: int = _setting(
        1, "The same as a share; the larger counts.", unit="% of the communes in service", low=0, high=100
    )
    rollback_s: int = _setting(
        3600,
        "How long after it came into force a decision that hits communes is withdrawn by itself.",
        unit="s",
        low=0,
        high=7 * 86400,
    )
    work_begins_h: int = _setting(
        8,
        "Working time, Monday to Friday in mainland France, begins: only then time counts for the stages of decisions. "
        "Not before work_ends_h: every second counts.",
        unit="hour",
        low=0,
        high=23,
    )
    work_ends_h: int = _setting(18, "Working time ends.", unit="hour", low=0, high=24)
    heartbeat_s: int = _setting(
        20, "Pause between two signed heartbeats of the feed.", unit="s", low=1, high=300
    )
    batch_pause_ms: int = _setting(
        250,
        "Pause after a batch of the feed for each 1000 connected boîtiers, at most 1 s in all: decisions that fall"
        " into it travel together. A decision after a quiet time never waits.",
        unit="ms",
        low=0,
        high=1000,
    )
    stream_relays: int = _setting(
        0,
        "Further processes that hold the boîtiers' connections; 0: stream holds them itself. Each serves some 10,000"
        " boîtiers, one open file for each.",
        low=0,
        high=16,
    )
    box_fronts: int = _setting(
        0,
        "Further front doors for the boîtiers alone, all on the same port; 0: the front door serves them too. Each"
        " holds its part of `connections`, and grants one source its part of the limits, a quarter more.",
        low=0,
        high=16,
    )
    feed_valid_s: int = _setting(
        24 * 3600, "After this time without news a door raises an alarm.", unit="s", low=60, high=30 * 86400
    )

    retention_evidence_days: int = _days(
        365,
        "How long decisions that ended, and the sightings, campaigns, exceptions, appeals and approvals of the past are"
        " kept. Reporters are judged by half a year of it.",
        low=180,
    )
    retention_messages_days: int = _days(
        365,
        "How long the traces of a message are kept (never its text). What a decision still refers to stays.",
        low=30,
    )
    retention_incidents_days: int = _days(
        2192, "How long an incident is kept after it was closed, unless a complaint is under way.", low=365
    )
    retention_accounts_days: int = _days(
        365, "How long after its end a closed account keeps its name and address.", low=30
    )
    retention_clock_days: int = _days(
        31,
        "The purge trusts a clock that is at most this far ahead of the last run or checkpoint of the audit log;"
        " a centre that was off for longer waits for ./beffroi retention run --clock-is-right.",
        low=2,
        high=90,
    )
    audit_keep_days: int = _setting(
        0,
        "How long entries of the audit log stay in the database; then, once a day, they are written to a file in"
        " STATE/audit, without names, and taken away. 0: only by ./beffroi audit prune. Less than 183 counts as 183.",
        unit="days",
        low=0,
        high=3650,
    )
    log_days: int = _days(
        183,
        "How long technical logs are kept, by date: security logs half a year at least.",
        low=183,
        high=1095,
    )

    backup_path: str = _setting(
        "",
        "Directory of the backups of mailboxes (an absolute path), best on a disk or a mount of its own; empty:"
        " STATE/backup.",
    )
    backup_every_h: int = _setting(6, "Time between two backups of the mailboxes.", unit="h", low=1, high=24)
    backup_keep_days: int = _days(
        35, "How long one backup a day is kept; of the last two days, all are.", low=7, high=366
    )

    drive_objects: str = _setting(
        "",
        "Where the encrypted content of files lies: s3://BUCKET/FOLDER?endpoint=https://HOST, with '&region=R' where"
        " the service has regions; access key and secret key are the two words of STATE/secrets/drive-objects.key."
        " Empty: STATE/drive/objects.",
    )
    drive_on_server: bool = _setting(
        False,
        "Keep names, versions and shares of files in the PostgreSQL of `database_url`, a schema for each collectivité."
        " Off: an SQLite file for each under STATE/drive.",
    )
    drive_trash_days: int = _days(
        30,
        "How long a deleted file can be brought back; then it is destroyed, with its versions.",
        low=1,
        high=366,
    )
    drive_version_days: int = _days(
        366,
        "How long an earlier content of a file is kept, and what a folder looked like can be seen: of the last day"
        " each content, of a week one an hour, of three months one a day, then one a week.",
        low=1,
        high=3660,
    )
    drive_backup_path: str = _setting(
        "",
        "Where the backups of the Coffre lie, best far from its disk: a directory (an absolute path that the Python"
        " user may write), or s3://BUCKET/FOLDER?endpoint=https://HOST as in `drive_objects`, with two words of"
        " STATE/secrets/drive-backup.key; as often and for as long as `backup_every_h` and `backup_keep_days` say."
        " Empty: STATE/drive-backup, on the same disk.",
    )
    drive_person_gb: int = _setting(
        20,
        "Room of a person in the Coffre, where nobody gave them another: own files, their earlier contents, calendars"
        " and contacts.",
        unit="GB",
        low=1,
        high=1_000_000,
    )
    drive_collectivite_gb: int = _setting(
        500,
        "Room of a collectivité in the Coffre, where the Département gave it no other: all of it, earlier contents,"
        " trash and uploads under way too.",
        unit="GB",
        low=1,
        high=1_000_000,
    )
    drive_most_entries: int = _setting(
        2_000_000,
        "Files, folders and earlier contents that a collectivité may have in the Coffre.",
        low=1000,
        high=100_000_000,
    )
    drive_key_days: int = _days(
        366,
        "Age at which the key of a collectivité's files is replaced, and everything is sealed anew under the next one.",
        low=30,
        high=3660,
    )
    drive_reseal_mib_s: int = _setting(
        8,
        "How much is sealed anew each second at most while a key is replaced.",
        unit="MiB/s",
        low=1,
        high=1000,
    )

    drive_time_authority: str = _setting(
        "",
        "Address of an outside authority that stamps the time of seals (RFC 3161), https://…; empty: none, and a seal"
        " rests on the centre's own signed time.",
    )
    drive_time_roots: str = _setting(
        "",
        "File of the root certificates (PEM) by which time stamps are believed; an authority without it is not asked.",
    )

    import_networks: str = _setting(
        "",
        "Networks of private addresses in which an old mailbox may be, separated by spaces; there, on any port. By"
        " default none: an address typed in the portal reaches nothing behind the centre.",
    )
    import_ca: str = _setting(
        "",
        "File of certificates (PEM) of an authority that old mail servers may have besides the public ones.",
    )
    import_pause_ms: int = _setting(
        500,
        "Pause of an import after each 100 mails, so that the old provider is not strained.",
        unit="ms",
        low=0,
        high=60_000,
    )
    sources_proxy: str = _setting(
        "", "HTTP proxy through which outside sources are fetched, 'http://HOST:PORT'; empty: directly."
    )
    sources_networks: str = _setting(
        "",
        "Networks of private addresses from which outside sources may be fetched, separated by spaces; by default"
        " none: an address typed in the console reaches nothing behind the centre.",
    )
    sources_ca: str = _setting(
        "", "File of certificates (PEM) of an authority that sources may have besides the public ones."
    )
    sources_first_size: int = _setting(
        5000,
        "The first update of a source waits for a person when it names more indicators than this.",
        low=0,
        high=1_000_000,
    )
    list_trial_s: int = _setting(
        2700,
        "How long what a source newly names in bulk is only observed before it is blocked, in working time; 0: not at "
        "all. Lists of malware or command servers are never tried.",
        unit="s",
        low=0,
        high=30 * 86400,
    )
    list_trial_size: int = _setting(
        200, "So many new entries of a known list are blocked without a trial.", low=0, high=1_000_000
    )
    list_trial_percent: int = _setting(
        20, "The same as a share of the list; the larger counts.", unit="% of the list", low=0, high=100
    )
    list_trial_used: int = _setting(
        10,
        "Entries on trial that more communes live on than blast_communes and blast_percent are let pass; of more than "
        "this the list waits for a person.",
        low=0,
        high=1_000_000,
    )

    @property
    def relay_names(self) -> tuple[str, ...]:
        """Names of the relays' processes, sockets and directories."""
        return tuple(f"relay-{number}" for number in range(1, self.stream_relays + 1))

    @property
    def reports_address(self) -> str:
        """Where other servers' reports about the communes' domains are to go."""
        return (self.mail_reports or f"rapports@{self.mail_name}").lower()

    @property
    def probe_address(self) -> str:
        """The mailbox of the mails that the centre sends to itself. No person's, of no commune."""
        return f"sonde@{self.mail_name}".lower()

    @property
    def run(self) -> Path:
        """Sockets and process ids."""
        return self.state / "run"

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def database(self) -> str:
        """URL of the relational database: ``sqlite:///PATH`` or ``postgresql://...``, with its password: never shown.

        Errors: SettingInvalid when the password cannot be read.
        """
        if not self.database_url:
            return f"sqlite:///{self.state / 'db' / 'beffroi.sqlite'}"
        if not (self.secrets / DATABASE_PASSWORD).exists():  # a socket or a certificate needs none
            return self.database_url
        password = quote(self.secret(DATABASE_PASSWORD), safe="")
        return f"{self.database_url}{'&' if '?' in self.database_url else '?'}password={password}"

    @property
    def drive_database(self) -> str:
        """As ``database`` where the drive's metadata lie on the server; "" where they are files.

        Errors: SettingInvalid.
        """
        return self.database if self.drive_on_server else ""

    def secret(self, name: str) -> bytes:
        """Content of STATE/secrets/NAME, stripped. Errors: SettingInvalid."""
        path = self.secrets / name
        try:
            return path.read_bytes().strip()
        except OSError as error:
            raise SettingInvalid(f"secrets/{name}", self.state, error.strerror) from None


def load(state: Path | None = None) -> Config:
    """Read the configuration of a state directory. Errors: SettingInvalid, with the field's name."""
    root = state or Path(os.environ.get(STATE_VARIABLE, str(DEFAULT_STATE)))
    path = root / "beffroi.toml"
    try:
        values = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingInvalid("file", path, error) from None
    known = {f.name: f for f in fields(Config) if f.name != "state"}
    for name, value in values.items():
        if name not in known:
            raise SettingInvalid(name, path, "no such setting")
        _check(known[name], value, path)
    if _holds_password(str(values.get("database_url", ""))):
        why = f"holds a password, and every user reads this file: put it in {root / 'secrets' / DATABASE_PASSWORD}"
        raise SettingInvalid("database_url", path, why)
    return Config(state=root, **values)


def _holds_password(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.password) or "password" in parse_qs(parts.query)


def _check(setting: Field[Any], value: object, path: Path) -> None:
    if type(value) is not type(setting.default):
        raise SettingInvalid(setting.name, path, f"must be {type(setting.default).__name__}")
    low, high = setting.metadata["low"], setting.metadata["high"]
    if isinstance(value, int) and low is not None and not low <= value <= high:
        raise SettingInvalid(setting.name, path, f"must be between {low} and {high}")
