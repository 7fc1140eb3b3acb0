"""What of this folder runs only where the tests have a server of PostgreSQL."""

from __future__ import annotations

from tests.fixtures_drive_store import SERVER

# SQLite's plans do not depend on what lies there.
collect_ignore = [] if SERVER else ["test_drive_plans.py"]
