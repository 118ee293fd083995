"""Counts tokens in the vocabulary o200k_base, which is OpenAI's current one.

Exact for any text whose words are shorter than `PIECE_AT_MOST`; of a longer run without a break the count may be a
little too high and is never too low. The vocabulary costs 0.4 s and 92 MB, so it is loaded by the first count, from a
file that ships with the deployment; nothing is ever fetched.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

if TYPE_CHECKING:
    from tiktoken import Encoding

VOCABULARY = "fb374d419588a4632f3f557e76b4b70aebbca790"
"""The file's name, by which tiktoken knows it too: the SHA-1 of the address that it was published at."""

VOCABULARY_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"

PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How o200k_base cuts a text into words: tiktoken_ext.openai_public, which would fetch the file when asked for it."""

SPECIAL_TOKENS = {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}

PIECE_AT_MOST = 4096
"""Characters that the tokenizer gets at once. Its time for one word grows faster than the word."""

DIGITS_A_WORD = 3

CUT_TOKENS = 2
"""What is added for each cut in the middle of a run: the two halves may take fewer tokens than the whole."""

_BREAK = re.compile(r"[^\W_](?=[\s.,;:!?\"(){}\[\]<>=|\u3001\u3002\uff0c\uff01\uff1f\uff1b\uff1a])")
"""A letter or digit before what cannot belong to the same word: a text cut there has the tokens of its two parts."""


class VocabularyMissingError(Exception):
    """The vocabulary's file is not there, or is another one."""


class Tokenizer:
    """Counts; blocking. Where there is no vocabulary it says so once in the log and raises VocabularyMissingError."""

    def __init__(self, folder: Path, *, logger: Logger) -> None:
        self._file = folder / VOCABULARY
        self._logger = logger
        self._encoding: Encoding | None = None
        self._is_missing = False
        self._loading = threading.Lock()

    def count(self, text: str) -> int:
        """Raises VocabularyMissingError."""
        encoding = self._loaded()
        sound = _without_surrogates(text)
        pieces, cuts = _pieces(sound)
        tokens = sum(map(len, map(encoding.encode_ordinary, pieces)))
        return min(tokens + CUT_TOKENS * cuts, len(sound.encode())) if cuts else tokens

    def _loaded(self) -> Encoding:
        with self._loading:
            if self._encoding is None and not self._is_missing:
                self._load()
        if self._encoding is None:
            raise VocabularyMissingError(str(self._file))
        return self._encoding

    def _load(self) -> None:
        try:
            self._encoding = _encoding(self._file)
        except (OSError, ImportError, VocabularyMissingError) as error:
            self._is_missing = True
            reason = type(error).__name__
            self._logger.warning("no vocabulary: tokens are estimated", event="vocabulary_missing", reason=reason)


@cache
def _encoding(file: Path) -> Encoding:
    """Once a process. Raises OSError or VocabularyMissingError."""
    from tiktoken import Encoding  # noqa: PLC0415  # most processes never count

    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != VOCABULARY_SHA256:
        raise VocabularyMissingError("another file")
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in content.splitlines())}
    return Encoding("o200k_base", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=SPECIAL_TOKENS)


def _pieces(text: str) -> tuple[Iterable[str], int]:
    """Bounded parts whose tokens add up to the text's, and how many cuts had to be made inside of a run."""
    if len(text) <= PIECE_AT_MOST:
        return (text,), 0
    ends = list(_ends(text))
    starts = [0, *(end for end, _ in ends[:-1])]
    parts = [text[start:end] for start, (end, _) in zip(starts, ends, strict=True)]
    return parts, sum(is_forced for _, is_forced in ends)


def _ends(text: str) -> Iterator[tuple[int, bool]]:
    """Where each part ends, and whether that is inside of a run."""
    start = 0
    while len(text) - start > PIECE_AT_MOST:
        end = _last_break(text, start)
        is_forced = end is None
        start = _forced_end(text, start) if end is None else end
        yield start, is_forced
    yield len(text), False


def _forced_end(text: str, start: int) -> int:
    """Digits are taken by threes from where they begin: cut elsewhere, all of them after it would be other tokens."""
    end = at = start + PIECE_AT_MOST
    while at > start and _is_digit(text[at - 1]):
        at -= 1
    return end - (end - at) % DIGITS_A_WORD if _is_digit(text[end]) else end


def _is_digit(character: str) -> bool:
    r"""As the pattern's `\p{N}` has it."""
    return unicodedata.category(character).startswith("N")


def _last_break(text: str, start: int) -> int | None:
    """The last one that a part from `start` may end at; looked for from its end, a little at a time."""
    limit = start + PIECE_AT_MOST
    reach = 64
    while reach <= PIECE_AT_MOST:
        found = [match.end() for match in _BREAK.finditer(text, limit - reach, limit + 1)]
        if found:
            return found[-1]
        reach *= 8
    return None


def _without_surrogates(text: str) -> str:
    """Half a character has no bytes to be counted; what stands for it has as many tokens as any."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
