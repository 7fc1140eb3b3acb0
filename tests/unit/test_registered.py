"""What services register with the core (consumers, timers, terms, holds, doors) is whole for whoever asks, in any
process: asked in a new one that has loaded nothing else, and compared with the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import beffroi

REGISTERS = re.compile(
    r'^(?:@(?:\w+\.)?|category\(\s*|(?=periodic\())(consumer|periodic|hold|reaches|Category)\((?:\s*name=)?\s*"?([\w.]+)',
    re.M,
)
DOORS = {"BOX": "box", "MAIL": "mail"}
ASKED = """
import json, sys
import django

django.setup()
loaded = {name.rpartition(".")[2] for name in sys.modules if name.startswith("beffroi.mail.")}
from beffroi.core.decisions import reach, shared
from beffroi.core.events import registry as events
from beffroi.core.retention import registry as retention

retention.held("", []), reach.communes("")
found = [
    *(("consumer", name) for name in events.consumers()),
    *(("periodic", name) for name in events.timers()),
    *(("Category", one.name) for one in retention.categories()),
    *(("hold", kind) for kind, known in retention._holds.items() for _ in known),
    *(("reaches", door) for door in reach._known),
]
print(json.dumps([sorted(loaded & {"consumers", "retention", "doors"}), found, len(shared._mail_hosts)]))
"""


def test_whoever_asks_finds_all_of_them_and_who_does_not_ask_loads_none() -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "beffroi.settings.base"}
    answer = subprocess.run((sys.executable, "-c", ASKED), env=environment, check=True, capture_output=True)
    loaded, found, mail_hosts = json.loads(answer.stdout)
    assert loaded == [] and mail_hosts == 1
    texts = [path.read_text("utf-8") for path in Path(beffroi.__file__).parent.rglob("*.py")]
    told = [(how, DOORS.get(name, name)) for text in texts for how, name in REGISTERS.findall(text)]
    assert sorted(map(tuple, found)) == sorted(told)
    assert {how for how, _ in told} == {"consumer", "periodic", "hold", "reaches", "Category"}
