"""What a test needs of the machine: markers ``root``, ``netns``, ``browser``, ``front``, ``corpus``.

Where the machine lacks it, the test is skipped, and one line at the end says what could not run. With
BEFFROI_REQUIRE_ALL=1, as on the machine that decides about a change, every skip is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import pytest

ENGINES = (
    "/usr/sbin/postfix",
    "/usr/sbin/dovecot",
    "/usr/bin/rspamd",
    "/usr/sbin/unbound",
    "/usr/sbin/haproxy",
)


def _root() -> str:
    if os.getuid() != 0:
        return "root"
    missing = [Path(engine).name for engine in ENGINES if not Path(engine).exists()]
    return f"the mail engines ({', '.join(missing)} missing)" if missing else ""


def _netns() -> str:
    if os.getuid() != 0 or shutil.which("nft") is None or shutil.which("ip") is None:
        return "root with iproute2 and nftables"
    made = subprocess.run(("unshare", "--net", "--mount", "true"), capture_output=True, check=False)
    return "" if made.returncode == 0 else "network namespaces"


def _browser() -> str:
    return "" if all(map(shutil.which, ("chromium", "chromium-headless-shell"))) else "Chromium"


def _front() -> str:
    return "" if shutil.which("haproxy") else "haproxy"


def _corpus() -> str:
    folder = os.environ.get("BEFFROI_DATA", "")
    return "" if folder and Path(folder).is_dir() else "the corpus (BEFFROI_DATA)"


CAPABILITIES: dict[str, Callable[[], str]] = {
    "root": cache(_root),
    "netns": cache(_netns),
    "browser": cache(_browser),
    "front": cache(_front),
    "corpus": cache(_corpus),
}
_unmet: Counter[str] = Counter()


def strict() -> bool:
    return os.environ.get("BEFFROI_REQUIRE_ALL", "") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, missing in CAPABILITIES.items():
        if item.get_closest_marker(marker) is not None and (what := missing()):
            _unmet[what] += 1
            pytest.skip(f"needs {what}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and strict() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped, and BEFFROI_REQUIRE_ALL=1 allows no skip: {call.excinfo}"
        )
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _unmet:
        told = "; ".join(f"{count} tests need {what}" for what, count in _unmet.items())
        terminalreporter.write_line(f"not run on this machine: {told}")
