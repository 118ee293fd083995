"""A deployed stack as its caller and its operator see it: addresses, names, clients. Emulated or real alike."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
import simplejson
from botocore.config import Config

PATIENCE_S = 150
"""Longer than the stats function may run."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Decimals stay decimals."""
        return simplejson.loads(self.body, use_decimal=True)

    @property
    def code(self) -> str:
        """Of an error; fails where the answer has not the shape of one."""
        error = self.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return error["code"]


@dataclass(frozen=True)
class Stack:
    """`endpoint` is where an emulated AWS listens, None for the real one."""

    name: str
    region: str
    client_key: str = field(repr=False)
    endpoint: str | None

    # Its names

    @cached_property
    def outputs(self) -> dict[str, str]:
        (found,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}

    @cached_property
    def parameters(self) -> dict[str, str]:
        (found,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in found["Parameters"]}

    @cached_property
    def resources(self) -> dict[str, str]:
        """Physical ids by logical ones."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
        }

    @cached_property
    def stage(self) -> str:
        return self.settings("RouterFunction")["STAGE"]

    @cached_property
    def account(self) -> str:
        return self.client("sts").get_caller_identity()["Account"]

    def settings(self, function: str) -> dict[str, str]:
        """A function's environment."""
        found = self.client("lambda").get_function_configuration(FunctionName=self.resources[function])
        return found["Environment"]["Variables"]

    def arn(self, resource: str) -> str:
        """Of what the permissions name: a logical name, or a path of Parameter Store's."""
        account, region = self.account, self.region
        if resource.startswith("/"):
            return f"arn:aws:ssm:{region}:{account}:parameter{resource}"
        name = self.resources[resource]
        return {
            "Table": f"arn:aws:dynamodb:{region}:{account}:table/{name}",
            "Bucket": f"arn:aws:s3:::{name}",
            "Logs": f"arn:aws:logs:{region}:{account}:log-group:{name}:log-stream:one",
            "Function": f"arn:aws:lambda:{region}:{account}:function:{name}",
            "Topic": name,
            "Role": f"arn:aws:iam::{account}:role/{name}",
        }[re.findall("[A-Z][a-z]+", resource)[-1]]

    # Its services

    def client(self, service: str, **credentials: str) -> Any:
        config = Config(
            read_timeout=PATIENCE_S,
            retries={"total_max_attempts": 8, "mode": "standard"},
            s3={"addressing_style": "path"},
        )
        return boto3.client(service, region_name=self.region, config=config, **credentials)

    # Its doors

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def generate(self, body: object, **headers: str) -> Answer:
        """With the client key unless another header says who asks. A text is sent as it is."""
        return self.post("/generate", body, **headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        sent = body if isinstance(body, str | bytes) else json.dumps(body)
        return self.ask("POST", path, body=sent, headers=self.signed_in | headers)

    @property
    def signed_in(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.client_key}"}

    def ask(
        self, method: str, path: str, *, body: str | bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        return self.fetch(self.outputs["ApiUrl"] + path, method=method, body=body, headers=headers)

    def fetch(
        self, url: str, *, method: str = "GET", body: str | bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """To the address as it is. An emulated AWS answers at its endpoint to the names that AWS would have."""
        parts = urlsplit(url)
        if self.endpoint:
            connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=PATIENCE_S)
        else:
            connection = http.client.HTTPSConnection(parts.netloc, timeout=PATIENCE_S)
        try:
            connection.request(method, parts.path or "/", body, {"host": parts.netloc, **headers})
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        finally:
            connection.close()


def refuse_leaks(text: str, *further: str, stack: Stack) -> None:
    """Fails where one of these or the client key stands in a text, and shows neither the key nor the text.

    What a test prints is kept in logs, and pytest prints the values of what an `assert` compares.
    """
    found = [secret for secret in further if secret in text]
    if stack.client_key.split("_", 2)[2] in text:
        found.append("the client key")
    if found:
        raise AssertionError(f"leaked: {found}")


def until(condition: Callable[[], bool], *, within_s: float) -> None:
    ends_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_s, "it did not come to be in time"
        time.sleep(0.05)
