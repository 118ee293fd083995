"""What the emulator is given: the template as AWS would expand it, and nothing changed but what is told."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from infra.emulated import translation
from infra.emulated.translation import UntranslatableError

ROOT = Path(__file__).parents[2]
SOURCE = translation.yaml_of((ROOT / "template.yaml").read_text())
FOLDERS = translation.folders(SOURCE, directory=ROOT)
STREAMED = "/v1/chat/completions"


@pytest.fixture
def expanded(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return translation.expanded(uploaded(), parameters={"Stage": "dev"})


def uploaded():
    return translation.uploaded(SOURCE, bucket="bucket", keys={name: name for name in FOLDERS})


def adapted(template):
    return translation.adapted(template, folder_of_key=FOLDERS)


def variables(template, function):
    return template["Resources"][function]["Properties"]["Environment"]["Variables"]


def document(template):
    return template["Resources"]["RouterApi"]["Properties"]["Body"]


def of_type(template, kind):
    return [resource["Properties"] for resource in template["Resources"].values() if resource["Type"] == kind]


def test_neither_the_template_nor_its_expansion_is_changed(expanded):
    before = copy.deepcopy((SOURCE, expanded))
    adapted(expanded)
    assert before == (SOURCE, expanded)


def test_what_is_changed_is_told(expanded):
    """Beside the API, whose document becomes resources: what differs stands in what is printed."""
    changed, told = adapted(expanded)
    differing = {
        name
        for name, resource in expanded["Resources"].items()
        if changed["Resources"][name] != resource and resource["Type"] != "AWS::ApiGateway::Deployment"
    }
    assert differing == {"RouterApi", "RouterFunction", "StreamingFunction", "StatsFunction"}
    assert differing == {adaptation.what.partition(":")[0] for adaptation in told}
    assert all(adaptation.why for adaptation in told)


def test_every_method_and_gateway_response_of_the_document_becomes_a_resource(expanded):
    changed, _ = adapted(expanded)
    operations = [
        (method.upper(), operation["x-amazon-apigateway-integration"]["timeoutInMillis"])
        for methods in document(expanded)["paths"].values()
        for method, operation in methods.items()
    ]
    made = [
        (found["HttpMethod"], found["Integration"]["TimeoutInMillis"])
        for found in of_type(changed, "AWS::ApiGateway::Method")
    ]
    assert made == operations
    responses = document(expanded)["x-amazon-apigateway-gateway-responses"]
    kinds = {found["ResponseType"] for found in of_type(changed, "AWS::ApiGateway::GatewayResponse")}
    assert kinds == responses.keys()
    assert "Body" not in changed["Resources"]["RouterApi"]["Properties"]


def test_what_an_integration_has_beside_what_is_known_is_refused_rather_than_lost(expanded):
    document(expanded)["paths"][STREAMED]["post"]["x-amazon-apigateway-integration"]["cacheKeyParameters"] = []
    with pytest.raises(UntranslatableError, match="cacheKeyParameters"):
        adapted(expanded)


def test_a_file_of_a_layer_is_found_where_the_emulator_unpacks_it(expanded):
    changed, _ = adapted(expanded)
    assert variables(changed, "RouterFunction")["PROVIDERS_FILE"] == "../layer_1/providers.yaml"
    assert variables(changed, "RouterFunction")["VOCABULARY_DIR"] == "../layer_2/vocabulary"
    assert variables(changed, "StatsFunction")["PAGE_DIR"] == "../layer_1/page"


@pytest.mark.parametrize(
    "value", ["/opt/elsewhere/providers.yaml", "/etc/providers.yaml", "providers.yaml", "/opt/page"]
)
def test_a_path_that_lambda_would_not_find_is_left_as_it_is(expanded, value):
    variables(expanded, "RouterFunction")["PROVIDERS_FILE"] = value
    changed, _ = adapted(expanded)
    assert variables(changed, "RouterFunction")["PROVIDERS_FILE"] == value


def test_without_its_layer_a_path_is_left_as_it_is(expanded):
    function = expanded["Resources"]["RouterFunction"]["Properties"]
    function["Layers"] = [layer for layer in function["Layers"] if "Config" not in layer["Ref"]]
    changed, _ = adapted(expanded)
    assert variables(changed, "RouterFunction")["PROVIDERS_FILE"] == "/opt/providers.yaml"


@pytest.mark.parametrize(
    ("change", "handler"),
    [
        ({}, "web_adapter.handler"),
        ({"Handler": "serve.sh"}, "serve.sh"),
        ({"Layers": []}, "run.sh"),
    ],
    ids=["as it is", "another program", "without the adapter"],
)
def test_the_web_adapter_is_stood_in_for_only_where_lambda_would_start_it(expanded, change, handler):
    expanded["Resources"]["StreamingFunction"]["Properties"] |= change
    changed, _ = adapted(expanded)
    assert changed["Resources"]["StreamingFunction"]["Properties"]["Handler"] == handler


def test_a_template_that_sam_refuses_is_told_in_its_words(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    broken = uploaded()
    del broken["Resources"]["RouterFunction"]["Properties"]["CodeUri"]
    with pytest.raises(UntranslatableError, match=r"\[RouterFunction\] is invalid.*CodeUri"):
        translation.expanded(broken, parameters={})
