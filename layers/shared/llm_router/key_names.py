"""Where a provider's key is stored: its parameter in SSM, its environment variable on one machine."""

from __future__ import annotations


def parameter(provider: str, *, stage: str) -> str:
    return f"/llm-router/{stage}/providers/{provider}/api_key"


def variable(provider: str) -> str:
    return f"{provider.replace('-', '_').upper()}_API_KEY"


def store_command(provider: str, *, stage: str = "<stage>") -> str:
    """What an operator types to store a key; the value stays theirs to fill in."""
    name = parameter(provider, stage=stage)
    return f"aws ssm put-parameter --name {name} --type SecureString --value …"
