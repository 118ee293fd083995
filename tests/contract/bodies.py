"""What providers answer, and how each answer must be read.

A body is `documented` where all that its reading rests on stands in the documentation at its address: the provider's
own, or that of a platform which offers the provider. It is `assumed` where it comes from a public report or from
prudence. Texts, ids and counts are made up; the shapes are not.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from llm_router.upstream import Reading
from llm_router.usage import Outcome, TokenUsage

READ_ON = "2026-11-24"


class Basis(StrEnum):
    DOCUMENTED = "documented"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class Body:
    """`content` is sent as JSON unless it is bytes. `source` is an address, or for an assumed body why it is here.

    `dialect` is whose, where only the provider's own ways tell what it means; the words that such a body rests on are
    as they were reported. `gap` says why the adapter cannot read it right yet.
    """

    name: str
    content: object
    reads: Reading
    source: str
    status: int = 200
    basis: Basis = Basis.DOCUMENTED
    headers: dict = field(default_factory=dict)
    dialect: str = ""
    gap: str | None = None


OPENAI_SPEC = "https://github.com/openai/openai-openapi (openapi.yaml, createChatCompletion)"
OPENAI_QUOTA = "https://learn.microsoft.com/en-us/microsoft-cloud/dev/dev-proxy/concepts/openai-insufficient-quota"
GROQ_SDK = "https://github.com/groq/groq-python (src/groq/types)"
GROQ_ERRORS = "https://console.groq.com/docs/errors"
MISTRAL_SPEC = "https://github.com/mistralai/platform-docs-public (openapi.yaml, ChatCompletionChoice)"
MISTRAL_ERRORS = "https://github.com/mistralai/platform-docs-public (public/resources/error-glossary.md)"
MISTRAL_REASONING = "https://github.com/mistralai/platform-docs-public (native-reasoning, new_output_tab)"
OPENROUTER_ERRORS = "https://openrouter.ai/docs/api/reference/errors-and-debugging"
GEMINI_USAGE = "https://discuss.ai.google.dev/t/question-with-usage-in-openai-compatibility/98760"
XAI_COST = "https://docs.x.ai/developers/cost-tracking"
OPENROUTER_USAGE = "https://openrouter.ai/docs/use-cases/usage-accounting"
OPENROUTER_BILL = "https://openrouter.ai/docs/client-sdks/typescript/models/batchobjectusage"
OPENROUTER_RESPONSES = "https://openrouter.ai/docs/responses"
TOGETHER_SPEC = "https://github.com/togethercomputer/openapi (openapi.yaml, ChatCompletionResponse)"
OLLAMA_SOURCE = "https://github.com/ollama/ollama (openai/openai.go)"
FIREWORKS_ERRORS = "https://docs.fireworks.ai/guides/inference-error-codes"
VERTEX_GROK = "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/grok/capabilities/reasoning"
GEMINI_CREDITS = (
    "https://discuss.ai.google.dev/t/api-update-depleted-prepay-credits-now-return-http-402-instead-of-429/183654"
)
TOGETHER_ERRORS = "https://support.together.ai/articles/1067567273-error-codes-explanations-and-solutions"


def answer(message="Hello there.", *, finish_reason="stop", usage=None, **beside):
    """A chat completion; `message` is its text, or the whole message."""
    whole = message if isinstance(message, dict) else {"role": "assistant", "content": message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "served-model",
        "choices": [{"index": 0, "message": whole, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29} if usage is None else usage,
        **beside,
    }


def error(code=None, *, kind="invalid_request_error", param=None, **beside):
    """An error in OpenAI's shape."""
    return {"error": {"message": "Words of the provider.", "type": kind, "param": param, "code": code, **beside}}


def wordy(message):
    """An error that names no field."""
    return {"error": {"message": message, "type": "invalid_request_error"}}


def mistral_detail(kind, *place):
    """What Mistral finds wrong, and where, in FastAPI's words."""
    detail = [{"type": kind, "loc": list(place), "msg": "Words of the provider.", "input": True}]
    return {
        "object": "error",
        "message": {"detail": detail},
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def openrouter(code, message, **metadata):
    return {"error": {"message": message, "code": code, "metadata": {"provider_name": None, **metadata}}}


COUNTED = TokenUsage(prompt=19, completion=10)


def success(text="Hello there.", tokens=COUNTED, **billed):
    """`billed` is what the answer says of its cost beside tokens."""
    return Reading(Outcome.SUCCESS, text=text, model="served-model", tokens=tokens, **billed)


def broken(tokens=None):
    """Not a whole answer, though the provider may have worked for it."""
    return Reading(Outcome.MALFORMED, tokens=tokens, may_be_billed=True)


REFUSED, LIMITED, OVERLOADED = (
    Reading(outcome) for outcome in (Outcome.REFUSED, Outcome.RATE_LIMITED, Outcome.OVERLOADED)
)
STREAM_REFUSED = Reading(Outcome.STREAM_REFUSED, param="stream")
SERVER_ERROR, BAD_REQUEST = Reading(Outcome.SERVER_ERROR), Reading(Outcome.BAD_REQUEST)
UNSUITED = Reading(Outcome.UNSUITED)
CONTEXT_LENGTH, FILTERED = Reading(Outcome.CONTEXT_LENGTH), Reading(Outcome.CONTENT_FILTER)

ANSWERS = [
    Body(
        "openai",
        answer(
            {"role": "assistant", "content": "Hello there.", "refusal": None, "annotations": []},
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 0,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
            service_tier="default",
        ),
        success(service_tier="default"),
        OPENAI_SPEC,
    ),
    Body(
        "openai, part of the prompt cached",
        answer(
            usage={
                "prompt_tokens": 1117,
                "completion_tokens": 46,
                "total_tokens": 1163,
                "prompt_tokens_details": {"cached_tokens": 1024},
            }
        ),
        success(tokens=TokenUsage(1117, 46, cached_prompt=1024)),
        OPENAI_SPEC,
    ),
    Body(
        "gemini, thinking used up the token limit",
        answer(
            {"role": "assistant"},
            finish_reason="length",
            usage={"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 105},
        ),
        success("", TokenUsage(5, 100, reasoning=100)),
        "reported of its OpenAI-compatible endpoint: no content, and the thinking in the total alone",
        basis=Basis.ASSUMED,
    ),
    Body(
        "the token limit used up by what is not told",
        answer({"role": "assistant", "content": None}, finish_reason="length"),
        success(""),
        "tokens that are counted and not seen at the limit are thinking",
        basis=Basis.ASSUMED,
    ),
    Body(
        "deepseek, cut at the token limit while reasoning",
        answer({"role": "assistant", "content": None, "reasoning_content": "Let me"}, finish_reason="length", usage={}),
        success("", None),
        "max_tokens covers the reasoning too",
        basis=Basis.ASSUMED,
    ),
    Body(
        "gemini, its own words in capitals",
        answer(finish_reason="STOP"),
        success(),
        "https://ai.google.dev/api/generate-content#FinishReason names them; that they are passed on is a report",
        basis=Basis.ASSUMED,
    ),
    Body(
        "a finish reason that nobody knows",
        answer(finish_reason="a_word_of_tomorrow"),
        success(),
        "a new provider's word for an end must not make all its answers fail",
        basis=Basis.ASSUMED,
    ),
    Body("openai, cut at the token limit", answer("Hello", finish_reason="length"), success("Hello"), OPENAI_SPEC),
    Body(
        "openai, reasoning used up the token limit",
        answer(
            "",
            finish_reason="length",
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "completion_tokens_details": {"reasoning_tokens": 10},
            },
        ),
        success("", TokenUsage(19, 10, reasoning=10)),
        OPENAI_SPEC,
    ),
    Body(
        "openai, the model itself refuses",
        answer({"role": "assistant", "content": None, "refusal": "I can't help with that."}),
        success("I can't help with that."),
        OPENAI_SPEC,
    ),
    Body(
        "groq",
        answer(
            usage={
                "queue_time": 0.037493756,
                "prompt_tokens": 19,
                "prompt_time": 0.000680594,
                "completion_tokens": 10,
                "completion_time": 0.463333333,
                "total_tokens": 29,
                "total_time": 0.464013927,
                "prompt_tokens_details": {"cached_tokens": 8},
            },
            system_fingerprint="fp_1",
            x_groq={"id": "req_1"},
        ),
        success(tokens=TokenUsage(19, 10, cached_prompt=8)),
        GROQ_SDK,
    ),
    Body(
        "mistral, a reasoning model answers in parts",
        answer(
            {
                "role": "assistant",
                "tool_calls": None,
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]},
                    {"type": "text", "text": "Hello "},
                    {"type": "text", "text": "there."},
                ],
            }
        ),
        success(),
        MISTRAL_REASONING,
    ),
    Body("mistral, the window is full", answer("Hello", finish_reason="model_length"), success("Hello"), MISTRAL_SPEC),
    Body(
        "deepseek, reasoning beside the content",
        answer({"role": "assistant", "content": "Hello there.", "reasoning_content": "Let me see."}),
        success(),
        "reported of deepseek-reasoner by many clients; the reasoning is no part of the answer",
        basis=Basis.ASSUMED,
    ),
    Body(
        "deepseek, its own names for cached tokens",
        answer(
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "prompt_cache_hit_tokens": 16,
                "prompt_cache_miss_tokens": 3,
            }
        ),
        success(tokens=TokenUsage(19, 10, cached_prompt=16)),
        "reported; bodies seen in public often repeat the count as prompt_tokens_details.cached_tokens",
        basis=Basis.ASSUMED,
    ),
    Body(
        "openrouter",
        answer(provider="Somebody", system_fingerprint=None),
        success(),
        OPENROUTER_RESPONSES,
    ),
    Body(
        "together, the model ended by itself",
        answer(finish_reason="eos", prompt=[], warnings=[]),
        success(),
        TOGETHER_SPEC,
    ),
    Body(
        "together, without usage",
        {name: value for name, value in answer(prompt=[]).items() if name != "usage"},
        success(tokens=None),
        TOGETHER_SPEC,
    ),
    Body("together, usage is null", {**answer(prompt=[]), "usage": None}, success(tokens=None), TOGETHER_SPEC),
    Body(
        "ollama",
        answer({"role": "assistant", "content": "Hello there."}, system_fingerprint="fp_ollama"),
        success(),
        OLLAMA_SOURCE,
    ),
    Body(
        "xai, reasoning counted beside the completion and within the total",
        answer(
            usage={
                "prompt_tokens": 663,
                "completion_tokens": 50,
                "total_tokens": 837,
                "completion_tokens_details": {"reasoning_tokens": 124, "audio_tokens": 0},
                "prompt_tokens_details": {"cached_tokens": 654, "text_tokens": 663},
                "num_sources_used": 0,
            }
        ),
        success(tokens=TokenUsage(663, 174, cached_prompt=654, reasoning=124), fees=False),
        VERTEX_GROK,
    ),
    Body(
        "openai, audio in and out, part of the prompt written to the cache",
        answer(
            usage={
                "prompt_tokens": 300,
                "completion_tokens": 90,
                "total_tokens": 390,
                "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 50, "audio_tokens": 120},
                "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 60},
            },
            service_tier="priority",
        ),
        success(
            tokens=TokenUsage(
                300, 90, cached_prompt=100, cache_write=50, audio_prompt=120, reasoning=20, audio_completion=60
            ),
            service_tier="priority",
        ),
        OPENAI_SPEC,
    ),
    Body(
        "openai, the model has searched the web",
        answer(
            {
                "role": "assistant",
                "content": "Hello there.",
                "annotations": [{"type": "url_citation", "url_citation": {"url": "https://example.com"}}],
            }
        ),
        success(fees=True),
        OPENAI_SPEC,
    ),
    Body(
        "gemini, thinking counted in the total alone",
        answer(usage={"completion_tokens": 102, "prompt_tokens": 758, "total_tokens": 1725}),
        success(tokens=TokenUsage(758, 967, reasoning=865)),
        GEMINI_USAGE,
    ),
    Body(
        "deepseek, reasoning within the completion",
        answer(
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "prompt_cache_hit_tokens": 0,
                "prompt_cache_miss_tokens": 19,
                "completion_tokens_details": {"reasoning_tokens": 7},
            }
        ),
        success(tokens=TokenUsage(19, 10, reasoning=7)),
        "a client library's reading of it; DeepSeek's own reference was not at hand",
        basis=Basis.ASSUMED,
    ),
    Body(
        "mistral, counts without details",
        answer(usage={"prompt_tokens": 19, "total_tokens": 29, "completion_tokens": 10}),
        success(),
        MISTRAL_SPEC,
    ),
    Body(
        "xai, what it charged in ticks",
        answer(
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "num_sources_used": 0,
                "cost_in_usd_ticks": 37756000,
            }
        ),
        success(usd_reported=Decimal("0.0037756"), fees=False),
        XAI_COST,
    ),
    Body(
        "xai, sources of a live search",
        answer(usage={"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29, "num_sources_used": 3}),
        success(fees=True),
        "types made from xAI's reference: the number of individual live search sources used",
        basis=Basis.ASSUMED,
    ),
    Body(
        "openrouter, its charge and its details",
        answer(
            usage={
                "completion_tokens": 2,
                "completion_tokens_details": {"reasoning_tokens": 0},
                "cost": 0.95,
                "cost_details": {"upstream_inference_cost": 19},
                "prompt_tokens": 194,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100, "audio_tokens": 0},
                "total_tokens": 196,
            }
        ),
        success(tokens=TokenUsage(194, 2, cache_write=100), usd_reported=Decimal("0.95")),
        OPENROUTER_USAGE,
    ),
    Body(
        "openrouter, a key of the customer's own at the model's host",
        answer(
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "is_byok": True,
                "cost": 0.001,
                "cost_details": {"upstream_inference_cost": 0.019},
            }
        ),
        success(usd_reported=Decimal("0.02")),
        OPENROUTER_BILL,
    ),
    Body(
        "openrouter, a web search",
        answer(
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "server_tool_use": {"web_search_requests": 1},
                "cost": 0.02,
            }
        ),
        success(usd_reported=Decimal("0.02"), fees=True),
        OPENROUTER_BILL,
    ),
    Body(
        "anthropic's names, as gateways hand them on",
        answer(
            usage={
                "prompt_tokens": 100,
                "completion_tokens": 10,
                "total_tokens": 110,
                "cache_creation_input_tokens": 60,
                "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 40},
            }
        ),
        success(tokens=TokenUsage(100, 10, cache_write=60, cache_write_1h=40)),
        "seen of gateways in front of Claude; Anthropic's own format has other names for the rest",
        basis=Basis.ASSUMED,
    ),
    Body(
        "fireworks, cached tokens in OpenAI's place",
        answer(
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 16},
            }
        ),
        success(tokens=TokenUsage(19, 10, cached_prompt=16)),
        "Fireworks calls its format OpenAI's",
        basis=Basis.ASSUMED,
    ),
    Body(
        "together, cached and reasoning tokens beside the counts",
        answer(
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "cached_tokens": 16,
                "reasoning_tokens": 4,
            }
        ),
        success(tokens=TokenUsage(19, 10, cached_prompt=16, reasoning=4)),
        "seen of Together's and Moonshot's models",
        basis=Basis.ASSUMED,
    ),
    Body(
        "cerebras, with its time and cached tokens",
        answer(
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
            time_info={"queue_time": 0.0001, "prompt_time": 0.0004, "completion_time": 0.06, "total_time": 0.07},
        ),
        success(),
        "seen of its API",
        basis=Basis.ASSUMED,
    ),
    Body(
        "groq, tools that it ran itself",
        answer(
            {
                "role": "assistant",
                "content": "Hello there.",
                "executed_tools": [{"index": 0, "type": "search", "arguments": "{}"}],
            }
        ),
        success(fees=True),
        GROQ_SDK,
    ),
    Body(
        "more of each part than of the whole",
        answer(
            usage={
                "prompt_tokens": 19,
                "completion_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 15, "cache_write_tokens": 99, "audio_tokens": 99},
                "completion_tokens_details": {"reasoning_tokens": 99, "audio_tokens": 99},
            }
        ),
        success(
            tokens=TokenUsage(
                19, 10, cached_prompt=15, cache_write=4, audio_prompt=15, cached_audio_prompt=15, audio_completion=10
            )
        ),
        "a cost must not become negative",
        basis=Basis.ASSUMED,
    ),
    Body(
        "a charge that is none",
        answer(usage={"prompt_tokens": 19, "completion_tokens": 10, "cost": -1, "cost_in_usd_ticks": "7"}),
        success(),
        "what is no sum of money must not be written down as one",
        basis=Basis.ASSUMED,
    ),
    Body(
        "half a usage",
        answer(usage={"prompt_tokens": 19}),
        success(tokens=None),
        "a report that lacks what costs most must not pass for a whole one",
        basis=Basis.ASSUMED,
    ),
    Body(
        "a usage of nonsense",
        answer(usage={"prompt_tokens": "19", "completion_tokens": -1, "total_tokens": True}),
        success(tokens=None),
        "what is no count is no report",
        basis=Basis.ASSUMED,
    ),
    Body(
        "a usage that nobody can have had",
        answer(usage={"prompt_tokens": 10**200, "completion_tokens": 1, "total_tokens": 10**200 + 1}),
        success(tokens=None),
        "a cost past what the ledger's numbers can hold would lose a paid answer",
        basis=Basis.ASSUMED,
    ),
    Body(
        "more cached than sent",
        answer(usage={"prompt_tokens": 19, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 99}}),
        success(tokens=TokenUsage(19, 10, cached_prompt=19)),
        "a cost must not become negative",
        basis=Basis.ASSUMED,
    ),
    Body(
        "a total that is less than its parts",
        answer(usage={"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 5}),
        success(),
        "the parts are what is priced",
        basis=Basis.ASSUMED,
    ),
    Body(
        "no model named",
        {name: value for name, value in answer().items() if name != "model"},
        Reading(Outcome.SUCCESS, text="Hello there.", tokens=COUNTED),
        "small servers leave it out",
        basis=Basis.ASSUMED,
    ),
]

NOT_WHOLE = [
    Body(
        "mistral, generation failed",
        answer("Hel", finish_reason="error"),
        broken(COUNTED),
        MISTRAL_SPEC,
    ),
    Body(
        "openrouter, the choice carries an error",
        {
            **answer(),
            "choices": [
                {
                    "finish_reason": "error",
                    "native_finish_reason": None,
                    "message": {"role": "assistant", "content": "Hel"},
                    "error": {"code": 502, "message": "Words of the provider."},
                }
            ],
        },
        broken(COUNTED),
        OPENROUTER_RESPONSES,
    ),
    Body(
        "openrouter, an error after the model had begun",
        {"error": {"code": 502, "message": "Words of the provider.", "metadata": {"provider_name": "Somebody"}}},
        broken(),
        OPENROUTER_ERRORS,
    ),
    Body(
        "deepseek, interrupted for want of resources",
        answer("Hel", finish_reason="insufficient_system_resource"),
        broken(COUNTED),
        "named in DeepSeek's reference of chat completions as quoted by others",
        basis=Basis.ASSUMED,
    ),
    Body(
        "z.ai, the network failed it",
        answer("Hel", finish_reason="network_error"),
        broken(COUNTED),
        "named in Z.ai's reference of chat completions as quoted by others",
        basis=Basis.ASSUMED,
    ),
    Body(
        "gemini, a call that it could not write down",
        answer("", finish_reason="function_call_filter: MALFORMED_FUNCTION_CALL"),
        broken(COUNTED),
        "reported of its OpenAI-compatible endpoint",
        basis=Basis.ASSUMED,
    ),
    Body(
        "a finish reason that is no word",
        answer("Hel", finish_reason=True),
        broken(COUNTED),
        "prudence",
        basis=Basis.ASSUMED,
    ),
    Body(
        "nobody knows why it ended",
        answer("Hel", finish_reason="unknown"),
        broken(COUNTED),
        "gateways say so of a stream that broke",
        basis=Basis.ASSUMED,
    ),
    Body(
        "groq, stopped early",
        answer("Hel", x_groq={"id": "req_1", "error": "Words of the provider."}),
        broken(COUNTED),
        GROQ_SDK,
    ),
    Body(
        "nothing at all at the token limit",
        answer({"role": "assistant", "content": None}, finish_reason="length", usage={}),
        broken(),
        "prudence: neither words nor a count say that it has worked",
        basis=Basis.ASSUMED,
    ),
    Body(
        "a call without a name",
        answer({"role": "assistant", "content": "Hello.", "tool_calls": [{"id": "call_1", "type": "function"}]}),
        broken(COUNTED),
        "prudence: nobody can call it",
        basis=Basis.ASSUMED,
    ),
    Body(
        "vllm, generation aborted",
        answer("Hel", finish_reason="abort"),
        broken(COUNTED),
        "a finish reason of vLLM's engine",
        basis=Basis.ASSUMED,
    ),
    Body(
        "openai, tool calls that nobody asked for",
        answer(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            finish_reason="tool_calls",
        ),
        broken(COUNTED),
        OPENAI_SPEC,
    ),
    Body(
        "content null without tool calls or refusal",
        answer({"role": "assistant", "content": None}),
        broken(COUNTED),
        "seen of several providers under load",
        basis=Basis.ASSUMED,
    ),
    Body(
        "no content at all",
        answer({"role": "assistant"}),
        broken(COUNTED),
        "prudence",
        basis=Basis.ASSUMED,
    ),
    Body(
        "content of another type",
        answer({"role": "assistant", "content": 7}),
        broken(COUNTED),
        "prudence",
        basis=Basis.ASSUMED,
    ),
    Body(
        "a part of text without text",
        answer({"role": "assistant", "content": [{"type": "text", "text": None}]}),
        broken(COUNTED),
        "prudence",
        basis=Basis.ASSUMED,
    ),
    Body(
        "no finish reason",
        answer("Hel", finish_reason=None),
        broken(COUNTED),
        "null is what a stream says before its end",
        basis=Basis.ASSUMED,
    ),
    Body(
        "an empty finish reason",
        answer("Hel", finish_reason=""),
        broken(COUNTED),
        "prudence",
        basis=Basis.ASSUMED,
    ),
    Body(
        "empty choices",
        {**answer(), "choices": []},
        broken(COUNTED),
        "the last chunk of a stream looks like this",
        basis=Basis.ASSUMED,
    ),
    Body("choices are null", {**answer(), "choices": None}, broken(COUNTED), "prudence", basis=Basis.ASSUMED),
    Body("a choice that is none", {**answer(), "choices": ["x"]}, broken(COUNTED), "prudence", basis=Basis.ASSUMED),
    Body(
        "an error beside an answer",
        {**answer(), **error("server_error", kind="server_error")},
        broken(COUNTED),
        "prudence: which of the two holds cannot be known",
        basis=Basis.ASSUMED,
    ),
    Body("HTML", b"<!DOCTYPE html><html>Sign in</html>", broken(), "a captive proxy", basis=Basis.ASSUMED),
    Body(
        "broken JSON",
        b'{"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"content": "Hel',
        broken(),
        "a proxy that cuts",
        basis=Basis.ASSUMED,
    ),
    Body("nothing", b"", broken(), "a proxy that cuts", basis=Basis.ASSUMED),
    Body("a list", [answer()], broken(), "prudence", basis=Basis.ASSUMED),
    Body("null", None, broken(), "prudence", basis=Basis.ASSUMED),
    Body("bytes of no text", b"\xff\xfe\x00", broken(), "prudence", basis=Basis.ASSUMED),
    Body("nested without end", b"[" * 100_000, broken(), "prudence", basis=Basis.ASSUMED),
    Body(
        "a number past all bounds",
        b'{"choices": 1e99999999999999999999}',
        broken(),
        "prudence",
        basis=Basis.ASSUMED,
    ),
    Body(
        "openai, the content filter cut the answer",
        answer("Hel", finish_reason="content_filter"),
        Reading(Outcome.CONTENT_FILTER, tokens=COUNTED, may_be_billed=True),
        OPENAI_SPEC,
    ),
    *(
        Body(
            f"a filter cut the answer and calls itself {reason}",
            answer("Hel", finish_reason=reason),
            Reading(Outcome.CONTENT_FILTER, tokens=COUNTED, may_be_billed=True),
            "Gemini's and Z.ai's words, as reported of their OpenAI-compatible endpoints",
            basis=Basis.ASSUMED,
        )
        for reason in ("SAFETY", "RECITATION", "content_filter: PROHIBITED_CONTENT", "sensitive")
    ),
    Body("a redirect", b"", Reading(Outcome.MALFORMED), "a base_url that moved", status=302, basis=Basis.ASSUMED),
    # The model's answer, in another form than was asked for.
    Body(
        "groq, a call that is none",
        error("tool_use_failed", failed_generation='{"name": "weather"'),
        Reading(Outcome.UNSUITED, may_be_billed=True, arrived_bytes=18),
        "https://console.groq.com/docs/tool-use",
        status=400,
    ),
    Body(
        "groq, JSON that is none",
        error("json_validate_failed", failed_generation=""),
        Reading(Outcome.UNSUITED, may_be_billed=True),
        "https://console.groq.com/docs/text-chat",
        status=400,
    ),
]

PLAIN_GROQ_ERROR = {"error": {"message": "Words of the provider.", "type": "invalid_request_error"}}

REFUSALS = [
    Body(
        "a model that can't be streamed",
        error("unsupported_value", param="stream"),
        STREAM_REFUSED,
        "https://platform.openai.com/docs/models/o1-pro says that it can't; gives no body",
        status=400,
        basis=Basis.ASSUMED,
    ),
    # Our key, our credit, our model.
    Body(
        "openai, wrong key",
        error("invalid_api_key"),
        REFUSED,
        "reported of https://platform.openai.com/docs/guides/error-codes, which gives no body",
        status=401,
        basis=Basis.ASSUMED,
    ),
    Body("groq, wrong key", PLAIN_GROQ_ERROR, REFUSED, GROQ_ERRORS, status=401),
    Body("groq, not permitted", PLAIN_GROQ_ERROR, REFUSED, GROQ_ERRORS, status=403),
    Body("groq, no such model", PLAIN_GROQ_ERROR, REFUSED, GROQ_ERRORS, status=404),
    Body(
        "mistral, wrong key",
        {"detail": "Unauthorized"},
        REFUSED,
        "reported at https://github.com/agent0ai/agent-zero/issues/539",
        status=401,
        basis=Basis.ASSUMED,
    ),
    Body(
        "gemini, wrong key",
        {
            "error": {
                "code": 400,
                "message": "Words of the provider.",
                "status": "INVALID_ARGUMENT",
                "details": [
                    {
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "API_KEY_INVALID",
                        "domain": "googleapis.com",
                        "metadata": {"service": "generativelanguage.googleapis.com"},
                    },
                    {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US"},
                ],
            }
        },
        REFUSED,
        "reported at https://github.com/continuedev/continue/issues/12828",
        status=400,
        basis=Basis.ASSUMED,
    ),
    Body(
        "gemini, wrong key, in a list",
        [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}],
        REFUSED,
        "reported of its OpenAI-compatible endpoint, whose errors come in a list",
        status=400,
        basis=Basis.ASSUMED,
    ),
    Body(
        "gemini, credits depleted",
        {"error": {"code": 402, "message": "Words of the provider.", "status": "RESOURCE_EXHAUSTED"}},
        REFUSED,
        GEMINI_CREDITS,
        status=402,
    ),
    Body(
        "xai, wrong key",
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided."},
        REFUSED,
        "https://docs.x.ai/developers/debugging names 400 for a wrong key too; the body is a report",
        status=400,
        basis=Basis.ASSUMED,
        dialect="xai",
    ),
    Body(
        "anthropic, credit used up",
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing "
                "to upgrade or purchase credits.",
            },
        },
        REFUSED,
        "reported at https://github.com/anthropics/claude-quickstarts/issues/83 of its own format; no body of its "
        "OpenAI-compatible layer was at hand",
        status=400,
        basis=Basis.ASSUMED,
        dialect="anthropic",
    ),
    Body(
        "openai, quota used up",
        error("insufficient_quota", kind="insufficient_quota"),
        REFUSED,
        "reported at https://github.com/mattvr/ShellGPT/issues/23",
        status=429,
        basis=Basis.ASSUMED,
    ),
    Body(
        "openai, quota used up, told by the type alone",
        error(kind="insufficient_quota"),
        REFUSED,
        "reported at https://huggingface.co/spaces/microsoft/HuggingGPT/discussions/5",
        status=429,
        basis=Basis.ASSUMED,
    ),
    *(
        Body(f"openai, {code}", error(code, kind="insufficient_quota"), REFUSED, OPENAI_QUOTA, status=429)
        for code in (
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        )
    ),
    Body(
        "openai, credits used up, told by the code alone",
        error("credit_balance_exhausted", kind="billing_error"),
        REFUSED,
        "the documentation says to look at the code because the type `can` be insufficient_quota",
        status=429,
        basis=Basis.ASSUMED,
    ),
    Body(
        "openrouter, out of credits",
        {"error": {"code": 402, "message": "Words of the provider."}},
        REFUSED,
        OPENROUTER_ERRORS,
        status=402,
    ),
    Body(
        "openrouter, nothing that can be afforded at all",
        openrouter(
            402,
            "This request requires more credits, or fewer max_tokens. You requested up to 32000 tokens, but can only "
            "afford 0. To increase, visit https://openrouter.ai/settings/keys and create a key with a higher monthly "
            "limit",
        ),
        REFUSED,
        "reported at https://github.com/anomalyco/opencode/issues/12219",
        status=402,
        basis=Basis.ASSUMED,
        dialect="openrouter",
    ),
    Body(
        "openrouter, no such model",
        openrouter(404, "No endpoints found for somebody/model."),
        REFUSED,
        "seen in many reports: what no request to this model can mend",
        status=404,
        basis=Basis.ASSUMED,
        dialect="openrouter",
    ),
    Body(
        "deepseek, out of credits",
        error("invalid_request_error", kind="unknown_error"),
        REFUSED,
        "reported of DeepSeek: 402 with a code that says something else",
        status=402,
        basis=Basis.ASSUMED,
    ),
    Body("fireworks, account suspended", error(), REFUSED, FIREWORKS_ERRORS, status=412),
    Body(
        "openai, a country that is not served",
        error("unsupported_country_region_territory", kind="request_forbidden"),
        REFUSED,
        "reported of OpenAI",
        status=403,
        basis=Basis.ASSUMED,
    ),
    Body(
        "openrouter, the key may not do this",
        {"error": {"code": 403, "message": "Words of the provider."}},
        REFUSED,
        OPENROUTER_ERRORS,
        status=403,
    ),
    Body(
        "openai, no such model",
        error("model_not_found", param="model"),
        Reading(Outcome.REFUSED, param="model"),
        "reported of OpenAI",
        status=404,
        basis=Basis.ASSUMED,
    ),
    Body(
        "groq, a model that was taken away",
        error("model_decommissioned"),
        REFUSED,
        "reported of Groq: 400 with this code",
        status=400,
        basis=Basis.ASSUMED,
    ),
    Body(
        "mistral, no such model",
        {
            "object": "error",
            "message": "Words of the provider.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "unknown_model",
        },
        Reading(Outcome.REFUSED, param="model"),
        MISTRAL_ERRORS,
        status=404,
    ),
    Body(
        "ollama, no such model",
        error(kind="not_found_error"),
        REFUSED,
        OLLAMA_SOURCE,
        status=404,
    ),
    Body(
        "ollama, no such model, its own format",
        {"error": 'model "x" not found, try pulling it first'},
        REFUSED,
        "reported at https://github.com/stackblitz-labs/bolt.diy/issues/434",
        status=404,
        basis=Basis.ASSUMED,
    ),
    # Rate limits.
    Body(
        "groq, rate limit",
        PLAIN_GROQ_ERROR,
        Reading(Outcome.RATE_LIMITED, retry_after_s=2.0),
        GROQ_ERRORS,
        status=429,
        headers={"retry-after": "2"},
    ),
    Body(
        "openai, rate limit",
        error("rate_limit_exceeded", kind="tokens"),
        Reading(Outcome.RATE_LIMITED, retry_after_s=0.86),
        "the header retry-after-ms is what OpenAI's SDKs read first",
        status=429,
        headers={"retry-after-ms": "860", "retry-after": "1"},
        basis=Basis.ASSUMED,
    ),
    Body("openai, slow down", error("slow_down", kind="rate_limit_error"), LIMITED, OPENAI_QUOTA, status=429),
    Body(
        "openrouter, rate limit",
        {"error": {"code": 429, "message": "Words of the provider."}},
        Reading(Outcome.RATE_LIMITED, retry_after_s=30.0),
        OPENROUTER_ERRORS,
        status=429,
        headers={"retry-after": "30"},
    ),
    Body(
        "mistral, rate limit",
        {"object": "error", "message": "Words.", "type": "rate_limit_error", "param": None, "code": None},
        LIMITED,
        MISTRAL_ERRORS,
        status=429,
    ),
    Body(
        "groq, more tokens than a minute allows",
        error("rate_limit_exceeded", kind="tokens"),
        LIMITED,
        "reported of Groq: 413 with this code",
        status=413,
        basis=Basis.ASSUMED,
    ),
    Body(
        "groq, a rate limit code with 498",
        error("rate_limit_exceeded", kind="tokens"),
        LIMITED,
        "prudence: 498 is Groq's own status for capacity",
        status=498,
        basis=Basis.ASSUMED,
    ),
    Body(
        "groq, no flex capacity",
        error("capacity_exceeded"),
        LIMITED,
        "https://console.groq.com/docs/flex-processing",
        status=498,
    ),
    # The provider's own trouble.
    Body("groq, internal error", PLAIN_GROQ_ERROR, SERVER_ERROR, GROQ_ERRORS, status=500),
    Body("groq, bad gateway", PLAIN_GROQ_ERROR, SERVER_ERROR, GROQ_ERRORS, status=502),
    Body("groq, unavailable", PLAIN_GROQ_ERROR, OVERLOADED, GROQ_ERRORS, status=503),
    Body(
        "openrouter, the model's host is down",
        {"error": {"code": 502, "message": "Words of the provider."}},
        SERVER_ERROR,
        OPENROUTER_ERRORS,
        status=502,
    ),
    Body(
        "openrouter, nobody hosts it",
        {"error": {"code": 503, "message": "Words of the provider."}},
        Reading(Outcome.OVERLOADED, retry_after_s=5.0),
        OPENROUTER_ERRORS,
        status=503,
        headers={"retry-after": "5"},
    ),
    Body(
        "openrouter, timed out",
        {"error": {"code": 408, "message": "Words of the provider."}},
        OVERLOADED,
        OPENROUTER_ERRORS,
        status=408,
    ),
    Body(
        "mistral, gateway timeout",
        {"object": "error", "message": "Words.", "type": "server_error", "param": None, "code": None},
        OVERLOADED,
        MISTRAL_ERRORS,
        status=504,
    ),
    Body("HTML with 502", b"<html>Bad gateway</html>", SERVER_ERROR, "a proxy", status=502, basis=Basis.ASSUMED),
    Body("HTML with 503", b"<html>Unavailable</html>", OVERLOADED, "a proxy", status=503, basis=Basis.ASSUMED),
    Body("nothing with 500", b"", SERVER_ERROR, "a proxy", status=500, basis=Basis.ASSUMED),
    Body(
        "overloaded",
        error(kind="overloaded_error"),
        OVERLOADED,
        "529 is Anthropic's status, which gateways hand on",
        status=529,
        basis=Basis.ASSUMED,
    ),
    # The request.
    Body(
        "openai, a wrong parameter",
        error(param="temperature"),
        Reading(Outcome.BAD_REQUEST, param="temperature"),
        OPENAI_SPEC,
        status=400,
    ),
    Body("groq, a wrong request", PLAIN_GROQ_ERROR, BAD_REQUEST, GROQ_ERRORS, status=400),
    Body("groq, unprocessable", PLAIN_GROQ_ERROR, BAD_REQUEST, GROQ_ERRORS, status=422),
    Body("groq, too large", PLAIN_GROQ_ERROR, BAD_REQUEST, GROQ_ERRORS, status=413),
    Body(
        "mistral, a wrong parameter",
        {
            "object": "error",
            "message": "Words of the provider.",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": None,
        },
        Reading(Outcome.BAD_REQUEST, param="temperature"),
        MISTRAL_ERRORS,
        status=400,
    ),
    Body(
        "mistral, unprocessable",
        {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]},
        Reading(Outcome.BAD_REQUEST, param="messages"),
        "reported of Mistral: FastAPI's own shape with 422",
        status=422,
        basis=Basis.ASSUMED,
    ),
    Body(
        "mistral, a field that it does not know",
        mistral_detail("extra_forbidden", "body", "messages", 0, "user", "name"),
        Reading(Outcome.BAD_REQUEST, param="messages.0.user.name"),
        "reported at https://github.com/Gage-Technologies/mistral-go/pull/2",
        status=422,
        basis=Basis.ASSUMED,
    ),
    Body(
        "mistral, a field that it does not know, in a list",
        {
            "object": "Error",
            "message": [{"type": "extra_forbidden", "loc": ["body", "tools"], "msg": "Words of the provider."}],
            "type": "invalid_request_error",
            "code": 3001,
        },
        Reading(Outcome.BAD_REQUEST, param="tools"),
        "reported at https://github.com/partITech/php-mistral/issues/76",
        status=422,
        basis=Basis.ASSUMED,
    ),
    Body(
        "mistral, a place that is no field's name",
        mistral_detail("extra_forbidden", "body", "the words 'my private prompt'"),
        BAD_REQUEST,
        "prudence: a caller is told the name of a field, never what stands in one",
        status=422,
        basis=Basis.ASSUMED,
    ),
    Body(
        "mistral, usage in a stream may not be asked for",
        mistral_detail("extra_forbidden", "body", "stream_options", "include_usage"),
        Reading(Outcome.STREAM_REFUSED, param="stream_options.include_usage"),
        "reported at https://github.com/openai/openai-agents-python/issues/442; since June 2026 Mistral's page of "
        "known limitations says that it must be asked for",
        status=422,
        basis=Basis.ASSUMED,
    ),
    Body(
        "a param that is a sentence",
        error(param="the words 'my private prompt' in messages"),
        BAD_REQUEST,
        "prudence: a caller is told the name of a field, never an upstream's sentence",
        status=400,
        basis=Basis.ASSUMED,
    ),
    Body(
        "openai, too long",
        error("context_length_exceeded", param="messages"),
        Reading(Outcome.CONTEXT_LENGTH, param="messages"),
        "reported of OpenAI and Groq",
        status=400,
        basis=Basis.ASSUMED,
    ),
    Body("together, too long", error(), CONTEXT_LENGTH, TOGETHER_ERRORS, status=403, dialect="together"),
    Body(
        "HTML with 403",
        b"<html>Blocked</html>",
        REFUSED,
        "a guard",
        status=403,
        basis=Basis.ASSUMED,
        dialect="together",
    ),
    Body(
        "together, too long for what was asked",
        error(
            param="max_tokens",
            message="Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 80125 `inputs` "
            "tokens and 4096 `max_new_tokens`",
        ),
        Reading(Outcome.CONTEXT_LENGTH, param="max_tokens"),
        "reported at https://github.com/BerriAI/litellm/issues/4934",
        status=400,
        basis=Basis.ASSUMED,
        dialect="together",
    ),
    Body(
        "vllm, too long",
        error(400, kind="BadRequestError", param="input_tokens"),
        Reading(Outcome.CONTEXT_LENGTH, param="input_tokens"),
        "https://github.com/vllm-project/vllm raises it so since 2026; found in others' copies of its server",
        status=400,
        basis=Basis.ASSUMED,
    ),
    *(
        Body(
            f"{dialect}, too long, told by its words",
            content,
            CONTEXT_LENGTH,
            f"reported at {source}",
            status=400,
            basis=Basis.ASSUMED,
            dialect=dialect,
        )
        for dialect, content, source in (
            (
                "anthropic",
                {
                    "error": {
                        "type": "invalid_request_error",
                        "message": "prompt is too long: 208732 tokens > 200000 maximum",
                    }
                },
                "https://github.com/RooCodeInc/Roo-Code/issues/5816 of its own format",
            ),
            (
                "deepseek",
                error(
                    "invalid_request_error",
                    message="This model's maximum context length is 131072 tokens. However, you requested 131134 "
                    "tokens (122942 in the messages, 8192 in the completion). Please reduce the length of the messages "
                    "or completion.",
                ),
                "https://github.com/evalstate/fast-agent/issues/621",
            ),
            (
                "fireworks",
                error(
                    "invalid_request_error",
                    message="The prompt is too long: 40177, model maximum context length: 32767",
                ),
                "https://github.com/fw-ai/cookbook/issues/134",
            ),
            (
                "gemini",
                [
                    {
                        "error": {
                            "code": 400,
                            "message": "The input token count (1200293) exceeds the maximum number of tokens allowed "
                            "(1048576).",
                            "status": "INVALID_ARGUMENT",
                        }
                    }
                ],
                "https://github.com/google-gemini/gemini-cli/issues/6678 of its own format",
            ),
            (
                "mistral",
                {
                    "object": "error",
                    "message": "Prompt contains 40046 tokens and 0 draft tokens, too large for model with 32768 "
                    "maximum context length",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": None,
                },
                "other clients' tests: Mistral's page of known limitations names the status alone",
            ),
            (
                "openrouter",
                openrouter(
                    400,
                    "This endpoint's maximum context length is 131072 tokens. However, you requested about 141607 "
                    "tokens (10535 of text input, 131072 in the output).",
                ),
                "https://github.com/Aider-AI/aider/issues/3721",
            ),
            (
                "xai",
                {
                    "code": "Client specified an invalid argument",
                    "error": "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
                },
                "https://github.com/cline/cline/issues/3120, which gives the words alone",
            ),
        )
    ),
    # The request, at this candidate.
    Body(
        "openrouter, nobody hosts the model with tools",
        openrouter(
            404,
            "No endpoints found that support tool use. To learn more about provider routing, visit: "
            "https://openrouter.ai/docs/provider-routing",
        ),
        UNSUITED,
        "reported at https://github.com/evalstate/fast-agent/issues/122",
        status=404,
        basis=Basis.ASSUMED,
        dialect="openrouter",
    ),
    Body(
        "openrouter, nobody hosts the model with this choice of tool",
        openrouter(404, "No endpoints found that support the provided 'tool_choice' value."),
        UNSUITED,
        "reported at https://github.com/zed-industries/zed/issues/36094",
        status=404,
        basis=Basis.ASSUMED,
        dialect="openrouter",
    ),
    Body(
        "openrouter, more tokens than can be afforded",
        openrouter(
            402,
            "This request requires more credits, or fewer max_tokens. You requested up to 32000 tokens, but can only "
            "afford 27342. To increase, visit https://openrouter.ai/settings/credits and upgrade to a paid account",
        ),
        Reading(Outcome.UNSUITED, param="max_tokens"),
        "reported at https://github.com/Gitlawb/openclaude/issues/1125",
        status=402,
        basis=Basis.ASSUMED,
        dialect="openrouter",
    ),
    Body(
        "openrouter, a longer prompt than can be afforded",
        openrouter(
            402, "Prompt tokens limit exceeded: 230799 > 91442. To increase, visit https://openrouter.ai/settings/keys"
        ),
        Reading(Outcome.UNSUITED, param="messages"),
        "reported at https://github.com/anomalyco/opencode/issues/12219, which does not give the status",
        status=402,
        basis=Basis.ASSUMED,
        dialect="openrouter",
    ),
    Body(
        "groq, a schema and a stream",
        wordy("Streaming and tool use are not currently supported with Structured Outputs."),
        Reading(Outcome.STREAM_REFUSED),
        "the words of https://console.groq.com/docs/structured-outputs, which does not show the error",
        status=400,
        basis=Basis.ASSUMED,
    ),
    Body(
        "groq, JSON mode and a stream",
        wordy("response_format` does not support streaming"),
        Reading(Outcome.STREAM_REFUSED),
        "reported at https://github.com/BerriAI/litellm/issues/4804",
        status=400,
        basis=Basis.ASSUMED,
    ),
    Body(
        "a stream that is mentioned",
        wordy("The stream of tokens is too long. It may not have more than 5."),
        BAD_REQUEST,
        "prudence: it takes one sentence to refuse a stream",
        status=400,
        basis=Basis.ASSUMED,
    ),
    # The content.
    Body(
        "openrouter, moderation",
        {
            "error": {
                "code": 403,
                "message": "Words of the provider.",
                "metadata": {"reasons": ["violence"], "flagged_input": "…", "provider_name": "Somebody"},
            }
        },
        FILTERED,
        OPENROUTER_ERRORS,
        status=403,
    ),
    Body(
        "azure, content filter",
        error("content_filter", kind=None, param="prompt", innererror={"code": "ResponsibleAIPolicyViolation"}),
        Reading(Outcome.CONTENT_FILTER, param="prompt"),
        "reported of Azure OpenAI",
        status=400,
        basis=Basis.ASSUMED,
    ),
    Body(
        "openai, content policy",
        error("content_policy_violation"),
        FILTERED,
        "reported of OpenAI",
        status=400,
        basis=Basis.ASSUMED,
    ),
]

BODIES = [*ANSWERS, *NOT_WHOLE, *REFUSALS]
