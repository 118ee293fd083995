"""What an operator is told after a deployment: where things are and what to do next. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from infra.deploy.stack import Outputs
from llm_router import key_names

KEY_VARIABLE = "LLM_ROUTER_KEY"


def addresses(outputs: Outputs) -> str:
    page = f"{outputs.page_url}  (whoever knows this address can read the figures)"
    return "\n".join(
        [
            f"Router     {outputs.api_url}",
            f"Dashboard  {page if outputs.page_url else 'not published (PublishPage=false)'}",
            f"Logs       {outputs.router_logs}, {outputs.streaming_logs}, {outputs.stats_logs}",
            f"Alarms     {outputs.alarm_topic}",
        ]
    )


def client_key(text: str | None) -> str:
    """`text` is the new key, or None where there was one already."""
    if text is None:
        return "Client keys exist already, so none was made. A key is shown once only, when it is made."
    return "\n".join(
        [
            "The first client key. It is shown this once and stored only as a hash, so keep it now:",
            f"  export {KEY_VARIABLE}={text}",
        ]
    )


def provider_keys(providers: Sequence[str], *, stored: Collection[str], stage: str, region: str) -> str:
    """The exact commands for each provider that has no key yet."""
    missing = [provider for provider in providers if provider not in stored]
    if not missing:
        return "Every provider that needs a key has one."
    lines = ["Store the providers' keys. One is enough to start; a provider without a key is left out."]
    for provider in missing:
        lines += [
            f"  make provider-key PROVIDER={provider} STAGE={stage} REGION={region}",
            f"    or: {key_names.store_command(provider, stage=stage)} --region {region}",
        ]
    return "\n".join(lines)


def first_request(outputs: Outputs) -> str:
    return "\n".join(
        [
            "Then try it:",
            f"  curl -s {outputs.api_url}/generate \\",
            f'    -H "Authorization: Bearer ${KEY_VARIABLE}" -H "Content-Type: application/json" \\',
            """    -d '{"prompt": "Say hello in five words."}'""",
            f'  curl -s {outputs.api_url}/stats -H "Authorization: Bearer ${KEY_VARIABLE}"',
        ]
    )
