"""The template as CloudFormation gets it: after the SAM transform, which adds the roles,
permissions and routes.
"""

from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from emulator import REGION
from paths import ROOT
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

Resource = dict[str, Any]


@dataclass
class Template:
    """A transformed template."""

    document: dict[str, Any]

    @classmethod
    def transformed(cls, text: str | None = None, **parameters: str) -> "Template":
        """Returns template.yaml, or another template, after the transform of the pinned SAM."""
        text = text or (ROOT / "template.yaml").read_text()
        # The transform takes code from S3 only; `sam deploy` uploads it first.
        source = yaml_parse(text.replace("CodeUri: target/", "CodeUri: s3://code/"))
        with patch("boto3.session.Session.region_name", REGION):
            return cls(Translator({}, Parser()).translate(source, parameters))

    @property
    def parameters(self) -> dict[str, Resource]:
        """The parameters, by name."""
        return self.document["Parameters"]

    @property
    def resources(self) -> dict[str, Resource]:
        """The resources, by logical id."""
        return self.document["Resources"]

    @property
    def outputs(self) -> dict[str, Resource]:
        """The outputs, by name."""
        return self.document["Outputs"]

    def of_type(self, kind: str) -> dict[str, Resource]:
        """Returns the properties of all resources of a type, by logical id."""
        return {name: found.get("Properties", {}) for name, found in self.resources.items() if found["Type"] == kind}

    def functions(self) -> dict[str, Resource]:
        """Returns the properties of all functions."""
        return self.of_type("AWS::Lambda::Function")

    def statements(self, function: str) -> list[Resource]:
        """Returns the statements of the policies of a function's own role."""
        role = self.resources[f"{function}Role"]["Properties"]
        return [found for policy in role.get("Policies", []) for found in policy["PolicyDocument"]["Statement"]]

    def triggers(self) -> dict[str, list[str]]:
        """Returns the functions that each queue or stream triggers, both by logical id."""
        found: dict[str, list[str]] = {}
        for mapping in self.of_type("AWS::Lambda::EventSourceMapping").values():
            found.setdefault(logical_id(mapping["EventSourceArn"]), []).append(logical_id(mapping["FunctionName"]))
        return found


def logical_id(reference: Any) -> str:
    """Returns the logical id that a `Ref`, a `GetAtt` or a `Sub` names."""
    match reference:
        case {"Ref": name} | {"Fn::GetAtt": [name, _]}:
            return name
        case {"Fn::GetAtt": str(name)}:
            return name.partition(".")[0]
        case {"Fn::Sub": str(text)}:
            return text.partition("${")[2].partition("}")[0].partition(".")[0]
        case _:
            return str(reference)


def listed(value: Any) -> list[Any]:
    """Returns a value of a policy as a list: a single one may stand by itself."""
    return value if isinstance(value, list) else [value]
