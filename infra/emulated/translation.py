"""The built template as the emulator takes it: expanded by SAM's own translator, then adapted where it must be.

Pure: templates in, templates out. Whatever differs from what AWS would be given is told as an Adaptation.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from samtranslator.model.exceptions import InvalidDocumentException  # type: ignore[import-untyped]  # ships no types
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]  # the same
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]  # the same

logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it warns of its own metrics and switches

Document = dict[str, Any]

CONTENT = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
"""Where a resource of SAM's names its folder."""

STREAMED_URI_DATE = ("2021-11-15", "2015-03-31")
STREAMED_URI_END = ("/response-streaming-invocations", "/invocations")
"""In what the address of a streaming integration differs from that of a buffered one."""

WEB_ADAPTER, STARTED_BY_WEB_ADAPTER = "LambdaAdapterLayer", "run.sh"
LAYERS_ROOT = PurePosixPath("/opt")
INTEGRATION, RESPONSES = "x-amazon-apigateway-integration", "x-amazon-apigateway-gateway-responses"


class UntranslatableError(Exception):
    """The template is none that SAM knows, or holds what this translation has yet to be taught."""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """One difference between what AWS would be given and what the emulator is given."""

    what: str
    why: str


class NoManagedPolicies:
    """Stands in for the list that SAM would ask IAM for; the template names none."""

    def load(self) -> dict[str, str]:
        return {}


def yaml_of(text: str) -> Document:
    """A template's text, CloudFormation's short forms written out."""
    found: Document = yaml_parse(text)
    return found


def folders(template: Document, *, directory: Path) -> dict[str, Path]:
    """Each function's and layer's folder on this machine. `directory` is where the template lies."""
    return {
        name: (directory / resource["Properties"][CONTENT[resource["Type"]]]).resolve()
        for name, resource in template["Resources"].items()
        if resource["Type"] in CONTENT
    }


def uploaded(template: Document, *, bucket: str, keys: Mapping[str, str]) -> Document:
    """With addresses in S3 in place of folders, as `sam deploy` leaves it. `keys` are by logical name."""
    changed = copy.deepcopy(template)
    for name, key in keys.items():
        resource = changed["Resources"][name]
        resource["Properties"][CONTENT[resource["Type"]]] = f"s3://{bucket}/{key}"
    return changed


def expanded(template: Document, *, parameters: Mapping[str, str]) -> Document:
    """What CloudFormation makes of `Transform: AWS::Serverless-2016-10-31`. Asks AWS nothing.

    SAM's translator takes the region from the environment (AWS_DEFAULT_REGION), and from nowhere else.
    """
    values = {name: str(declared["Default"]) for name, declared in template["Parameters"].items()} | dict(parameters)
    try:
        found: Document = transform(copy.deepcopy(template), values, NoManagedPolicies())
    except InvalidDocumentException as error:
        reasons = "\n".join(f"  {cause.message}" for cause in error.causes)
        raise UntranslatableError(f"SAM refuses the template:\n{reasons}") from error
    return found


def adapted(template: Document, *, folder_of_key: Mapping[str, Path]) -> tuple[Document, list[Adaptation]]:
    """An expanded template for the emulator. `folder_of_key` says what lies behind each address in S3."""
    changed = copy.deepcopy(template)
    resources = changed["Resources"]
    told = [*_api(resources), *_web_servers(resources), *_layer_files(resources, folder_of_key)]
    return changed, told


# --- /opt -------------------------------------------------------------------------------------------------------------


def _layer_files(resources: Document, folder_of_key: Mapping[str, Path]) -> Iterator[Adaptation]:
    """The emulator unpacks layers beside the function's code, in their order, and has no /opt.

    A variable that names a file of /opt is changed only where one of the function's own layers holds that file: with
    the layer left out, or the path wrong, the function fails as it would on Lambda.
    """
    for name, function in _of_type(resources, "AWS::Lambda::Function"):
        contents = [_content(resources, layer, folder_of_key) for layer in function.get("Layers", [])]
        variables = function.get("Environment", {}).get("Variables", {})
        for variable, value in variables.items():
            place = _place(value, contents)
            if place:
                variables[variable] = place
                yield Adaptation(
                    f"{name}: {variable} is {place} in place of {value}",
                    "the emulator unpacks layers beside the code and has no /opt",
                )


def _place(value: object, contents: Sequence[Path | None]) -> str | None:
    """Of two layers with the same file Lambda shows the later one's."""
    path = PurePosixPath(value) if isinstance(value, str) else None
    if path is None or not path.is_relative_to(LAYERS_ROOT):
        return None
    inside = path.relative_to(LAYERS_ROOT)
    for index, folder in reversed(list(enumerate(contents))):
        if folder and (folder / inside).exists():
            return f"../layer_{index}/{inside}"
    return None


def _content(resources: Document, layer: object, folder_of_key: Mapping[str, Path]) -> Path | None:
    name = layer.get("Ref") if isinstance(layer, dict) else None
    if name not in resources:
        return None
    return folder_of_key[resources[name]["Properties"]["Content"]["S3Key"]]


# --- Web servers ------------------------------------------------------------------------------------------------------


def _web_servers(resources: Document) -> Iterator[Adaptation]:
    """A function that AWS's Web Adapter starts: its layer is AWS's own, and cannot be had here.

    Without that layer, or with another program to start, the function is left as it is, and fails as on Lambda.
    """
    for name, function in _of_type(resources, "AWS::Lambda::Function"):
        adapters = [layer for layer in function.get("Layers", []) if WEB_ADAPTER in str(layer)]
        if adapters and function["Handler"] == STARTED_BY_WEB_ADAPTER:
            function["Layers"] = [layer for layer in function["Layers"] if layer not in adapters]
            function["Handler"] = "web_adapter.handler"
            yield Adaptation(
                f"{name}: Mangum calls its app, in place of the Web Adapter that starts {STARTED_BY_WEB_ADAPTER}",
                "the adapter's layer is AWS's own, and cannot be had outside of it",
            )


# --- The API ----------------------------------------------------------------------------------------------------------


def _api(resources: Document) -> Iterator[Adaptation]:
    """The OpenAPI document as resources of its own: of an integration the emulator takes over only the address."""
    for name, api in _of_type(resources, "AWS::ApiGateway::RestApi"):
        body = api.pop("Body")
        api["Name"] = api.get("Name") or body["info"]["title"]
        streamed = [path for path, methods in body["paths"].items() if _whole(methods)]
        made = {
            **_methods(name, body["paths"]),
            **_gateway_responses(name, body.get(RESPONSES, {})),
        }
        for deployment in _deployments(resources, name):
            deployment["DependsOn"] = sorted(made)
        resources |= made
        if streamed:
            yield Adaptation(f"{name}: {', '.join(streamed)} answers whole", "the emulator's gateway does not stream")
        yield Adaptation(
            f"{name}: its OpenAPI Body is written as {len(made)} resources (paths, methods, gateway responses)",
            "of a Body the emulator takes the paths and the functions, but no timeout and no gateway response",
        )


def _whole(methods: Document) -> bool:
    """Whether there was a method that streams; afterwards there is none."""
    found = [operation[INTEGRATION] for operation in methods.values() if INTEGRATION in operation]
    streaming = [integration for integration in found if integration.pop("responseTransferMode", None) == "STREAM"]
    for integration in streaming:
        uri: str = integration["uri"]["Fn::Sub"]
        integration["uri"] = {"Fn::Sub": uri.replace(*STREAMED_URI_DATE).replace(*STREAMED_URI_END)}
    return bool(streaming)


def _deployments(resources: Document, api: str) -> Iterator[Document]:
    for resource in resources.values():
        if resource["Type"] == "AWS::ApiGateway::Deployment" and resource["Properties"]["RestApiId"] == {"Ref": api}:
            yield resource


def _methods(api: str, paths: Document) -> Document:
    made: Document = {}
    for path, operations in paths.items():
        parent: Document = {"Fn::GetAtt": [api, "RootResourceId"]}
        parts = [part for part in path.split("/") if part]
        for depth, part in enumerate(parts):
            name = _logical(api, "Path", *parts[: depth + 1])
            properties = {"RestApiId": {"Ref": api}, "ParentId": parent, "PathPart": part}
            made[name] = {"Type": "AWS::ApiGateway::Resource", "Properties": properties}
            parent = {"Ref": name}
        for method, operation in operations.items():
            made[_logical(api, "Method", method, *parts)] = _method(api, parent, method, operation)
    return made


def _method(api: str, resource: Document, method: str, operation: Document) -> Document:
    integration = dict(operation[INTEGRATION])
    made = {
        "Type": integration.pop("type").upper(),
        "IntegrationHttpMethod": integration.pop("httpMethod"),
        "Uri": integration.pop("uri"),
        "TimeoutInMillis": integration.pop("timeoutInMillis"),
    }
    if integration:
        raise UntranslatableError(f"{method} of {api}: the integration also has {sorted(integration)}")
    return {
        "Type": "AWS::ApiGateway::Method",
        "Properties": {
            "RestApiId": {"Ref": api},
            "ResourceId": resource,
            "HttpMethod": method.upper(),
            "AuthorizationType": "NONE",
            "Integration": made,
        },
    }


def _gateway_responses(api: str, responses: Document) -> Document:
    made: Document = {}
    for kind, response in responses.items():
        properties: Document = {
            "RestApiId": {"Ref": api},
            "ResponseType": kind,
            "ResponseTemplates": response.get("responseTemplates", {}),
            "ResponseParameters": response.get("responseParameters", {}),
        }
        if "statusCode" in response:
            properties["StatusCode"] = str(response["statusCode"])
        made[_logical(api, "Response", kind)] = {"Type": "AWS::ApiGateway::GatewayResponse", "Properties": properties}
    return made


def _logical(*parts: str) -> str:
    """CloudFormation's names are letters and digits."""
    return "".join(re.sub(r"[^A-Za-z0-9]", "", part.capitalize() if part.islower() else part) for part in parts)


def _of_type(resources: Document, kind: str) -> list[tuple[str, Document]]:
    return [(name, resource["Properties"]) for name, resource in resources.items() if resource["Type"] == kind]
