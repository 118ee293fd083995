"""What botocore knows of this process's access to AWS, and its client of S3: for who does not start in a hurry."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

from llm_router.signature import AccessKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_QUICK = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"})


@cache
def s3() -> S3Client:
    client: Any = _session().create_client("s3", config=_QUICK)
    return cast("S3Client", client)


def access_key() -> AccessKey:
    """Renewed when it is due. Raises NoCredentialsError."""
    found = _session().get_credentials()
    if found is None:
        raise NoCredentialsError
    now = found.get_frozen_credentials()
    if not now.access_key or not now.secret_key:
        raise NoCredentialsError
    return AccessKey(now.access_key, now.secret_key, now.token or "")


def region() -> str | None:
    found: str | None = _session().get_config_variable("region")
    return found


@cache
def _session() -> botocore.session.Session:
    """One, because what it reads (credentials, endpoints) serves all clients."""
    return botocore.session.get_session()
