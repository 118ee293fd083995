"""The functions as template.yaml declares them: limits, environment and layers, read and never typed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

Template = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Function:
    """One function; `variables` is its whole environment, that of Globals included.

    `layers` are the template's own: one that somebody else publishes is not among them.
    """

    logical_name: str
    runtime: str
    handler: str
    timeout_s: int
    memory_mb: int
    variables: Mapping[str, str]
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Ref:
    """A `!Ref`, until it is known what it stands for."""

    name: str


class _Loader(yaml.SafeLoader):
    """Keeps `!Ref` and drops CloudFormation's other tags: none of them stands where this module looks."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)  # noqa: S101  # YAML has no fourth kind
    return loader.construct_mapping(node, deep=True)


def _ref(loader: yaml.SafeLoader, node: yaml.Node) -> _Ref:
    assert isinstance(node, yaml.ScalarNode)  # noqa: S101  # CloudFormation takes nothing else
    return _Ref(str(loader.construct_scalar(node)))


_Loader.add_multi_constructor("!", _untagged)
_Loader.add_constructor("!Ref", _ref)


def load(path: Path = TEMPLATE) -> Template:
    found: Template = yaml.load(path.read_text(), _Loader)  # noqa: S506  # a safe loader
    return found


def function(
    template: Template,
    logical_name: str,
    *,
    resources: Mapping[str, str],
    parameters: Mapping[str, str] | None = None,
) -> Function:
    """`resources` gives the physical names of the tables and the bucket, `parameters` what is not left at its default.

    Raises KeyError for a reference to anything else.
    """
    everywhere = template["Globals"]["Function"]
    properties = {**everywhere, **template["Resources"][logical_name]["Properties"]}
    defaults = {name: row["Default"] for name, row in template["Parameters"].items()}
    known = {**defaults, **(parameters or {}), **resources}

    def resolved(value: object) -> Any:
        return known[value.name] if isinstance(value, _Ref) else value

    variables = {**everywhere["Environment"]["Variables"], **properties["Environment"]["Variables"]}
    return Function(
        logical_name=logical_name,
        runtime=properties["Runtime"],
        handler=properties["Handler"],
        timeout_s=int(resolved(properties["Timeout"])),
        memory_mb=int(resolved(properties["MemorySize"])),
        variables={name: str(resolved(value)) for name, value in variables.items()},
        layers=tuple(layer.name for layer in properties["Layers"] if isinstance(layer, _Ref)),
    )
