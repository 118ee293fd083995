"""The providers' keys: from the environment on one machine, from SSM Parameter Store when deployed.

A key is never logged. A provider whose key cannot be had is absent from the answer, and so from every plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from llm_router import aws, key_names
from llm_router.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

NAMES_A_CALL = 10
"""What one GetParameters takes."""

REFRESHED_AFTER_S = 300.0
ABSENT_REFRESHED_AFTER_S = 15.0
"""A key that is stored after the deployment is found this soon."""

FAILED_RETRIED_AFTER_S = 5.0
GIVEN_UP_AFTER_S = 3.0
LONGEST_PAUSE_S = 0.5

Keys = Mapping[str, str]
"""Provider to key; a provider without a usable key is absent."""


class EnvironmentKeys:
    """`GROQ_API_KEY` and the like, read from the mapping at each call."""

    problem: str | None = None

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def keys(self, provider_names: Collection[str]) -> Keys:
        found = {name: _usable(self._environ.get(key_names.variable(name))) for name in provider_names}
        return {name: key for name, key in found.items() if key}

    def how_to_store(self, provider_name: str) -> str:
        return f"no key is set; set the environment variable {key_names.variable(provider_name)} and start again"


class _NoAnswerError(Exception):
    """Something answered with 200 in SSM's place, a proxy's page for instance."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What Parameter Store last said of a provider; `key` is None where it holds none, or none that can be used."""

    key: str | None
    is_stored: bool
    due_at: float


class ParameterStoreKeys:
    """SecureStrings at `/llm-router/<stage>/providers/<name>/api_key`, read at first need and cached.

    Served stale while SSM fails; `problem` then says how, and is None while all is well. Concurrent callers share
    one reading.
    """

    def __init__(self, client: Callable[[], SSMClient], *, stage: str, clock: Clock, logger: Logger) -> None:
        self._client = client
        self._stage = stage
        self._clock = clock
        self._logger = logger
        self._known: dict[str, _Known] = {}
        self._not_before = 0.0
        self._reading = asyncio.Lock()
        self.problem: str | None = None

    async def keys(self, provider_names: Collection[str]) -> Keys:
        """Takes at most `GIVEN_UP_AFTER_S`, and nothing while what is known is fresh."""
        if self._due(provider_names) and not (self._reading.locked() and self._are_known(provider_names)):
            async with self._reading:
                if due := self._due(provider_names):
                    await self._read(due)
        known = {name: self._known[name].key for name in provider_names if name in self._known}
        return {name: key for name, key in known.items() if key}

    def how_to_store(self, provider_name: str) -> str:
        known = self._known.get(provider_name)
        if self.problem and not known:
            return self.problem
        command = key_names.store_command(provider_name, stage=self._stage)
        if known and known.is_stored:
            return f"what is stored can be no key (it has characters that no header carries); {command} --overwrite"
        return f"no key is stored; {command}"

    def _due(self, provider_names: Collection[str]) -> list[str]:
        now = self._clock.monotonic_s()
        if now < self._not_before:
            return []
        return [name for name in provider_names if name not in self._known or self._known[name].due_at <= now]

    def _are_known(self, provider_names: Collection[str]) -> bool:
        return all(name in self._known and self._known[name].key for name in provider_names)

    async def _read(self, provider_names: Sequence[str]) -> None:
        """One reading of all that is due; what was known stays where it fails."""
        batches = [provider_names[i : i + NAMES_A_CALL] for i in range(0, len(provider_names), NAMES_A_CALL)]
        reasons = [reason for reason in await asyncio.gather(*map(self._read_batch, batches)) if reason]
        self.problem = f"keys cannot be read from Parameter Store: {reasons[0]}" if reasons else None
        if reasons:
            self._not_before = self._clock.monotonic_s() + FAILED_RETRIED_AFTER_S
            self._logger.warning("provider keys not read", event="provider_keys.unreadable", reason=reasons[0])

    async def _read_batch(self, provider_names: Sequence[str]) -> str | None:
        """None, or in a word why the last try failed."""
        give_up_at = self._clock.monotonic_s() + GIVEN_UP_AFTER_S
        pause_s = LONGEST_PAUSE_S / 4
        while True:
            try:
                async with asyncio.timeout(max(0.0, give_up_at - self._clock.monotonic_s())):
                    found = await asyncio.to_thread(self._get_parameters, provider_names)
            except TimeoutError:
                return "TimeoutError"
            except (*aws.UNREACHABLE, _NoAnswerError) as error:
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
                if not _may_pass(error) or self._clock.monotonic_s() + pause_s >= give_up_at:
                    return aws.error_code(error)
                await self._clock.sleep(pause_s * (0.5 + self._clock.jitter() / 2))
                continue
            self._remember(provider_names, found)
            return None

    def _get_parameters(self, provider_names: Sequence[str]) -> Mapping[str, str]:
        """Parameter name to value; parameters that do not exist are absent."""
        names = [key_names.parameter(name, stage=self._stage) for name in provider_names]
        answer: Mapping[str, Any] = self._client().get_parameters(Names=names, WithDecryption=True)
        if "Parameters" not in answer and "InvalidParameters" not in answer:
            raise _NoAnswerError
        return {parameter["Name"]: parameter["Value"] for parameter in answer.get("Parameters", [])}

    def _remember(self, provider_names: Sequence[str], found: Mapping[str, str]) -> None:
        now = self._clock.monotonic_s()
        for name in provider_names:
            stored = found.get(key_names.parameter(name, stage=self._stage))
            key = _usable(stored)
            age_s = REFRESHED_AFTER_S if key else ABSENT_REFRESHED_AFTER_S
            self._known[name] = _Known(key, is_stored=stored is not None, due_at=now + age_s)


KeyReader: TypeAlias = EnvironmentKeys | ParameterStoreKeys


def _usable(stored: str | None) -> str | None:
    """The key without the line end that a pasted value brings; None for what no HTTP header can carry."""
    key = (stored or "").strip()
    return key if key and key.isascii() and key.isprintable() else None


def _may_pass(error: Exception) -> bool:
    """Whether another try can help: not where SSM refuses the caller or the call."""
    if not isinstance(error, ClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    return status >= 500 or status == 429 or "Throttl" in aws.error_code(error)
