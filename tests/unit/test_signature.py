"""Our signature is the one that botocore's signer makes."""

from datetime import UTC, datetime
from unittest import mock

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from llm_router import signature
from llm_router.signature import AccessKey, Scope

WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-./:_#", min_size=1, max_size=30)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
KEYS = st.builds(AccessKey, st.text("ABCDEF0123456789", min_size=4, max_size=20), SECRETS, st.just("") | SECRETS)
SCOPES = st.builds(Scope, st.sampled_from(["us-east-1", "cn-north-1"]), st.sampled_from(["dynamodb", "ssm"]))
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds it


def by_botocore(headers, body, *, key, scope, at):
    request = AWSRequest("POST", f"https://{headers['host']}/", headers=dict(headers), data=body)
    credentials = Credentials(key.key_id, key.secret, key.session_token or None)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=at.replace(tzinfo=None)):
        SigV4Auth(credentials, scope.service, scope.region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(host=st.from_regex(r"[a-z0-9.]{1,20}\.com(:[1-9][0-9]{3})?", fullmatch=True), target=WORDS, body=st.binary(),
       key=KEYS, scope=SCOPES, at=MOMENTS)  # fmt: skip
def test_a_request_is_signed_as_botocore_signs_it(host, target, body, key, scope, at):
    headers = {"host": host, "content-type": "application/x-amz-json-1.0", "x-amz-target": target}
    signed = signature.signed(headers, body, key=key, scope=scope, at=at)
    assert signed == by_botocore(headers, body, key=key, scope=scope, at=at)


def test_an_access_key_does_not_show_its_secret():
    assert "hidden" not in repr(AccessKey("id", "hidden", "hidden"))
