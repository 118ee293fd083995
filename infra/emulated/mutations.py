"""`make e2e-mutations`: breaks copies of the template, one fault each, and shows which check turns red.

The static checks come first, as they are quick: the tests of the template, and the linter. What they let pass is
deployed to an emulated AWS and driven by the suite; with --all everything is. The template as it is must pass each
check that is used. A fault that no check finds turns the run red.
"""

from __future__ import annotations

import argparse
import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from infra.emulated import deployment, emulated_stack, run, suite, translation
from infra.emulated.deployment import Built
from infra.emulated.emulated_stack import StartError, UndeployableError, say, timed
from infra.emulated.translation import Document
from infra.sam.build import ROOT

COPIED = ("functions", "infra", "layers", "tests", "events")
FILES = ("pyproject.toml",)
TEMPLATE_TEST = "tests/unit/test_template.py"
SWITCH_TEST = "tests/stack/test_the_switch.py"
GREEN, NOT_RUN = "green", "not run"
WORDS_SHOWN = 60
RULES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Mutation:
    """One fault, and how to make it in a parsed template of SAM's."""

    name: str
    breaks: Callable[[Document], object]


@dataclass(frozen=True, slots=True)
class Findings:
    """What each check says: `green`, `not run`, or what turned red first."""

    name: str
    template_tests: str
    linter: str
    stack_suite: str = NOT_RUN

    @property
    def by_check(self) -> dict[str, str]:
        return {"template tests": self.template_tests, "linter": self.linter, "stack suite": self.stack_suite}

    @property
    def red(self) -> dict[str, str]:
        return {check: words for check, words in self.by_check.items() if words not in (GREEN, NOT_RUN)}

    @property
    def is_caught(self) -> bool:
        return bool(self.red)


def _properties(template: Document, name: str) -> Document:
    found: Document = template["Resources"][name]["Properties"]
    return found


def _statements(template: Document, role: str) -> list[Document]:
    found: list[Document] = _properties(template, role)["Policies"][0]["PolicyDocument"]["Statement"]
    return found


def _without_permission(template: Document) -> None:
    _statements(template, "StatsRole")[0]["Action"].remove("dynamodb:UpdateItem")


def _with_wrong_handler(template: Document) -> None:
    _properties(template, "RouterFunction")["Handler"] = "handler.lambda_handler"


def _without_variable(template: Document) -> None:
    del template["Globals"]["Function"]["Environment"]["Variables"]["STATE_TABLE"]


def _with_second_stage(template: Document) -> None:
    """SAM adds one of its own, named Stage, where no version of OpenAPI is asked for."""
    del template["Globals"]["Api"]


def _with_public_bucket(template: Document) -> None:
    """Switched off one by one: where the block is left out, AWS has all of it on."""
    block = _properties(template, "PageBucket")["PublicAccessBlockConfiguration"]
    block.update(dict.fromkeys(block, False))
    _properties(template, "PageBucketPolicy")["PolicyDocument"]["Statement"].append(
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": {"Fn::Sub": "${PageBucket.Arn}/*"},
        }
    )


def _with_long_timeout(template: Document) -> None:
    _properties(template, "RouterFunction")["Timeout"] = 60


def _without_config_layer(template: Document) -> None:
    _properties(template, "RouterFunction")["Layers"].remove({"Ref": "ConfigLayer"})


def _without_library_layer(template: Document) -> None:
    _properties(template, "StatsFunction")["Layers"].remove({"Ref": "SharedLayer"})


def _with_wrong_path(template: Document) -> None:
    _properties(template, "RouterFunction")["Events"]["Models"]["Properties"]["Path"] = "/models"


def _with_wrong_file(template: Document) -> None:
    _properties(template, "RouterFunction")["Environment"]["Variables"]["PROVIDERS_FILE"] = "/opt/config/providers.yaml"


def _without_table(template: Document) -> None:
    del template["Resources"]["StateTable"]


def _with_wildcard(template: Document) -> None:
    _statements(template, "RouterRole")[0]["Resource"] = "*"


def _with_wildcard_parameters(template: Document) -> None:
    (statement,) = [found for found in _statements(template, "RouterRole") if found["Action"] == "ssm:GetParameters"]
    statement["Resource"] = {"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/*"}


def _unchanged(_: Document) -> None:
    """What all checks must find nothing in."""


CONTROL = Mutation("none: the template as it is", _unchanged)
MUTATIONS = [
    Mutation("a missing permission: the stats function may not update the ledger", _without_permission),
    Mutation("a wrong handler of the router", _with_wrong_handler),
    Mutation("a missing variable: STATE_TABLE", _without_variable),
    Mutation("a second stage, SAM's own", _with_second_stage),
    Mutation("a public bucket", _with_public_bucket),
    Mutation("a timeout above the gateway's", _with_long_timeout),
    Mutation("a layer left out: the router's configuration", _without_config_layer),
    Mutation("a layer left out: the stats function's library", _without_library_layer),
    Mutation("a wrong path: /models in place of /v1/models", _with_wrong_path),
    Mutation("a wrong path: of providers.yaml in its layer", _with_wrong_file),
    Mutation("a missing table", _without_table),
    Mutation("a wildcard: the router on every table", _with_wildcard),
    Mutation("a wildcard: every parameter of the account", _with_wildcard_parameters),
]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make e2e-mutations", description=__doc__)
    parser.add_argument("--all", action="store_true", help="deploy every mutation, also those that are found at once")
    asked = parser.parse_args(arguments)
    run.stop_on_signals()
    try:
        return _main(deploy_all=asked.all)
    except StartError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped, with all that was started.", file=sys.stderr)
        return 130


def _main(*, deploy_all: bool) -> int:
    arch = emulated_stack.this_arch()
    with timed("build what has changed", say):
        emulated_stack.ensure_built(arch)
    source = translation.yaml_of((ROOT / "template.yaml").read_text())
    built = deployment.read(emulated_stack.BUILT_TEMPLATE)
    every = [CONTROL, *MUTATIONS]
    with timed("the linter", say):
        linted = _linted(every, source)
    with timed("tests of the template", say), ThreadPoolExecutor(os.cpu_count()) as workers:
        tested = workers.map(lambda mutation: _tested(mutation, source), every)
        found = [
            Findings(mutation.name, by_tests, by_linter)
            for mutation, by_tests, by_linter in zip(every, tested, linted, strict=True)
        ]
    _must_pass(found[0])
    to_deploy = [findings.name for findings in found[1:] if deploy_all or not findings.is_caught]
    with timed(f"deployments ({len(to_deploy)})", say):
        for index, mutation in enumerate(every):
            if to_deploy and mutation.name in (CONTROL.name, *to_deploy):
                found[index] = replace(found[index], stack_suite=_driven(mutation, built, arch))
            _must_pass(found[0])
    _show(found)
    return _verdict(found[1:])


def _must_pass(control: Findings) -> None:
    """Otherwise what turns red says nothing of the fault. Raises StartError."""
    if control.is_caught:
        _show([control])
        raise StartError("The template as it is does not pass; mend that first.")


def _verdict(found: Sequence[Findings]) -> int:
    missed = [findings.name for findings in found if not findings.is_caught]
    say(f"\nRed: no check found {'; '.join(missed)}" if missed else f"\nGreen: each of {len(found)} faults was found.")
    return 1 if missed else 0


def _show(found: Sequence[Findings]) -> None:
    """A table of which check caught which fault, then what each of them said first."""
    name_width = max(len(findings.name) for findings in found)
    say("\n" + "  ".join([" " * name_width, *found[0].by_check]))
    for findings in found:
        marks = [
            f"{'RED' if check in findings.red else words:{len(check)}}" for check, words in findings.by_check.items()
        ]
        say("  ".join([f"{findings.name:{name_width}}", *marks]).rstrip())
    say("\nWhat turned red first:")
    for findings in found:
        for check, words in findings.red.items():
            say(f"  {findings.name}\n    {check}: {words}")


def _broken(mutation: Mutation, template: Document) -> Document:
    broken = copy.deepcopy(template)
    mutation.breaks(broken)
    return broken


def _tested(mutation: Mutation, source: Document) -> str:
    """By the tests of the template, in a copy of this checkout."""
    with tempfile.TemporaryDirectory(prefix="llm-router-mutation-") as directory:
        checkout = Path(directory)
        for name in COPIED:
            shutil.copytree(ROOT / name, checkout / name)
        for name in FILES:
            shutil.copy(ROOT / name, checkout / name)
        (checkout / "template.yaml").write_text(_text(_broken(mutation, source)))
        code, output = _ran([sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", TEMPLATE_TEST], checkout)
        return GREEN if code == 0 else _red_tests(output)


def _linted(mutations: Sequence[Mutation], source: Document) -> list[str]:
    """All in one go, since the linter takes longer to start than to read a template."""
    with tempfile.TemporaryDirectory(prefix="llm-router-mutation-") as directory:
        files = [Path(directory) / f"{number:02}.yaml" for number in range(len(mutations))]
        for file, mutation in zip(files, mutations, strict=True):
            file.write_text(_text(_broken(mutation, source)))
        command = [str(Path(sys.executable).parent / "cfn-lint"), "--format", "parseable", *map(str, files)]
        code, output = _ran(command, ROOT)
        found = [
            re.findall(rf"^{re.escape(str(file))}:.*:([EWI]\d{{4}}:)(.*)$", output, re.MULTILINE) for file in files
        ]
    if (code != 0) != any(found):
        raise StartError(f"The linter can't be understood:\n{output}")
    return [_told(dict.fromkeys(rule + words[:WORDS_SHOWN] for rule, words in rows)) for rows in found]


def _told(rules: Collection[str]) -> str:
    more = [f"{len(rules) - RULES_SHOWN} more"] if len(rules) > RULES_SHOWN else []
    return ", ".join([*list(rules)[:RULES_SHOWN], *more]) or GREEN


def _text(template: Document) -> str:
    """Without aliases: what one part of a template shares with another is broken in one place alone."""
    return yaml.dump(template, Dumper=_PlainDumper, sort_keys=False)


class _PlainDumper(yaml.SafeDumper):
    """Writes what SAM's parser has read as plain YAML."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # PyYAML's name
        return True


def _ran(command: Sequence[str], directory: Path) -> tuple[int, str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=directory,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def _driven(mutation: Mutation, built: Built, arch: str) -> str:
    """What the suite of a deployed stack says of it."""
    say(f"  deploying {mutation.name} ...")
    try:
        broken = replace(built, template=_broken(mutation, built.template))
        with emulated_stack.running(broken, arch=arch, told=lambda _: None) as running:
            code, output = suite.against_emulated(running, [f"--ignore={SWITCH_TEST}", "-x"], quiet=True)
    except UndeployableError as error:
        return f"it does not deploy: {str(error).splitlines()[-1].strip()}"
    return GREEN if code == 0 else _red_tests(output)


def _red_tests(output: str) -> str:
    names = list(dict.fromkeys(re.findall(r"^(?:FAILED|ERROR) [^:\s]+(?:::(\w+))?", output, re.MULTILINE)))
    return ", ".join(names) or (output.strip() or "no word").splitlines()[-1]


if __name__ == "__main__":
    sys.exit(main())
