"""What the front door grants to one source and in all; the database; the user of the processes."""

from __future__ import annotations

from dataclasses import dataclass

from beffroi.lib.declared.setting import per_source, setting


@dataclass(frozen=True)
class ServingSettings:
    portal_source_connections: int = per_source(
        600,
        "Portal: connections that one source (an IPv4 address, an IPv6 /64) may hold, and may open within 10 s.",
    )
    portal_source_requests: int = per_source(
        3000, "Portal: requests of one source within 10 s; more get an answer 429."
    )
    drive_source_requests: int = per_source(
        20_000,
        "Files: requests of one source within 10 s, apart from those for pages; a first synchronisation makes many.",
    )
    portal_source_sign_ins: int = per_source(
        120, "Portal: passwords and codes that one source may send within a minute."
    )
    console_source_connections: int = per_source(
        100, "Console: connections that one source may hold, and may open within 10 s."
    )
    console_source_requests: int = per_source(600, "Console: requests of one source within 10 s.")
    console_source_sign_ins: int = per_source(
        20, "Console: sign-ins that one source may try within a minute."
    )
    connections: int = setting(
        4000,
        "Connections that the front door holds at once, and the stream behind it. A boîtier has one,"
        " and for a moment a second when it reports. Each takes two open files of the front door.",
        low=100,
        high=500_000,
    )
    box_source_connections: int = per_source(
        1000, "Boîtiers: connections that one source may hold, and may open within 10 s."
    )
    box_source_requests: int = per_source(5000, "Boîtiers: requests of one source within 10 s.")
    hsts_s: int = setting(
        0,
        "Strict-Transport-Security of the portal and the console; only with public certificates.",
        unit="s",
        low=0,
        high=63072000,
    )
    database_url: str = setting(
        "",
        "PostgreSQL address 'postgresql://...', without a password: that is read from STATE/secrets/database.password."
        " Empty: SQLite in the state directory.",
    )
    user: str = setting(
        "", "System user of the Python processes; a first start writes `beffroi`. Root is refused."
    )
