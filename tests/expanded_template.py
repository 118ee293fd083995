"""template.yaml as SAM expands it, with every function of CloudFormation's replaced by what it would give."""

import copy
import re
from functools import cache
from pathlib import Path

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from infra.deploy import stack

ROOT = Path(__file__).parents[1]
SOURCE = yaml_parse((ROOT / "template.yaml").read_text())


class NoManagedPolicies:
    """Stands in for the list that SAM would ask IAM for; the template names none."""

    def load(self):
        return {}


class Stack:
    """The expanded template with every function of CloudFormation's replaced by what it would give."""

    def __init__(self, **parameters):
        self.values = {name: str(declared["Default"]) for name, declared in SOURCE["Parameters"].items()} | parameters
        self.expanded = transform(_uploaded(copy.deepcopy(SOURCE)), dict(self.values), NoManagedPolicies())
        self.values |= {"AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws"}
        self.values |= {"AWS::URLSuffix": "amazonaws.com", "AWS::StackName": stack.stack_name(self.values["Stage"])}
        self.resources = {
            name: self.resolved(resource)
            for name, resource in self.expanded["Resources"].items()
            if self.is_wanted(resource)
        }

    def of_type(self, kind):
        found = {name: resource["Properties"] for name, resource in self.resources.items() if resource["Type"] == kind}
        assert found, kind
        return found

    def environment(self, function):
        return self.resources[function]["Properties"]["Environment"]["Variables"]

    def statements(self, role):
        for policy in self.resources[role]["Properties"]["Policies"]:
            yield from policy["PolicyDocument"]["Statement"]

    def is_wanted(self, resource):
        return "Condition" not in resource or self.holds(self.expanded["Conditions"][resource["Condition"]])

    def holds(self, condition):
        ((function, operand),) = condition.items()
        if function == "Fn::Not":
            return not self.holds(operand[0])
        assert function == "Fn::Equals", function
        left, right = (self.resolved(side) for side in operand)
        return left == right

    def resolved(self, value):
        if isinstance(value, list):
            items = [self.resolved(item) for item in value]
            return [item for item in items if item is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
            return self.given_by(*next(iter(value.items())))
        return {name: self.resolved(item) for name, item in value.items()}

    def given_by(self, function, operand):
        """A reference to a resource is given as the resource's logical name."""
        if function == "Ref":
            return None if operand == "AWS::NoValue" else self.values.get(operand, operand)
        if function == "Fn::GetAtt":
            return operand if isinstance(operand, str) else ".".join(operand)
        if function == "Fn::If":
            name, yes, no = operand
            return self.resolved(yes if self.holds(self.expanded["Conditions"][name]) else no)
        assert function == "Fn::Sub", function
        text, more = (operand, {}) if isinstance(operand, str) else operand
        known = self.values | {name: self.resolved(item) for name, item in more.items()}
        return re.sub(r"\$\{([^}]+)\}", lambda found: known.get(found[1], found[1]), text)


def _uploaded(template):
    """With addresses in S3, as `sam deploy` leaves it, for folders on this machine."""
    for resource in template["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            if name in resource["Properties"]:
                resource["Properties"][name] = f"s3://bucket/{resource['Properties'][name]}"
    return template


@cache
def deployed(**parameters):
    return Stack(**parameters)
