"""What is told of a trim, in words and in numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from llm_router.prompt_warnings import warnings
from llm_router.usage import TrimKind, Trimming

TRIMMED = Trimming(
    TrimKind.TRIM,
    before=51_234,
    after=5_998,
    messages_gone=3,
    passages_gone=1,
    limit=6_000,
    saved_usd=Decimal("0.0022618"),
    usd_per_mtok=Decimal("0.050"),
)


def test_nothing_is_told_of_a_prompt_that_was_left_alone():
    assert warnings(None) == []


@pytest.mark.parametrize(
    ("trimming", "kind", "message"),
    [
        (
            TRIMMED,
            "prompt_trimmed",
            (
                "The prompt was trimmed from 51,234 to 5,998 tokens, to be within 6,000. Left out: 3 messages and "
                "1 passage. That saved 0.0022618 USD, at 0.05 per million tokens."
            ),
        ),
        (
            Trimming(TrimKind.TRIM, 700, 500, passages_gone=2, limit=500, is_estimated=True),
            "prompt_trimmed",
            "The prompt was trimmed from 700 to 500 (estimated) tokens, to be within 500. Left out: 2 passages.",
        ),
        (
            Trimming(TrimKind.TRIM, 700, 500, limit=500),
            "prompt_trimmed",
            "The prompt was trimmed from 700 to 500 tokens, to be within 500. Left out: blanks and repetitions.",
        ),
        (
            Trimming(TrimKind.SAFE, 700, 650, is_estimated=True),
            "prompt_cleaned",
            "Blanks and repetitions were taken out of the prompt: 700 tokens became 650 (estimated).",
        ),
        (
            Trimming(TrimKind.KEPT, 7_000, 7_000, limit=6_000),
            "prompt_kept",
            (
                "The prompt was left as it is, 7,000 tokens, over the limit of 6,000: its beginning, read from the "
                "provider's cache, is expected to cost less than a trimmed prompt."
            ),
        ),
    ],
)
def test_each_kind_has_its_words(trimming, kind, message):
    (told,) = warnings(trimming)
    assert (told["kind"], told["message"]) == (kind, message)


def test_the_numbers_stand_beside_the_words():
    (told,) = warnings(TRIMMED)
    assert {name: value for name, value in told.items() if name not in ("kind", "message")} == {
        "tokensBefore": 51_234,
        "tokensAfter": 5_998,
        "tokensBasis": "counted",
        "tokensLimit": 6_000,
        "messagesRemoved": 3,
        "passagesRemoved": 1,
        "savedUsd": Decimal("0.0022618"),
    }
