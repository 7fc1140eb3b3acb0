"""Mail: domains and their records, certificates, what leaves, room, limits of accounts, terms."""

from __future__ import annotations

from dataclasses import dataclass

from beffroi.lib.declared.setting import days, per_account, port, setting


@dataclass(frozen=True)
class MailSettings:
    mail_spf: str = setting(
        "mx", "SPF mechanisms of the servers that send for the communes, such as 'include:_spf.example.fr'."
    )
    mail_country: str = setting(
        "",
        "Country where the centre stands, as ISO 3166 writes it, such as FR: RPNT asks that mail servers stand in the"
        " European Union. Empty: that criterion is not judged.",
    )
    rpki_payloads: str = setting(
        "",
        "File in CSV that a local RPKI validator writes at least daily (rpki-client's csv, or Routinator's):"
        " internet.nl's points about RPKI. Empty: they are not measured.",
    )
    rpki_origins: str = setting(
        "",
        "DNS zone that tells which network announces an address, in the manner of origin.asn.cymru.com; it learns the"
        " addresses of mail and name servers. Empty: RPKI is measured only where no ROA is there at all.",
    )
    mail_reports: str = setting(
        "",
        "Address that collects DMARC and TLS reports of all domains, at the mail server's name or in a domain that is"
        " enrolled here; empty: rapports@ the mail server's name.",
    )
    mail_caa: str = setting(
        "letsencrypt.org",
        "Authorities that may issue certificates for the communes' domains (CAA), by spaces.",
    )
    mail_dkim_zone: str = setting(
        "",
        "Zone of the Département that holds all DKIM keys; a commune's zone then only points to it and keys change"
        " without it. Empty: the keys stand in each commune's zone.",
    )
    acme_directory: str = setting(
        "",
        "Directory of the authority (ACME) that certifies the communes' names, for example"
        " https://acme-v02.api.letsencrypt.org/directory; setting it accepts its terms. Empty: certificates are put"
        " into STATE/tls/domains by hand.",
    )
    acme_email: str = setting("", "Address that the authority may write to; empty: none.")
    acme_ca: str = setting(
        "", "File of authorities that prove the ACME server's own certificate; empty: the usual public ones."
    )
    acme_port: int = port(80, "HTTP, challenges of the authority and nothing else; only with acme_directory.")
    dns_update_server: str = setting(
        "", "DNS server that takes our updates (RFC 2136), 'address' or 'address@port'; empty: none."
    )
    dns_update_key: str = setting(
        "",
        "Name of the TSIG key (hmac-sha256) of these updates; its secret: STATE/secrets/dns-update.key, in base64.",
    )
    dns_name_servers: str = setting(
        "",
        "Host names of the Département's name servers, separated by spaces, that a commune may delegate its domain to,"
        " or names below it; empty: delegation is not offered. The records get there by dns_update_server.",
    )
    powerdns_api: str = setting(
        "",
        "Address of a PowerDNS server's API (https://dns.example:8081) that holds zones of communes; empty: none. Its"
        " key is handed in on the page of a domain.",
    )
    probe_echo: str = setting(
        "",
        "Address outside that answers each mail or sends it back: every ten minutes a test mail leaves for it and must"
        " have come back ten minutes later. Empty: none leaves.",
    )
    outgoing_mail: bool = setting(False, "Let mail leave for other servers. Off in a demonstration.")
    outgoing_name: str = setting(
        "", "Name in HELO of mail that leaves, with A, AAAA and PTR of its own; empty: mail_name."
    )
    outgoing_addresses: str = setting(
        "",
        "Addresses that mail leaves from: one IPv4, one IPv6, or both, separated by a space; of one family alone, only"
        " that one is used. Empty: the system's choice.",
    )
    outgoing_pools: str = setting(
        "",
        "Further addresses that mail leaves from, each as 'NAME POOL HELO_NAME ADDRESS [ADDRESS]' (one IPv4, one IPv6,"
        " or both), separated by ';'. POOL: 'warming' gets a share a day that grows (the console shows it), and then"
        " its part of all; 'doubtful' (one at most) takes what doubtful senders send; 'ordinary' takes its part of"
        " all. Each needs A, AAAA and PTR of its HELO name. Empty: all mail leaves from outgoing_addresses.",
    )
    reputation_lists: str = setting(
        "",
        "DNS block lists that are asked once a day whether they name the addresses that mail leaves from, by spaces,"
        " such as 'zen.spamhaus.org'. Each has terms of its own: read them first. Empty: none is asked.",
    )
    slow_destinations: str = setting(
        "orange 2 1 20 orange.fr wanadoo.fr; laposte 2 1 20 laposte.net; free 3 0 20 free.fr;"
        " sfr 2 1 20 sfr.fr neuf.fr; microsoft 2 1 20 hotmail.fr outlook.fr hotmail.com outlook.com live.fr;"
        " yahoo 2 1 20 yahoo.fr yahoo.com",
        "Providers that refuse whoever is too fast, each as 'NAME CONNECTIONS DELAY_S RECIPIENTS DOMAIN...', separated"
        " by ';': connections at once to all of its domains, seconds between two mails to one domain (0: none),"
        " recipients a mail. Empty: none.",
    )
    mail_quota_gb: int = setting(
        5,
        "Room of a mailbox, where the Département gave it no other. What was deleted within 30 days does not count.",
        unit="GB",
        low=1,
        high=1_048_576,
    )
    mail_quota_collectivite_gb: int = setting(
        100,
        "Room of all mailboxes of a collectivité together, where the Département gave it no other.",
        unit="GB",
        low=1,
        high=1_048_576,
    )
    sending_hour_messages: int = per_account(200, "Mails that one account may send within an hour.")
    sending_day_messages: int = per_account(1000, "Mails that one account may send within a day.")
    sending_hour_recipients: int = per_account(
        500, "Recipients of what one account sends within an hour, each mail's added."
    )
    sending_day_recipients: int = per_account(2000, "The same within a day.")
    sending_contain_refusals: int = setting(
        100,
        "An account that goes on after its limit and is refused this often within an hour is held by itself: its app"
        " passwords rest, its sessions end, its mail waits, until a person gives it back. 0: never.",
        low=0,
        high=1_000_000,
    )
    sending_contain_unknown: int = setting(
        20,
        "Recipients that their servers do not know, within an hour: an account that has so many, and"
        " 'sending_contain_unknown_percent', is held by itself in the same way. 0: never.",
        low=0,
        high=1_000_000,
    )
    sending_contain_unknown_percent: int = setting(
        30,
        "The part of them in all recipients of that account for whom other servers answered within the hour.",
        unit="percent",
        low=1,
        high=100,
    )
    forwarding_outside: bool = setting(
        True,
        "People may let their mail go on to addresses outside of their collectivité's domains; the référent sees it."
        " Where not, those in place end within the hour, and their mailboxes hear of it.",
    )
    forwarding_days: int = days(90, "Term of a forward, until its owner renews it.", low=1, high=366)
    delegation_days: int = days(
        90, "Longest time for which a mailbox is lent to a colleague.", low=1, high=366
    )
