"""How the environment leads to AWS: the addresses that botocore knows, the key that is there, a region that must be."""

import botocore.session
import pytest

from llm_router import aws_access, aws_session
from llm_router.errors import SettingsError

UNREACHED = ("aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f")
"""Partitions that lie apart from the internet, under domains of their own."""

KEY = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


SESSION = botocore.session.get_session()


@pytest.mark.parametrize("service", ["dynamodb", "ssm"])
def test_a_service_is_in_every_region_where_botocore_looks_for_it(service):
    resolver = SESSION._get_internal_component("endpoint_resolver")
    partitions = [name for name in SESSION.get_available_partitions() if name not in UNREACHED]
    regions = [region for name in partitions for region in SESSION.get_available_regions(service, name)]
    assert len(regions) > 30
    for region in regions:
        known = resolver.construct_endpoint(service, region)["hostname"]
        assert aws_access.address(service, region) == f"https://{known}"


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_either_name_of_the_region_will_do(name):
    aws_access.read({name: "eu-central-1", **KEY})


def test_without_a_region_the_error_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(aws_session, "region", lambda: None)
    aws_access._configured_region.cache_clear()
    with pytest.raises(SettingsError, match="AWS_REGION is not set"):
        aws_access.read(KEY)
    aws_access._configured_region.cache_clear()


def test_the_key_of_the_environment_needs_nothing_of_botocore(monkeypatch):
    monkeypatch.setattr(aws_session, "access_key", lambda: pytest.fail("botocore was asked"))
    key = aws_access._access_key({**KEY, "AWS_SESSION_TOKEN": "token"})()
    assert (key.key_id, key.secret, key.session_token) == ("id", "secret", "token")


def test_without_a_key_in_the_environment_botocore_is_asked_at_each_call(monkeypatch):
    """A key that it finds elsewhere may be renewed."""
    monkeypatch.setattr(aws_session, "access_key", iter(["first", "second"]).__next__)
    found = aws_access._access_key({"AWS_REGION": "eu-central-1"})
    assert (found(), found()) == ("first", "second")
