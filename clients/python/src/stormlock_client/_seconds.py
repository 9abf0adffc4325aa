"""Durations as people write them for the command line: 500ms, 30s, 1h30m, 4 seconds."""

from __future__ import annotations

import re
from typing import Optional

FORM = "a whole number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d"

# Largest first. Of a shortened word the first fit counts: "m" and "mi" are minutes. Only the symbol
# "ms" comes before that.
_UNITS = (
    ("d", "days", 86_400_000),
    ("h", "hours", 3_600_000),
    ("m", "minutes", 60_000),
    ("s", "seconds", 1000),
    ("ms", "milliseconds", 1),
)
_WHOLE = re.compile(r"(?:[0-9]+ *[a-z]+ *)*[0-9]+ *[a-z]+")
_PART = re.compile(r"([0-9]+) *([a-z]+)")


def parse_seconds(text: str) -> Optional[float]:
    """None when it is no duration, or not more than nothing: a bare number has no unit."""
    if _WHOLE.fullmatch(text) is None:
        return None
    total = 0
    last = 0
    for amount, word in _PART.findall(text):
        unit = _milliseconds_of(word)
        if unit is None or (last > 0 and unit >= last):
            return None
        total += int(amount) * unit
        last = unit
    return total / 1000 if total > 0 else None


def _milliseconds_of(word: str) -> Optional[int]:
    by_symbol = (unit for symbol, _, unit in _UNITS if symbol == word)
    by_word = (unit for _, whole, unit in _UNITS if whole.startswith(word))
    return next(by_symbol, None) or next(by_word, None)
