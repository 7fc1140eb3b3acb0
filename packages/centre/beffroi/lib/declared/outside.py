"""What is fetched from outside: old mailboxes, and sources of indicators with their trials."""

from __future__ import annotations

from dataclasses import dataclass

from beffroi.lib.declared.setting import setting


@dataclass(frozen=True)
class OutsideSettings:
    import_networks: str = setting(
        "",
        "Networks of private addresses in which an old mailbox may be, separated by spaces; there, on any port. By"
        " default none: an address typed in the portal reaches nothing behind the centre.",
    )
    import_ca: str = setting(
        "",
        "File of certificates (PEM) of an authority that old mail servers may have besides the public ones.",
    )
    import_pause_ms: int = setting(
        500,
        "Pause of an import after each 100 mails, so that the old provider is not strained.",
        unit="ms",
        low=0,
        high=60_000,
    )
    sources_proxy: str = setting(
        "", "HTTP proxy through which outside sources are fetched, 'http://HOST:PORT'; empty: directly."
    )
    sources_networks: str = setting(
        "",
        "Networks of private addresses from which outside sources may be fetched, separated by spaces; by default"
        " none: an address typed in the console reaches nothing behind the centre.",
    )
    sources_ca: str = setting(
        "", "File of certificates (PEM) of an authority that sources may have besides the public ones."
    )
    sources_first_size: int = setting(
        5000,
        "The first update of a source waits for a person when it names more indicators than this.",
        low=0,
        high=1_000_000,
    )
    list_trial_s: int = setting(
        2700,
        "How long what a source newly names in bulk is only observed before it is blocked, in working time; 0: not at "
        "all. Lists of malware or command servers are never tried.",
        unit="s",
        low=0,
        high=30 * 86400,
    )
    list_trial_size: int = setting(
        200, "So many new entries of a known list are blocked without a trial.", low=0, high=1_000_000
    )
    list_trial_percent: int = setting(
        20, "The same as a share of the list; the larger counts.", unit="% of the list", low=0, high=100
    )
    list_trial_used: int = setting(
        10,
        "Entries on trial that more communes live on than blast_communes and blast_percent are let pass; of more than "
        "this the list waits for a person.",
        low=0,
        high=1_000_000,
    )
