"""Ids that sort by time and say where their record lies: a request's id is its place in the journal.

26 characters of Crockford's base 32 as in ULID (https://github.com/ulid/spec): 10 of milliseconds since 1970, 16 of
randomness. The first random character is the number of the shard, so an id alone is enough to find its item.
"""

from __future__ import annotations

from datetime import UTC, datetime

SHARDS_AT_MOST = 32
RANDOM_BITS = 75

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_CHARACTERS = 10
_LENGTH = 26


def position(at: datetime, *, shard: int, random_bits: int) -> str:
    """A new id; `random_bits` is a random integer of RANDOM_BITS bits, `shard` is from 0 to 31."""
    tail = random_bits % (1 << RANDOM_BITS)
    return lower_bound(at) + _ALPHABET[shard] + _encode(tail, _LENGTH - _TIME_CHARACTERS - 1)


def lower_bound(at: datetime) -> str:
    """Sorts before every position of that millisecond or later, and after all earlier ones."""
    return _encode(int(at.timestamp() * 1000), _TIME_CHARACTERS)


def shard_of(position_id: str) -> int:
    """Raises ValueError for what is no position."""
    if len(position_id) != _LENGTH:
        raise ValueError(position_id)
    return _ALPHABET.index(position_id[_TIME_CHARACTERS])


def time_of(position_id: str) -> datetime:
    milliseconds = 0
    for character in position_id[:_TIME_CHARACTERS]:
        milliseconds = milliseconds * 32 + _ALPHABET.index(character)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _encode(number: int, length: int) -> str:
    characters = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))
