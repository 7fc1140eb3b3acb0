"""Sketches of texts, and which of them are near. Pure: no I/O, no clock.

Shape:   lanes of ``LANE_DIGITS`` hexadecimal digits, each the least that one hash function makes of the text's word
         triples. Two texts have as large a part of their lanes in common as of all their triples (Jaccard), give or
         take a tenth.
Source:  A. Broder, On the resemblance and containment of documents (1997): min-wise hashing.
"""

from __future__ import annotations

from collections import Counter

LANES, LANE_DIGITS = 32, 8


def lanes(sketch: str) -> list[str]:
    return [sketch[at : at + LANE_DIGITS] for at in range(0, len(sketch), LANE_DIGITS)]


class Sketches:
    """A set of sketches that answers which of them are near to another one, at the cost of that one's lanes."""

    def __init__(self) -> None:
        self._by_lane: dict[tuple[int, int, str], set[str]] = {}

    def add(self, sketch: str) -> None:
        for place in _places(sketch):
            self._by_lane.setdefault(place, set()).add(sketch)

    def remove(self, sketch: str) -> None:
        """Errors: KeyError, where it is not there."""
        for place in _places(sketch):
            self._by_lane[place].remove(sketch)
            if not self._by_lane[place]:
                del self._by_lane[place]

    def near(self, sketch: str) -> list[str]:
        """Those of as many lanes that have the half of them in common with this one, the nearest first."""
        if (
            not self._by_lane
        ):  # of most tables: each collectivité may have one, and each mail asks all of them
            return []
        places = _places(sketch)
        common = Counter(other for place in places for other in self._by_lane.get(place, ()))
        return [other for other, count in common.most_common() if 2 * count >= len(places)]


def _places(sketch: str) -> list[tuple[int, int, str]]:
    found = lanes(sketch)
    return [(len(found), number, lane) for number, lane in enumerate(found)]
