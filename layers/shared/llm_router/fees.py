"""Which requests may cost something that no count of tokens shows: a fee for each search or each run of a tool. Pure.

What a provider runs itself is told from what the caller runs by the type of the tool.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from llm_router.prompts import Prompt

CALLERS_TOOLS = ("function", "custom")
"""Types of tools that the caller runs: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools"""

FIELDS = ("web_search_options", "search_parameters", "plugins", "compound_custom", "search_settings")
"""OpenAI's and Gemini's search, xAI's, OpenRouter's plugins, Groq's systems of tools (both names)."""

MODELS = re.compile(r":online$|-search-(preview|api)\b|\bcompound\b|\bsonar\b")
"""OpenRouter's and OpenAI's models that search by themselves, Groq's that run tools, Perplexity's that charge for each
request."""


def may_arise(prompt: Prompt, model: str) -> bool:
    """Whether the provider may charge for more than tokens."""
    return _asks(prompt.fields) or bool(MODELS.search(model))


def _asks(fields: Mapping[str, object]) -> bool:
    search = fields.get("search_parameters")
    is_off = isinstance(search, Mapping) and search.get("mode") == "off"
    if any(fields.get(name) is not None and not (name == "search_parameters" and is_off) for name in FIELDS):
        return True
    tools = fields.get("tools")
    return isinstance(tools, list | tuple) and any(_is_run_by_the_provider(tool) for tool in tools)


def _is_run_by_the_provider(tool: object) -> bool:
    """A tool without a type is taken for a function, as some servers do."""
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    return kind is not None and kind not in CALLERS_TOOLS
