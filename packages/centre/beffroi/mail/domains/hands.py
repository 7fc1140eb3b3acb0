"""One task at one provider, by dns-lexicon: ``python -m beffroi.mail.domains.hands``, a child of ``registrar``.

Purpose: list a zone, compare it with our plan, change what differs, undo.
Process: a child with limits of memory, time and processor; task and keys come by its standard input, JSON lines leave
         by its standard output. It says what it is about to do before it does it: the parent writes that down first.
Hostile: what the provider answers.
Fails:   closed: one code, never the provider's own words, which may hold a key.
Source:  docs/decisions/0054-registrars-and-certificates.md.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import dns.exception
import dns.resolver
import requests
from lexicon.client import Client
from lexicon.config import ConfigResolver
from lexicon.exceptions import AuthenticationError

from beffroi.mail.domains.difference import Clash, Difference, Row, difference, row
from beffroi.mail.domains.providers import PROVIDERS, Apex, Provider
from beffroi.mail.domains.records import TTL_S, Purpose, quoted

MEMORY_BYTES = 768 * 1024 * 1024
CPU_S = 60
RESOLVER_S = 10.0
MAX_ROWS = 5000
_KEY, _ZONE, _REFUSED = (401, 403), (404,), (400, 409, 422)


class Trouble(Exception):
    """``code``: key, zone, refused, haste, silent or odd; ``portal.registrar_words`` says what to do."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def trouble(error: Exception) -> Trouble:
    """The provider's exception in our few words."""
    if isinstance(error, Trouble):
        return error
    if isinstance(error, AuthenticationError):
        return Trouble("zone" if "not found" in str(error) else "key")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        for codes, word in ((_KEY, "key"), (_ZONE, "zone"), (_REFUSED, "refused"), ((429,), "haste")):
            if status in codes:
                return Trouble(word)
        return Trouble("silent" if status >= 500 else "odd")
    if isinstance(error, requests.RequestException | OSError):
        return Trouble("silent")
    if isinstance(error, dns.exception.DNSException):
        return Trouble("zone")
    return Trouble("odd")


class Hands:
    """One zone at one provider. Errors of every method: Trouble."""

    def __init__(self, provider: Provider, operations: Any) -> None:
        self._provider = provider
        self._lexicon = operations
        self._zone: str = operations.provider.domain
        self._raw: dict[Row, dict[str, Any]] = {}

    def rows(self) -> set[Row]:
        """What stands in the zone now."""
        found = self._call(self._lexicon.list_records)
        if len(found) > MAX_ROWS:
            raise Trouble("odd")
        try:
            self._raw = {row(one["name"] or self._zone, one["type"], one["content"]): one for one in found}
        except (KeyError, TypeError, AttributeError):
            raise Trouble("odd") from None
        return set(self._raw)

    def sees(self, one: Row) -> bool:
        """Whether it stands there, as of the last listing and what was done since."""
        return one in self._raw

    def add(self, one: Row) -> None:
        data = quoted(one.data) if one.type == "TXT" and self._provider.quoted else one.data
        if one.type == "CAA":
            flags, tag, value = one.data.split(" ", 2)
            data = f'{flags} {tag} "{value}"'
        if self._provider.sets:
            self._call(self._lexicon.update_record, None, one.type, self._name(one), [*self._held(one), data])
        else:
            self._call(self._lexicon.create_record, one.type, self._name(one), data)
        # Noted, not asked for again: OVH answers one question a record.
        content = data.strip('"') if one.type == "TXT" else data
        self._raw[one] = {"type": one.type, "name": one.name, "content": content, "id": None}

    def remove(self, one: Row) -> None:
        raw = self._raw.get(one)
        if raw is None:
            return
        name = self._name(one)
        if self._provider.sets:
            left = [text for text in self._held(one) if row(one.name, one.type, text) != one]
            if left:
                self._call(self._lexicon.update_record, None, one.type, name, left)
            else:
                self._call(self._lexicon.delete_record, None, one.type, name)
        elif raw["id"] is None or self._provider.name == "powerdns":
            # Its numbers hold the data, and break at a slash.
            self._call(self._lexicon.delete_record, None, raw["type"], name, raw["content"])
        else:
            self._call(self._lexicon.delete_record, raw["id"])
        del self._raw[one]

    def _held(self, one: Row) -> list[str]:
        """What stands at this name and type, as its interface takes it back."""
        return [
            f'"{raw["content"]}"' if one.type == "TXT" else raw["content"]
            for held, raw in self._raw.items()
            if held.key == one.key
        ]

    def _name(self, one: Row) -> str:
        if self._provider.apex is Apex.FULL:
            return one.name
        return one.name.removesuffix(self._zone).rstrip(".") or str(self._provider.apex)

    def _call(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001 - drivers raise whatever they like; their words may hold a key
            raise trouble(error) from None


def client(provider: Provider, keys: dict[str, str], domain: str, options: dict[str, str]) -> Client:
    """Errors: Trouble (zone: DNS knows no zone of this domain)."""
    settings = {
        "provider_name": provider.name,
        "domain": domain,
        "resolve_zone_name": True,  # by DNS; else lexicon fetches a list of suffixes from the net
        "ttl": TTL_S,
        provider.name: {**provider.fixed, **keys, **options},
    }
    try:
        made = Client(ConfigResolver().with_dict(settings))  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - as above
        raise trouble(error) from None
    if "." not in str(made.config.resolve("lexicon:domain")):
        raise Trouble("zone")
    if provider.name == "powerdns":
        made.provider_class = _mended(made.provider_class)
    return made


def _mended(driver: Any) -> Any:
    """lexicon's driver for PowerDNS puts the zone behind every CNAME's target that lies outside, and lists what is
    switched off and no question is answered with. It keeps that when it writes: so do we."""

    class Mended(driver):  # type: ignore[misc]
        def _clean_content(self, rtype: str, content: str) -> str:
            return content if rtype == "CNAME" else super()._clean_content(rtype, content)

        def _unclean_content(self, rtype: str, content: str) -> str:
            return content if rtype == "CNAME" else super()._unclean_content(rtype, content)

        def list_records(self, *arguments: Any) -> Any:
            off = {
                self._make_identifier(rows["type"], rows["name"], one["content"])
                for rows in self.zone_data()["rrsets"]
                for one in rows["records"]
                if one["disabled"]
            }
            return [one for one in super().list_records(*arguments) if one["id"] not in off]

    return Mended


def moves(found: Difference, replace: Collection[str]) -> list[tuple[list[Row], list[Row]]]:
    """(goes, comes) a name: what may be done, clashes only where ``replace`` holds their key."""
    allowed: list[Clash] = [one for one in found.clashes if one.key in replace]
    goes = [*found.removes, *(one for clash in allowed for one in clash.goes)]
    comes = [*found.adds, *(one for clash in allowed for one in clash.comes)]
    # A name that another's record keeps as it is is left alone as a whole.
    held = {one.goes[0].name for one in found.clashes if one.key not in replace and _points(one)}
    names = sorted({one.name for one in (*goes, *comes)} - held)
    return [
        ([one for one in goes if one.name == name], [one for one in comes if one.name == name])
        for name in names
    ]


def _points(one: Clash) -> bool:
    return any(each.type == "CNAME" for each in (*one.goes, *one.comes))


def change(hands: Hands, todo: Iterable[tuple[list[Row], list[Row]]]) -> dict[str, str]:
    """Do it; {row's key: code} of what the provider refused. Errors: Trouble that ends it all (key, haste, silent)."""
    refused: dict[str, str] = {}
    for goes, comes in todo:
        if any(one.type == "CNAME" for one in (*goes, *comes)):
            _replace(hands, goes, comes, refused)
            continue
        if _each(hands, "add", comes, refused):  # what stands there goes only when the new one is there
            _each(hands, "remove", goes, refused)
    return refused


def _replace(hands: Hands, goes: Sequence[Row], comes: Sequence[Row], refused: dict[str, str]) -> None:
    if not (_each(hands, "remove", goes, refused) and _each(hands, "add", comes, refused)):
        _each(hands, "add", [one for one in goes if not hands.sees(one)], refused)


def _each(hands: Hands, verb: str, rows: Iterable[Row], refused: dict[str, str]) -> bool:
    well = True
    for one in rows:
        say({"doing": verb, "row": [one.name, one.type, one.data]})
        try:
            getattr(hands, verb)(one)
        except Trouble as error:
            if error.code not in ("refused", "odd", "zone"):
                raise
            refused[one.key] = error.code
            well = False
    return well


def undo(hands: Hands, journal: Sequence[tuple[str, Row]]) -> dict[str, str]:
    """Backwards, what is still as we left it."""
    refused: dict[str, str] = {}
    hands.rows()
    for verb, one in reversed(journal):
        if verb == "add" and hands.sees(one):
            _each(hands, "remove", [one], refused)
        elif verb == "remove" and not hands.sees(one):
            _each(hands, "add", [one], refused)
    return refused


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Errors: Trouble."""
    provider = PROVIDERS[task["provider"]]
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], task["resolver_port"], RESOLVER_S
    dns.resolver.default_resolver = resolver
    wanted = [(Row(*one[:3]), Purpose(one[3])) for one in task.get("records", ())]
    ours = {Row(*one) for one in task.get("ours", ())}
    made = client(provider, task["keys"], task["domain"], task.get("options", {}))
    try:
        operations = made.__enter__()
    except Exception as error:  # noqa: BLE001 - as above
        raise trouble(error) from None
    hands = Hands(provider, operations)
    found = difference(hands.rows(), wanted, ours)
    refused: dict[str, str] = {}
    if task["verb"] == "apply":
        if found.mark != task["mark"]:
            return {"ok": False, "code": "changed"}
        refused = change(hands, moves(found, task["replace"]))
    elif task["verb"] == "undo":
        refused = undo(hands, [(verb, Row(*one)) for verb, one in task["journal"]])
    present = hands.rows()
    return {
        "ok": True,
        "refused": refused,
        "present": sorted([one.name, one.type, one.data] for one in present),
    }


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        say(work(json.load(sys.stdin)))
    except Trouble as error:
        say({"ok": False, "code": error.code})
    return 0


if __name__ == "__main__":
    sys.exit(main())
