"""How this process reaches AWS: region, access key and addresses, read from the environment as AWS's own tools do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from llm_router import aws_json
from llm_router.aws_json import JsonClient, Service
from llm_router.errors import SettingsError
from llm_router.signature import AccessKey, Scope

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ssm import SSMClient

DOMAINS = {"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}
"""Of the regions whose names begin so; all others that can be reached lie in `amazonaws.com`."""

TARGETS = {"dynamodb": ("DynamoDB_20120810", "1.0"), "ssm": ("AmazonSSM", "1.1")}
"""What comes before an operation's name, and the version of the JSON protocol."""


class AwsAccess:
    """Makes the clients, each once. Nothing is asked of AWS by making one."""

    def __init__(self, *, region: str, access_key: Callable[[], AccessKey], endpoints: Mapping[str, str]) -> None:
        """`endpoints` are addresses by service, where one has another than AWS's own."""
        self._region = region
        self._access_key = access_key
        self._endpoints = endpoints
        self._asking = {service: self._client(service) for service in TARGETS}
        self._dynamodb = aws_json.dynamodb(self._asking["dynamodb"])
        self._ssm = aws_json.ssm(self._asking["ssm"])

    def dynamodb(self) -> DynamoDBClient:
        return self._dynamodb

    def ssm(self) -> SSMClient:
        return self._ssm

    def close(self) -> None:
        """The connections that are kept."""
        for asking in self._asking.values():
            asking.close()

    def _client(self, service: str) -> JsonClient:
        target, json_version = TARGETS[service]
        endpoint = self._endpoints.get(service) or address(service, self._region)
        return JsonClient(Service(Scope(self._region, service), endpoint, target, json_version), self._access_key)


def read(environ: Mapping[str, str]) -> AwsAccess:
    """From the variables that Lambda sets, or else from what botocore finds. Raises SettingsError for no region."""
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or _configured_region()
    if not region:
        raise SettingsError("the environment", ["AWS_REGION is not set: give the region of the tables"])
    everywhere = environ.get("AWS_ENDPOINT_URL", "")
    endpoints = {service: environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or everywhere for service in TARGETS}
    return AwsAccess(region=region, access_key=_access_key(environ), endpoints=endpoints)


def address(service: str, region: str) -> str:
    domain = next((domain for prefix, domain in DOMAINS.items() if region.startswith(prefix)), "amazonaws.com")
    return f"https://{service}.{region}.{domain}"


def _access_key(environ: Mapping[str, str]) -> Callable[[], AccessKey]:
    """On Lambda the key in the environment is good for as long as the process may live."""
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret:
        return _found_access_key
    key = AccessKey(key_id, secret, environ.get("AWS_SESSION_TOKEN", ""))
    return lambda: key


def _found_access_key() -> AccessKey:
    """Of a profile, a container or a machine, renewed by botocore when it is due. Raises NoCredentialsError."""
    from llm_router import aws_session  # noqa: PLC0415  # loads botocore, 100 ms that Lambda has no need of

    return aws_session.access_key()


@cache
def _configured_region() -> str | None:
    from llm_router import aws_session  # noqa: PLC0415  # the same

    return aws_session.region()
