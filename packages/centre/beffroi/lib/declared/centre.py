"""Names, ports, the resolver, what looks into mail and files, and what people are told."""

from __future__ import annotations

from dataclasses import dataclass

from beffroi.lib.declared.setting import port, setting


@dataclass(frozen=True)
class CentreSettings:
    departement: str = setting("21", "Code of the département that runs this centre.")
    departement_name: str = setting("Côte-d'Or", "Its name as shown to people.")
    listen: str = setting(
        "127.0.0.1", "Address of the public listeners (mail and front); '*' means all, IPv4 and IPv6."
    )
    console_listen: str = setting(
        "127.0.0.1",
        "Address of the Département's console, to which console_name leads: of the network of administration, never the"
        " internet's. On loopback it is reached by ssh -L; '*' means all.",
    )
    portal_name: str = setting("localhost", "Host name of the agents' portal.")
    console_name: str = setting("localhost", "Host name of the Département's console.")
    box_name: str = setting("localhost", "Host name that the boîtiers connect to.")
    mail_name: str = setting("mx.beffroi.test", "Name of the mail server in HELO and banner.")
    portal_port: int = port(8443, "HTTPS, agents' portal.")
    console_port: int = port(8444, "HTTPS, console of the Département.")
    box_port: int = port(8445, "HTTPS, boîtiers.")
    smtp_port: int = port(2525, "SMTP, incoming mail.")
    imap_port: int = port(2143, "IMAP with STARTTLS.")
    imaps_port: int = port(2993, "IMAP over TLS.")
    submission_port: int = port(2587, "Submission of mail by signed-in clients, with STARTTLS.")
    submissions_port: int = port(
        2465, "The same, TLS from the first byte (465 for the world): what programs and phones are set to."
    )
    sieve_port: int = port(2190, "ManageSieve with STARTTLS: scripts of people's own mail programs.")
    mailgate_port: int = port(21004, "mailgate, loopback only.")
    rspamd_proxy_port: int = port(21011, "rspamd milter, loopback only.")
    rspamd_normal_port: int = port(21012, "rspamd scanner, loopback only.")
    rspamd_controller_port: int = port(21013, "rspamd controller, loopback only.")
    doveadm_port: int = port(21014, "doveadm HTTP interface, loopback only.")
    filters_port: int = port(
        21016, "SMTP for what delivery sends: absences, forwarded mail; loopback only, one certificate."
    )
    managesieve_port: int = port(21017, "Our ManageSieve behind Dovecot's door; loopback only, one secret.")
    split_port: int = port(
        21018, "SMTP where the mail of doubtful senders is split; loopback only, one certificate."
    )
    imap_local_port: int = port(21015, "IMAP for the portal, loopback only.")
    resolver_port: int = port(21053, "The centre's own DNS resolver, loopback only.")
    dns_forward: str = setting(
        "", "Resolver to ask for all names, 'address' or 'address@port'; empty: the root servers."
    )
    dns_trust_anchors: str = setting(
        "",
        "File of DNSSEC trust anchors to check what dns_forward answers; empty: it is believed as it is. Without"
        " dns_forward the root's own key is used.",
    )
    mail_dns_lists: bool = setting(
        False, "Ask public DNS block lists, fuzzy hashes and networks about incoming mail."
    )
    clamd: str = setting(
        "",
        "A clamd that looks at attached files: its socket (an absolute path) or HOST:PORT; empty: none. While it does"
        " not answer, mail waits with its senders.",
    )
    scan: bool = setting(
        True,
        "Look into attached files: archives, Office documents, PDFs, YARA rules (those of STATE/rules, too), in a"
        " process without network. While it does not answer, mail with attached files waits with its senders.",
    )
    own_addresses: str = setting(
        "",
        "The centre's addresses as the internet and the boîtiers see them, separated by spaces; never blocked.",
    )
    protected_names: str = setting(
        "", "Names that must never be blocked besides the members' own, separated by spaces."
    )
    incident_contact: str = setting(
        "",
        "What a town hall calls or writes to in an emergency, shown on each open incident and for a suspended mailbox;"
        " empty: nothing is shown.",
    )
    crisis_contacts: str = setting(
        "",
        "Whom a town hall may call besides in an emergency, printed on its emergency sheet, separated by ';': 'CSIRT"
        " régional : 01 99 00 12 34; Préfecture : 01 99 00 56 78'. Empty: lines to fill in by hand.",
    )
    security_contact: str = setting(
        "",
        "Where somebody who found a weakness says so, published in /.well-known/security.txt of the portal: a mail"
        " address or an https:// page; empty: there is no such file.",
    )
    accessibility_contact: str = setting(
        "",
        "Mail address for difficulties of access, in the accessibility statement; empty: it names the référents.",
    )
    office_editor: str = setting(
        "",
        "Address of a Collabora Online or an OnlyOffice server in which people write documents of the Coffre, as their"
        " browsers and this centre reach it: https://office.example.fr. It must reach the portal by its name. Empty:"
        " documents are shown, and opened in programs.",
    )
    office_ca: str = setting(
        "",
        "File of certificates (PEM) of an authority that the office editor may have instead of the public ones.",
    )
    office_max_mib: int = setting(
        100, "The largest document that the office editor saves.", unit="MiB", low=1, high=2048
    )
    previews: bool = setting(
        True,
        "Show the first pages of office documents in the Coffre: LibreOffice opens them in a process without network,"
        " which has nothing. Needs up to 2 GB of memory for a document.",
    )
