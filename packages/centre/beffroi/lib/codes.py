"""What the codes of collectivités look like. No Django.

Source:  insee.fr, "Code officiel géographique" and "SIREN" (definitions).
"""

from __future__ import annotations

import re

_INSEE = re.compile(r"(?:[0-9]{2}|2[AB])[0-9]{3}")
_SIREN = re.compile(r"[0-9]{9}")


def is_insee(text: str) -> bool:
    """Of a commune: five signs, of which the first two are the département's."""
    return bool(_INSEE.fullmatch(text))


def is_siren(text: str) -> bool:
    """Nine digits, of which the last one checks the others (Luhn)."""
    if not _SIREN.fullmatch(text):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(text)]
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0
