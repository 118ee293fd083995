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
    asked for a stream's usage, `unstreamed_for` the features that a request had whose stream was refused in words
    alone, `lacking` what an answer was without.
    """

    unstreamed: set[str] = field(default_factory=set)
    uncounted: set[str] = field(default_factory=set)
    unstreamed_for: dict[str, set[frozenset[Feature]]] = field(default_factory=dict)
    lacking: dict[str, frozenset[Feature]] = field(default_factory=dict)

    def streamed(self, prompt: Prompt, candidate: Candidate, attempts: Sequence[Attempt]) -> Streamed:
        """How the candidate is asked after these attempts of the request."""
        if self._is_unstreamed(prompt, candidate, attempts):
            return Streamed.NO
        return Streamed.YES if candidate.name in self.uncounted else Streamed.COUNTED

    def learn(self, attempt: Attempt, needs: frozenset[Feature]) -> None:
        """What the attempt tells of its candidate beyond this request, which needed these features."""
        name = attempt.candidate
        if attempt.outcome is Outcome.UNSUITED and attempt.param == openai.CHOICES:
            self.lacking[name] = self.lacking.get(name, frozenset()) | {Feature.SEVERAL_CHOICES}
        if attempt.outcome is not Outcome.STREAM_REFUSED:
            return
        if _is_in_words(attempt):
            if needs:  # without any, nobody knows what of the request it was
                self.unstreamed_for.setdefault(name, set()).add(needs)
        elif attempt.param == "stream" or name in self.uncounted:
            self.unstreamed.add(name)
        else:
            self.uncounted.add(name)

    def _is_unstreamed(self, prompt: Prompt, candidate: Candidate, attempts: Sequence[Attempt]) -> bool:
        provider, name = candidate.provider, candidate.name
        if name in self.unstreamed or "stream" in provider.refused_parameters:
            return True
        if prompt.needs & (provider.unstreamed_for | {Feature.AUDIO}):
            return True
        if any(needs <= prompt.needs for needs in self.unstreamed_for.get(name, ())):
            return True
        return any(attempt.candidate == name and _is_in_words(attempt) for attempt in attempts)


def _is_in_words(attempt: Attempt) -> bool:
    return attempt.outcome is Outcome.STREAM_REFUSED and attempt.param is None
