"""What each role of the stack may do and what it may not.

IAM's own simulator is asked, which does nothing and costs nothing. An emulated run also takes on each role and makes
every call for real.
"""

from __future__ import annotations

import re

import pytest
from botocore.exceptions import ClientError

from llm_router import key_names

OWN_KEY, ANOTHER_STAGES_KEY, ANOTHER_PARAMETER = "own key", "another stage's key", "another parameter"
NEW = "permission-check"
"""Names all that a call for real would make. The aggregator looks at journal entries alone."""

READS_STATE_AND_TELLS_THE_FLEET = [
    ("dynamodb:GetItem", "StateTable"),
    ("dynamodb:BatchGetItem", "StateTable"),
    ("dynamodb:UpdateItem", "StateTable"),
]

MAY = {
    "RouterRole": [
        ("dynamodb:GetItem", "LedgerTable"),
        ("dynamodb:BatchGetItem", "LedgerTable"),
        ("dynamodb:Query", "LedgerTable"),
        ("dynamodb:PutItem", "LedgerTable"),
        ("dynamodb:UpdateItem", "LedgerTable"),
        ("dynamodb:DeleteItem", "LedgerTable"),
        *READS_STATE_AND_TELLS_THE_FLEET,
        ("ssm:GetParameters", OWN_KEY),
        ("logs:CreateLogStream", "RouterLogs"),
        ("logs:PutLogEvents", "RouterLogs"),
    ],
    "StreamingRole": [
        ("dynamodb:PutItem", "LedgerTable"),
        ("dynamodb:UpdateItem", "LedgerTable"),
        ("dynamodb:DeleteItem", "LedgerTable"),
        *READS_STATE_AND_TELLS_THE_FLEET,
        ("ssm:GetParameters", OWN_KEY),
        ("logs:CreateLogStream", "StreamingLogs"),
        ("logs:PutLogEvents", "StreamingLogs"),
    ],
    "StatsRole": [
        ("dynamodb:GetItem", "LedgerTable"),
        ("dynamodb:BatchGetItem", "LedgerTable"),
        ("dynamodb:Query", "LedgerTable"),
        ("dynamodb:UpdateItem", "LedgerTable"),
        ("dynamodb:PutItem", "StateTable"),
        ("s3:PutObject", "PageBucket"),
        ("logs:CreateLogStream", "StatsLogs"),
        ("logs:PutLogEvents", "StatsLogs"),
    ],
    "StatsFunctionEveryRole": [
        ("lambda:InvokeFunction", "StatsFunction"),
    ],
}

NEVER = [
    *(("dynamodb:Scan", table) for table in ("LedgerTable", "StateTable")),
    *(("dynamodb:DeleteTable", table) for table in ("LedgerTable", "StateTable")),
    *(("dynamodb:UpdateTable", table) for table in ("LedgerTable", "StateTable")),
    *(("dynamodb:UpdateTimeToLive", table) for table in ("LedgerTable", "StateTable")),
    *(("dynamodb:CreateBackup", table) for table in ("LedgerTable", "StateTable")),
    ("dynamodb:DeleteItem", "StateTable"),
    ("dynamodb:Query", "StateTable"),
    ("ssm:GetParameter", OWN_KEY),
    ("ssm:PutParameter", OWN_KEY),
    ("ssm:DeleteParameter", OWN_KEY),
    ("ssm:GetParameters", ANOTHER_STAGES_KEY),
    ("ssm:GetParameters", ANOTHER_PARAMETER),
    ("ssm:GetParameter", ANOTHER_PARAMETER),
    ("s3:GetObject", "PageBucket"),
    ("s3:DeleteObject", "PageBucket"),
    ("s3:ListBucket", "PageBucket"),
    ("s3:PutBucketPolicy", "PageBucket"),
    ("s3:DeleteBucket", "PageBucket"),
    ("lambda:InvokeFunction", "RouterFunction"),
    ("lambda:InvokeFunction", "StreamingFunction"),
    ("lambda:UpdateFunctionConfiguration", "RouterFunction"),
    ("logs:DeleteLogGroup", "RouterLogs"),
    ("logs:DeleteLogGroup", "StreamingLogs"),
    ("logs:DeleteLogGroup", "StatsLogs"),
    ("sns:Publish", "AlarmTopic"),
    ("iam:PutRolePolicy", "RouterRole"),
    ("iam:PutRolePolicy", "StreamingRole"),
    ("iam:PutRolePolicy", "StatsRole"),
]

MAY_NOT = {
    "RouterRole": [
        *NEVER,
        ("dynamodb:PutItem", "StateTable"),
        ("s3:PutObject", "PageBucket"),
        ("lambda:InvokeFunction", "StatsFunction"),
        ("logs:PutLogEvents", "StreamingLogs"),
        ("logs:PutLogEvents", "StatsLogs"),
    ],
    "StreamingRole": [
        *NEVER,
        ("dynamodb:GetItem", "LedgerTable"),
        ("dynamodb:BatchGetItem", "LedgerTable"),
        ("dynamodb:Query", "LedgerTable"),
        ("dynamodb:PutItem", "StateTable"),
        ("s3:PutObject", "PageBucket"),
        ("lambda:InvokeFunction", "StatsFunction"),
        ("logs:PutLogEvents", "RouterLogs"),
    ],
    "StatsRole": [
        *NEVER,
        ("dynamodb:PutItem", "LedgerTable"),
        ("dynamodb:DeleteItem", "LedgerTable"),
        ("dynamodb:GetItem", "StateTable"),
        ("dynamodb:BatchGetItem", "StateTable"),
        ("dynamodb:UpdateItem", "StateTable"),
        ("ssm:GetParameters", OWN_KEY),
        ("lambda:InvokeFunction", "StatsFunction"),
        ("logs:PutLogEvents", "RouterLogs"),
    ],
    "StatsFunctionEveryRole": [
        *NEVER,
        ("dynamodb:GetItem", "LedgerTable"),
        ("dynamodb:GetItem", "StateTable"),
        ("dynamodb:PutItem", "StateTable"),
        ("dynamodb:UpdateItem", "StateTable"),
        ("ssm:GetParameters", OWN_KEY),
        ("s3:PutObject", "PageBucket"),
    ],
}

ONE_ITEM = [
    ("RouterRole", "dynamodb:UpdateItem", "fleet"),
    ("StreamingRole", "dynamodb:UpdateItem", "fleet"),
    ("StatsRole", "dynamodb:PutItem", "facts"),
]
"""The only items of the state table that a role may change."""

KEYS_ARE_NOT_LOOKED_AT = (
    "asks for conditions on an item's key, which the emulator does not know (asserted on the template)"
)

OBJECTS = {"s3:PutObject", "s3:GetObject", "s3:DeleteObject"}
"""What is allowed or denied for the objects of a bucket, and not for itself."""

REAL_CALLS = "makes each call for real, which would change a stack that serves"


def rows(table):
    return [pytest.param(role, action, on, id=f"{role}-{action}-{on}") for role in table for action, on in table[role]]


def place(stack, on):
    """What a row names, as the stack knows it."""
    return {
        OWN_KEY: key_names.parameter("steady", stage=stack.stage),
        ANOTHER_STAGES_KEY: key_names.parameter("steady", stage=f"{stack.stage}x"),
        ANOTHER_PARAMETER: "/elsewhere/secret",
    }.get(on, on)


# As IAM's simulator sees it


def decision(stack, role, action, on, *, item=None):
    arn = stack.arn(place(stack, on))
    key = {"ContextKeyName": "dynamodb:LeadingKeys", "ContextKeyType": "stringList", "ContextKeyValues": [item]}
    (found,) = stack.client("iam").simulate_principal_policy(
        PolicySourceArn=stack.arn(role),
        ActionNames=[action],
        ResourceArns=[f"{arn}/one" if action in OBJECTS else arn],
        ContextEntries=[key] if item else [],
    )["EvaluationResults"]
    return found["EvalDecision"]


@pytest.mark.parametrize(("role", "action", "on"), rows(MAY))
def test_what_a_role_needs_is_allowed(stack, role, action, on):
    assert decision(stack, role, action, on) == "allowed"


@pytest.mark.parametrize(("role", "action", "on"), rows(MAY_NOT))
def test_what_a_role_has_no_need_of_is_denied(stack, role, action, on):
    assert decision(stack, role, action, on) in ("implicitDeny", "explicitDeny")


@pytest.mark.real_only(KEYS_ARE_NOT_LOOKED_AT)
@pytest.mark.parametrize(("role", "action", "item"), ONE_ITEM)
def test_a_role_may_change_one_item_of_the_state_table_and_no_client_key(stack, role, action, item):
    assert decision(stack, role, action, "StateTable", item=item) == "allowed"
    for other in ("client-key#abc", {"fleet": "facts", "facts": "fleet"}[item]):
        assert decision(stack, role, action, "StateTable", item=other) == "implicitDeny"


def test_each_function_runs_under_its_own_role(stack):
    for name in ("Router", "Streaming", "Stats"):
        found = stack.client("lambda").get_function_configuration(FunctionName=stack.resources[f"{name}Function"])
        assert found["Role"] == stack.arn(f"{name}Role")


@pytest.mark.parametrize("role", MAY)
def test_no_role_has_a_policy_that_the_template_does_not_give_it(stack, role):
    iam, name = stack.client("iam"), stack.resources[role]
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    assert len(iam.list_role_policies(RoleName=name)["PolicyNames"]) == 1


# As the calls themselves find it


@pytest.fixture(scope="module")
def cleared(stack):
    """Takes away what the allowed calls have made, for whoever looks at the stack afterwards."""
    yield
    stack.client("s3").delete_object(Bucket=stack.outputs["PageBucket"], Key=NEW)
    for name in (NEW, *(f"{NEW}-{role}" for role in MAY)):
        item = {"pk": {"S": name}, "sk": {"S": name}}
        stack.client("dynamodb").delete_item(TableName=stack.outputs["LedgerTable"], Key=item)
        stack.client("dynamodb").delete_item(TableName=stack.outputs["StateTable"], Key={"pk": item["pk"]})


def key(stack, table):
    described = stack.client("dynamodb").describe_table(TableName=stack.resources[table])["Table"]
    return {part["AttributeName"]: {"S": NEW} for part in described["KeySchema"]}


def request(stack, action, on):  # noqa: C901, PLR0911, PLR0912  # a table of the calls, one line each
    """What boto3 is asked with: harmless where it is allowed."""
    name = stack.resources.get(on, place(stack, on))
    match action:
        case "dynamodb:GetItem" | "dynamodb:DeleteItem":
            return {"TableName": name, "Key": key(stack, on)}
        case "dynamodb:BatchGetItem":
            return {"RequestItems": {name: {"Keys": [key(stack, on)]}}}
        case "dynamodb:Query":
            values = {":pk": {"S": NEW}}
            return {"TableName": name, "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": values}
        case "dynamodb:PutItem":
            return {"TableName": name, "Item": key(stack, on)}
        case "dynamodb:UpdateItem":
            values = {":yes": {"BOOL": True}}
            expression = {"UpdateExpression": "SET checked = :yes", "ExpressionAttributeValues": values}
            return {"TableName": name, "Key": key(stack, on), **expression}
        case "dynamodb:UpdateTable":
            return {"TableName": name, "BillingMode": "PAY_PER_REQUEST"}
        case "dynamodb:UpdateTimeToLive":
            return {"TableName": name, "TimeToLiveSpecification": {"Enabled": False, "AttributeName": "expires_at"}}
        case "dynamodb:CreateBackup":
            return {"TableName": name, "BackupName": NEW}
        case "dynamodb:Scan" | "dynamodb:DeleteTable":
            return {"TableName": name}
        case "ssm:GetParameters":
            return {"Names": [name], "WithDecryption": True}
        case "ssm:GetParameter" | "ssm:DeleteParameter":
            return {"Name": name}
        case "ssm:PutParameter":
            return {"Name": name, "Value": NEW, "Type": "SecureString", "Overwrite": True}
        case "s3:PutObject":
            return {"Bucket": name, "Key": NEW, "Body": b""}
        case "s3:GetObject" | "s3:DeleteObject":
            return {"Bucket": name, "Key": "stats.json"}
        case "s3:ListBucket" | "s3:DeleteBucket":
            return {"Bucket": name}
        case "s3:PutBucketPolicy":
            return {"Bucket": name, "Policy": "{}"}
        case "lambda:InvokeFunction":
            return {"FunctionName": name, "Payload": b"{}"}
        case "lambda:UpdateFunctionConfiguration":
            return {"FunctionName": name, "Timeout": 900}
        case "logs:CreateLogStream":
            return {"logGroupName": name, "logStreamName": NEW}
        case "logs:PutLogEvents":
            return {"logGroupName": name, "logStreamName": NEW, "logEvents": [{"timestamp": 1, "message": NEW}]}
        case "logs:DeleteLogGroup":
            return {"logGroupName": name}
        case "sns:Publish":
            return {"TopicArn": name, "Message": NEW}
        case "iam:PutRolePolicy":
            return {"RoleName": name, "PolicyName": NEW, "PolicyDocument": '{"Version": "2012-10-17", "Statement": []}'}
    raise AssertionError(f"no call is known for {action}")


OTHERWISE_NAMED = {"ListBucket": "ListObjectsV2", "InvokeFunction": "Invoke"}
"""Permissions whose call has another name."""


def as_role(stack, role, service):
    found = stack.client("sts").assume_role(RoleArn=stack.arn(role), RoleSessionName=NEW)["Credentials"]
    return stack.client(
        service,
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )


def is_refused(call, **asked):
    """Any other error than a refusal comes after the permissions."""
    try:
        call(**asked)
    except ClientError as error:
        return error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "AuthorizationError")
    return False


def is_denied(stack, role, action, on):
    service, _, permission = action.partition(":")
    operation = re.sub("(?<=[a-z])(?=[A-Z])|(?<=[a-z])(?=V2)", "_", OTHERWISE_NAMED.get(permission, permission))
    return is_refused(getattr(as_role(stack, role, service), operation.lower()), **request(stack, action, on))


@pytest.mark.emulated_only(REAL_CALLS)
@pytest.mark.usefixtures("cleared")
@pytest.mark.parametrize(("role", "action", "on"), rows(MAY))
def test_what_a_role_needs_can_be_done(stack, role, action, on):
    assert not is_denied(stack, role, action, on)


@pytest.mark.emulated_only(REAL_CALLS)
@pytest.mark.usefixtures("cleared")
@pytest.mark.parametrize(("role", "action", "on"), rows(MAY_NOT))
def test_what_a_role_has_no_need_of_cannot_be_done(stack, role, action, on):
    assert is_denied(stack, role, action, on)


@pytest.mark.emulated_only(REAL_CALLS)
@pytest.mark.usefixtures("cleared")
def test_one_key_of_another_stage_among_its_own_is_too_many(stack):
    names = [place(stack, OWN_KEY), place(stack, ANOTHER_STAGES_KEY)]
    assert is_refused(as_role(stack, "RouterRole", "ssm").get_parameters, Names=names, WithDecryption=True)


@pytest.mark.emulated_only(REAL_CALLS)
@pytest.mark.usefixtures("cleared")
@pytest.mark.parametrize(("role", "denied"), [("RouterRole", False), ("StreamingRole", False), ("StatsRole", True)])
def test_a_transaction_needs_what_it_is_made_of(stack, role, denied):
    item = {name: {"S": f"{NEW}-{role}"} for name in key(stack, "LedgerTable")}
    put = {"Put": {"TableName": stack.resources["LedgerTable"], "Item": item}}
    transact = as_role(stack, role, "dynamodb").transact_write_items
    assert is_refused(transact, TransactItems=[put]) is denied
