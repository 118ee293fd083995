"""Counting with o200k_base: exact where words end, never too low anywhere, and bounded before tiktoken is called."""

from __future__ import annotations

import hashlib
import io
import json
import random
import string
import sys
from unittest import mock

import pytest
from aws_lambda_powertools import Logger
from hypothesis import example, given
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from builders import VOCABULARY_DIR
from llm_router import tokens
from llm_router.tokens import CUT_TOKENS, PIECE_AT_MOST, Tokenizer, VocabularyMissingError

LOGGER = Logger(service="test_tokens", stream=io.StringIO())
TOKENIZER = Tokenizer(VOCABULARY_DIR, logger=LOGGER)

PARTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "don't ",
            "I'LL",
            "  ",
            "\n\n\n",
            "\r\n",
            "//",
            "--",
            "123456",
            "ÅNGSTRÖM",
            "漢字\uff0c仮名。",
            "🙂🙃",
            "\u0301",
        ]
    ),
    st.text(alphabet="ab ,.\n'", max_size=60),
)


@pytest.fixture(scope="module")
def tiktoken_itself():
    """What tiktoken makes of its own file."""
    with mock.patch.dict("os.environ", {"TIKTOKEN_CACHE_DIR": str(VOCABULARY_DIR)}):
        spec = openai_public.o200k_base()
    from tiktoken import Encoding

    return Encoding(**spec)


def long_text(parts):
    """Past one piece, so that it has to be cut."""
    text = "".join(parts) or "a "
    return text * (2 * PIECE_AT_MOST // len(text) + 1)


def test_the_vocabulary_is_the_one_that_tiktoken_expects():
    with mock.patch.object(openai_public, "load_tiktoken_bpe", autospec=True) as load:
        spec = openai_public.o200k_base()
    (url,), named = load.call_args
    assert hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest() == tokens.VOCABULARY
    assert named["expected_hash"] == tokens.VOCABULARY_SHA256
    assert spec["pat_str"] == tokens.PATTERN
    assert spec["special_tokens"] == tokens.SPECIAL_TOKENS


@given(parts=st.lists(PARTS, max_size=12))
def test_the_count_of_a_short_text_is_tiktokens_own(tiktoken_itself, parts):
    text = "".join(parts)
    assert TOKENIZER.count(text) == len(tiktoken_itself.encode_ordinary(text))


@given(parts=st.lists(PARTS, min_size=1, max_size=12))
@example(parts=["don't stop, O'Neill's 1234 houses. "])
@example(parts=["日本語のテキスト。漢字仮名交じり文、です\uff01"])
def test_a_long_text_that_is_cut_between_words_only_is_counted_exactly(tiktoken_itself, parts):
    text = long_text(parts)
    pieces, cuts = tokens._pieces(text)
    exact = len(tiktoken_itself.encode_ordinary(text))
    assert "".join(pieces) == text
    assert TOKENIZER.count(text) == exact if not cuts else TOKENIZER.count(text) >= exact


@given(alphabet=st.text(min_size=1, max_size=4), seed=st.integers(0, 2**32))
@example(alphabet="0\u00bc", seed=0)
@example(alphabet="\u21605", seed=1)
@example(alphabet="a012345\u0660", seed=2)
def test_a_run_without_a_break_is_never_counted_too_low_and_little_too_high(tiktoken_itself, alphabet, seed):
    text = "".join(random.Random(seed).choices(alphabet, k=3 * PIECE_AT_MOST))  # noqa: S311  # any will do
    exact, counted = len(tiktoken_itself.encode_ordinary(text)), TOKENIZER.count(text)
    assert exact <= counted <= exact + 3 * (CUT_TOKENS + 2)


HOSTILE = {
    "one letter": "a",
    "letters": string.ascii_lowercase,
    "blanks": " ",
    "line ends": "\n",
    "blanks of every kind": " \t\u00a0\u2003\u3000",
    "exclamation marks": "!",
    "digits": "0123456789",
    "marks that combine": "\u0301",
    "pictures": "😀",
    "characters of Han": "漢",
    "not assigned": "\U000e0fff",
    "upper and lower": "aA",
    "apostrophes": "a'",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_million_characters_of_the_worst_kind_reach_tiktoken_in_small_pieces(text):
    whole = (text * 1_000_000)[:1_000_000]
    pieces, cuts = tokens._pieces(whole)
    assert max(map(len, pieces)) <= PIECE_AT_MOST
    assert cuts <= len(whole) // PIECE_AT_MOST
    assert len(pieces) <= 2 * len(whole) // PIECE_AT_MOST + 2
    assert 0 < TOKENIZER.count(whole) <= len(whole.encode())


@given(st.text(alphabet=st.characters(), max_size=50), st.integers(0xD800, 0xDFFF))
def test_half_a_character_is_counted_as_what_stands_for_it(text, half):
    assert TOKENIZER.count(text + chr(half)) >= TOKENIZER.count(text)


@given(st.text())
def test_a_text_has_no_more_tokens_than_bytes(text):
    """What lets short prompts go uncounted."""
    assert TOKENIZER.count(text) <= len(text.encode())


@pytest.mark.parametrize("content", [None, b"", b"aGk= 0\n"], ids=["missing", "empty", "another"])
def test_without_its_vocabulary_it_says_so_once_and_counts_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / tokens.VOCABULARY).write_bytes(content)
    stream = io.StringIO()
    tokenizer = Tokenizer(tmp_path, logger=Logger(service=f"test_tokens_{tmp_path.name}", stream=stream))
    for _ in range(3):
        with pytest.raises(VocabularyMissingError):
            tokenizer.count("Hello")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["vocabulary_missing"]
    assert not list(tmp_path.glob("*.tmp"))


def test_nothing_that_could_fetch_is_loaded_by_counting():
    import subprocess

    code = (
        "import sys, logging; from pathlib import Path; from aws_lambda_powertools import Logger;"
        "from llm_router.tokens import Tokenizer;"
        f"Tokenizer(Path({str(VOCABULARY_DIR)!r}), logger=Logger(service='x')).count('Hello'); print(*sys.modules)"
    )
    environ = {"PYTHONPATH": "layers/shared", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert {"requests", "urllib3", "blobfile"}.isdisjoint(done.stdout.split())
