"""Prints a template's resources as moto resolves them: conditions decided, functions replaced, nothing created.

Reads a list of {file, stack, parameters} and prints a list of answers. A resource that another one refers to is its name.
"""

import json
import sys

import boto3
import yaml
from moto import mock_aws
from moto.cloudformation.parsing import ResourceMap, clean_json
from moto.cloudformation.utils import yaml_tag_constructor

REGION = "us-east-1"
ACCOUNT = "123456789012"


class Token:
    """Stands for a resource, whatever is asked of it."""

    def __init__(self, name):
        self.physical_resource_id = name

    def get_cfn_attribute(self, attribute):
        return f"{self.physical_resource_id}.{attribute}"


class Resources(ResourceMap):
    def __getitem__(self, key):
        return self._parsed_resources[key] if key in self._parsed_resources else Token(key)


def resolve(file, stack, parameters):
    with open(file) as text:
        template = yaml.safe_load(text)
    stack_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{stack}/1"
    resources = Resources(stack_id, stack, parameters, {}, REGION, ACCOUNT, template, {})
    resources.load()
    resolved = {}
    for name, resource in template["Resources"].items():
        condition = resource.get("Condition")
        if condition is None or resources.lazy_condition_map[condition]:
            parts = {key: resource[key] for key in ("Properties", "UpdatePolicy") if key in resource}
            resolved[name] = {"Type": resource["Type"], **clean_json(parts, resources)}
    return resolved


with mock_aws():
    yaml.add_multi_constructor("", yaml_tag_constructor, Loader=yaml.SafeLoader)
    boto3.client("ssm", REGION).put_parameter(Name="/ami/ecs/latest", Value="ami-12345678", Type="String")
    print(json.dumps([resolve(**order) for order in json.load(sys.stdin)]))
