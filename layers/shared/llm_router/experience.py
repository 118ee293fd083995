"""What a process has learnt of candidates by asking them: who streams what, who gives one choice for several. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_router.adapters import openai
from llm_router.candidates import Candidate, Feature
from llm_router.prompts import Prompt
from llm_router.upstream import Streamed
from llm_router.usage import Attempt, Outcome


@dataclass(frozen=True, slots=True)
class Experience:
    """All by the candidates' names: `unstreamed` are those that refuse streams, `uncounted` those that refuse to be
    asked for a stream's usage, `unstreamed_for` what requests had whose stream was refused in words alone and which
    were served without one: their features, or where there were none their parameters. `lacking` is what an answer was
    without.
    """

    unstreamed: set[str] = field(default_factory=set)
    uncounted: set[str] = field(default_factory=set)
    unstreamed_for: dict[str, set[frozenset[str]]] = field(default_factory=dict)
    lacking: dict[str, frozenset[Feature]] = field(default_factory=dict)

    def streamed(self, prompt: Prompt, candidate: Candidate, attempts: Sequence[Attempt]) -> Streamed:
        """How the candidate is asked after these attempts of the request."""
        if self._is_unstreamed(prompt, candidate, attempts):
            return Streamed.NO
        return Streamed.YES if candidate.name in self.uncounted else Streamed.COUNTED

    def learn(self, attempt: Attempt, *, before: Sequence[Attempt], streamed: Streamed, prompt: Prompt) -> None:
        """What the attempt tells of its candidate beyond this request.

        `streamed` is how it was asked. Words prove nothing, for they may be about what the caller said: being served
        without a stream proves them.
        """
        name = attempt.candidate
        if attempt.outcome is Outcome.UNSUITED and attempt.param == openai.CHOICES:
            self.lacking[name] = self.lacking.get(name, frozenset()) | {Feature.SEVERAL_CHOICES}
        elif attempt.outcome is Outcome.SUCCESS and _is_refused_in_words(name, before):
            self.unstreamed_for.setdefault(name, set()).add(frozenset(prompt.needs or prompt.parameters))
        elif attempt.outcome is Outcome.STREAM_REFUSED and attempt.param is not None:
            refuses_all = attempt.param == "stream" or streamed is Streamed.YES
            (self.unstreamed if refuses_all else self.uncounted).add(name)

    def _is_unstreamed(self, prompt: Prompt, candidate: Candidate, attempts: Sequence[Attempt]) -> bool:
        provider, name = candidate.provider, candidate.name
        if name in self.unstreamed or "stream" in provider.refused_parameters:
            return True
        if prompt.needs & (provider.unstreamed_for | {Feature.AUDIO}):
            return True
        if any(had <= prompt.needs | prompt.parameters for had in self.unstreamed_for.get(name, ())):
            return True
        return _is_refused_in_words(name, attempts)


def _is_refused_in_words(name: str, attempts: Sequence[Attempt]) -> bool:
    """Whether the candidate refused to stream, of this request, and named no field."""
    return any(
        attempt.candidate == name and attempt.outcome is Outcome.STREAM_REFUSED and attempt.param is None
        for attempt in attempts
    )
