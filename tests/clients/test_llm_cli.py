"""The `llm` command-line tool, set up by a file as its documentation has it for OpenAI-compatible servers."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from clients import said
from clients.routers import UNABLE
from clients.said import CITIES, TWO_CALLS, answers, choice
from streaming_provider import in_turn, refuses, says

PROGRAM = Path(sys.executable).parent / "llm"
FUNCTIONS = """
def weather(city: str) -> str:
    "The weather in a city."
    return f"Rain in {city}."
"""


@dataclass
class Tool:
    """`llm` with a folder of its own."""

    router: object
    folder: Path

    def environment(self):
        return os.environ | {"LLM_USER_PATH": str(self.folder)}

    def knows(self, model, **abilities):
        row = {
            "model_id": "router",
            "model_name": model,
            "api_base": self.router.base_url,
            "api_key_name": "router",
            "vision": True,
            "supports_schema": True,
            "supports_tools": True,
        }
        (self.folder / "extra-openai-models.yaml").write_text(yaml.safe_dump([row | abilities]))

    def start(self, *arguments, key=None):
        return subprocess.Popen(
            [PROGRAM, "prompt", "-m", "router", "--key", key or self.router.key, *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, key=None):
        with self.start(*arguments, key=key) as process:
            output, errors = process.communicate(timeout=60)
        return process.returncode, output.strip(), errors

    def says(self, *arguments):
        code, output, errors = self.run(*arguments)
        assert code == 0, errors
        return output


@pytest.fixture
def llm(router, tmp_path):
    found = Tool(router, tmp_path)
    found.knows("auto")
    return found


def test_the_guides_example_works(router, llm):
    models, commands = said.documented("llm", url=router.url, key=router.key)
    (llm.folder / "extra-openai-models.yaml").write_text(models)
    environ = llm.environment() | {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    command = ["bash", "-e", "-c", commands]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "Hello."


@pytest.mark.parametrize("arguments", [[], ["--no-stream"]], ids=["streamed", "in one piece"])
def test_a_prompt_is_answered(llm, arguments):
    assert llm.says("Hello", *arguments) == "Hello."


def test_a_piece_arrives_before_the_provider_has_said_the_next(router, llm):
    script, gate = said.says_then_waits("Grüße", ", ", "世界!")
    llm.knows(router.plays(script).model)
    with llm.start("Hello") as process:
        assert process.stdout.read(len("Grüße")) == "Grüße"
        gate.set()
        output, errors = process.communicate(timeout=60)
    assert (output.strip(), process.returncode, errors) == (", 世界!", 0, "")


def test_options_and_instructions_reach_the_provider(router, llm):
    played = router.plays(says("Hello."))
    llm.knows(played.model)
    options = {"temperature": 0.3, "max_tokens": 20, "seed": 7, "stop": "END"}
    llm.says(
        "Hello", "-s", "Be brief.", *(word for name, value in options.items() for word in ("-o", name, str(value)))
    )
    assert {name: played.sent[name] for name in options} == options
    assert [message["role"] for message in played.sent["messages"]] == ["system", "user"]


def test_json_mode_and_a_schema(router, llm):
    played = router.plays(answers(choice(content='{"name": "Oslo"}')))
    llm.knows(played.model)
    assert json.loads(llm.says("Oslo as JSON", "-o", "json_object", "1")) == {"name": "Oslo"}
    assert json.loads(llm.says("Oslo", "--schema", "name, people int")) == {"name": "Oslo"}
    formats = [call.body["response_format"]["type"] for call in played.calls]
    assert formats == ["json_object", "json_schema"]


@pytest.mark.parametrize("arguments", [[], ["--no-stream"]], ids=["streamed", "in one piece"])
def test_functions_are_called_and_their_results_go_back(router, llm, arguments):
    played = router.plays(in_turn(answers(TWO_CALLS, size=2), says("Rain and rain.")))
    llm.knows(played.model)
    assert llm.says("How is it?", "--functions", FUNCTIONS, *arguments) == "Rain and rain."
    first, second = (call.body for call in played.calls)
    assert first["tools"][0]["function"]["name"] == "weather"
    results = [message for message in second["messages"] if message["role"] == "tool"]
    assert [(result["tool_call_id"], result["content"]) for result in results] == [
        ("call_0", f"Rain in {CITIES[0]}."),
        ("call_1", f"Rain in {CITIES[1]}."),
    ]


def test_an_image_reaches_the_provider(router, llm, tmp_path):
    played = router.plays(says("A cat."))
    llm.knows(played.model)
    image = tmp_path / "cat.png"
    image.write_bytes(base64.b64decode(said.PNG))
    assert llm.says("What is it?", "--at", str(image), "image/png") == "A cat."
    (image_part,) = [part for part in played.sent["messages"][0]["content"] if part["type"] == "image_url"]
    assert image_part["image_url"]["url"] == said.IMAGE["image_url"]["url"]


def test_the_tokens_of_an_answer_are_told(router, llm):
    llm.knows(router.plays(says("Hello.")).model)
    for arguments in ([], ["--no-stream"]):
        code, _, errors = llm.run("Hello", "--usage", *arguments)
        assert code == 0
        assert "10 input, 5 output" in errors


def test_a_conversation_goes_on(router, llm):
    played = router.plays(in_turn(says("First."), says("Second.")))
    llm.knows(played.model)
    assert [llm.says("One"), llm.says("Two", "-c")] == ["First.", "Second."]
    sent = [(message["role"], message["content"]) for message in played.calls[1].body["messages"]]
    assert sent == [("user", "One"), ("assistant", "First."), ("user", "Two")]


@pytest.mark.parametrize("arguments", [[], ["--no-stream"]], ids=["streamed", "in one piece"])
def test_an_error_is_told_and_nothing_is_passed_off_as_an_answer(router, llm, arguments):
    llm.knows(router.plays(refuses(503)).model)
    code, output, errors = llm.run("Hello", *arguments)
    assert (code, output) == (1, "")
    assert "Every provider that could serve this request failed." in errors


def test_what_is_wrong_with_a_request_is_told(llm):
    llm.knows("nobody")
    assert "There is no route or model 'nobody'" in llm.run("Hello")[2]
    llm.knows(f"{UNABLE}/model")
    assert "json_schema" in llm.run("Hello", "--schema", "name, people int")[2]
    code, _, errors = llm.run("Hello", key="llmr_aaaaaaaa_nothing")
    assert (code, "The API key is not valid" in errors) == (1, True)


def test_a_provider_that_breaks_off_in_the_middle_is_an_error(router, llm):
    llm.knows(router.plays(said.breaks_off_after("Hel", "lo")).model)
    code, output, errors = llm.run("Hello")
    assert (code, output) == (1, "Hello")
    assert "broke off" in errors


def test_a_caller_that_hangs_up_in_the_middle_is_not_paid_for_any_longer(router, llm):
    played = router.plays(said.falls_silent_after("Hel"))
    llm.knows(played.model)
    with llm.start("Hello") as process:
        assert process.stdout.read(3) == "Hel"
        process.kill()
    assert played.comes_to_be_hung_up_on()
    assert router.comes_to_know(played, attempts=1)["cost"] > 0
