"""How the proof's providers behave: one script a call, drawn from a seed, so that a run can be told again."""

from __future__ import annotations

import random
from enum import StrEnum


class Script(StrEnum):
    WHOLE = "whole"
    SLOW = "slow"
    NO_USAGE = "whole, without usage"
    FILTERED = "stopped by the content filter"
    CUT = "cut in the middle"
    STALL = "silent in the middle"
    SILENT = "silent from the start"
    LIMITED = "429"
    BROKEN = "500"
    REFUSED = "400"
    FILTERED_AT_ONCE = "400 content_filter"


WEIGHTS = {
    Script.WHOLE: 700,
    Script.SLOW: 40,
    Script.NO_USAGE: 60,
    Script.FILTERED: 20,
    Script.CUT: 50,
    Script.STALL: 8,
    Script.SILENT: 6,
    Script.LIMITED: 20,
    Script.BROKEN: 60,
    Script.REFUSED: 20,
    Script.FILTERED_AT_ONCE: 10,
}

REFUSALS = {
    Script.LIMITED: ("429 Too Many Requests", "rate_limit_exceeded"),
    Script.BROKEN: ("500 Internal Server Error", None),
    Script.REFUSED: ("400 Bad Request", "unsupported_value"),
    Script.FILTERED_AT_ONCE: ("400 Bad Request", "content_filter"),
}
"""Their status and code. A refusal is not billed."""


def drawn(seed: int, nonce: str, candidate: str, number: int) -> Script:
    """For the `number`th time that this candidate is asked for it."""
    chance = random.Random(f"{seed}/{nonce}/{candidate}/{number}")  # noqa: S311  # to be told again, not a secret
    return chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
