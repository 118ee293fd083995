"""Client keys: what a caller authenticates with. Made once, shown once, stored as a hash.

A key reads `llmr_<id>_<secret>`. The id finds the item; the secret has 256 random bits, so a plain SHA-256 is enough
to store it. Only the hash is ever compared, in constant time.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from llm_router import aws
from llm_router.clock import Clock
from llm_router.errors import InvalidApiKeyError, KeyStoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PREFIX = "llmr"
CACHED_FOR_S = 5.0
STALE_FOR_S = 300.0
"""A key seen within this time still opens the door while its store is out of reach."""

CACHED_KEYS_AT_MOST = 1000
_ID_ALPHABET = "abcdefghjkmnpqrstvwxyz23456789"
_ID_LENGTH = 8


class Role(StrEnum):
    CALLER = "caller"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class ClientKey:
    """Who is calling. Never holds the secret."""

    key_id: str
    role: Role
    label: str = ""


ANYONE = ClientKey(key_id="anyone", role=Role.OPERATOR, label="no key asked for")
"""The caller where the door is open: on one machine."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key: `text` is for its owner and exists nowhere else, `item` is what the state table keeps."""

    text: str
    item: Mapping[str, str]


def issue(*, role: str, label: str, now: datetime) -> IssuedKey:
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
    secret = secrets.token_urlsafe(32)
    item = {
        "pk": partition(key_id),
        "secret_sha256": _hash(secret),
        "role": Role(role).value,
        "label": label,
        "created_at": now.isoformat(),
    }
    return IssuedKey(f"{PREFIX}_{key_id}_{secret}", item)


def partition(key_id: str) -> str:
    return f"client-key#{key_id}"


@dataclass(frozen=True, slots=True)
class _Stored:
    key: ClientKey
    secret_sha256: str


@dataclass(frozen=True, slots=True)
class _Cached:
    stored: _Stored | None
    read_at_s: float


class ClientKeys:
    """The keys in the state table, with a short cache, which also remembers ids that do not exist."""

    def __init__(self, client: Callable[[], DynamoDBClient], *, table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._cache: dict[str, _Cached] = {}

    async def authenticate(self, text: str | None) -> ClientKey:
        """Whose key this is; raises InvalidApiKeyError or KeyStoreUnavailableError."""
        if not text:
            raise InvalidApiKeyError("No API key was sent. Send one as 'Authorization: Bearer llmr_…'.")
        prefix, _, rest = text.partition("_")
        key_id, _, secret = rest.partition("_")
        stored = None
        if prefix == PREFIX and len(key_id) == _ID_LENGTH and key_id.isascii() and secret:
            stored = await self._stored(key_id)
        known_hash = stored.secret_sha256 if stored else ""
        if not hmac.compare_digest(_hash(secret), known_hash) or stored is None:
            raise InvalidApiKeyError("The API key is not valid. Ask the operator of this router for one.")
        return stored.key

    async def _stored(self, key_id: str) -> _Stored | None:
        now_s = self._clock.monotonic_s()
        cached = self._cache.get(key_id)
        if cached and now_s - cached.read_at_s < CACHED_FOR_S:
            return cached.stored
        try:
            stored = await asyncio.to_thread(self._read, key_id)
        except aws.UNREACHABLE as error:
            if cached and cached.stored and now_s - cached.read_at_s < STALE_FOR_S:
                return cached.stored
            raise KeyStoreUnavailableError("The API key can't be checked right now.", retry_after_s=5) from error
        if len(self._cache) >= CACHED_KEYS_AT_MOST:
            self._cache.clear()
        self._cache[key_id] = _Cached(stored, now_s)
        return stored

    def _read(self, key_id: str) -> _Stored | None:
        answer = self._client().get_item(TableName=self._table, Key={"pk": {"S": partition(key_id)}})
        item = {name: value["S"] for name, value in answer.get("Item", {}).items() if "S" in value}
        if "secret_sha256" not in item:
            return None
        key = ClientKey(key_id, Role(item.get("role", Role.CALLER)), item.get("label", ""))
        return _Stored(key, item["secret_sha256"])


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
