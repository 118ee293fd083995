"""Latency as counts in log-spaced buckets: sums of sketches are sketches, and a quantile is right to within 5%.

Bucket n holds (GAMMA**(n-1), GAMMA**n] milliseconds, as in DDSketch (https://arxiv.org/abs/1908.10693) with a relative
accuracy of 5%. Fixed buckets were chosen over a library's sketch because they are counters like all others: added, and
taken back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

RELATIVE_ACCURACY = 0.05
GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)


def bucket(latency_ms: float) -> int:
    return math.ceil(math.log(max(latency_ms, 1.0), GAMMA))


def quantile_ms(counts: Mapping[int, int], q: float) -> float | None:
    """By nearest rank: the least latency with at least a share `q` of all at or below it; None for an empty sketch."""
    rank = q * sum(counts.values())
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        if counts[number] and seen >= rank:
            return 2 * math.pow(GAMMA, number) / (GAMMA + 1)
    return None
