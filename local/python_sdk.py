"""Generates the types and methods of sdk/python from docs/openapi.json.

Each schema becomes a `TypedDict` or an alias, so that requests and responses are plain JSON objects
with types. Each operation becomes a method, which calls sdk/python/src/tenon_client/caller.py.
"""

import json
import re
from graphlib import TopologicalSorter
from typing import Any

JSON = "application/json"
HEADER = '"""{title}. Generated from docs/openapi.json by `make generate`."""\n\nfrom __future__ import annotations\n\n'
MODELS = """\
from typing import Any, Literal, TypeAlias, final

from typing_extensions import NotRequired, TypedDict

# A class would change the name of this member.
_Versioned = TypedDict("_Versioned", {"__v": int})
"""
OPERATIONS = """\
from collections.abc import Iterator
from typing import Any

from . import models
from .caller import Caller, path_segment


class Tenon(Caller):
    \"\"\"Client of the API with one API key.\"\"\"
"""
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def generate(document: dict[str, Any]) -> dict[str, str]:
    """Returns the generated files of the package by name."""
    schemas = document["components"]["schemas"]
    classes = [_class(name, schema) for name, schema in sorted(schemas.items()) if "properties" in schema]
    aliases = {name: schema for name, schema in sorted(schemas.items()) if "properties" not in schema}
    models = [*classes, "\n", *(_alias(name, aliases[name]) for name in _ordered(aliases))]
    operations = [
        _method(method.upper(), path, operation, schemas)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if _result(operation)
    ]
    return {
        "models.py": HEADER.format(title="Types of the API") + MODELS + "".join(models),
        "operations.py": HEADER.format(title="Operations of the API") + OPERATIONS + "".join(operations),
    }


def _ordered(aliases: dict[str, Any]) -> list[str]:
    """Returns the names of aliases, each after those that it refers to.

    They are evaluated, also by frameworks that read the types of models. The annotations of a class
    are evaluated later.
    """
    references = re.compile(r'"#/components/schemas/(\w+)"')
    graph = {
        # Sorted, so that the order is the same in each run.
        name: sorted(aliases.keys() & references.findall(json.dumps(schema)))
        for name, schema in aliases.items()
    }
    return list(TopologicalSorter(graph).static_order())


def _alias(name: str, schema: dict[str, Any]) -> str:
    """Returns the definition of a schema without members."""
    return f"\n{_comment(schema.get('description', ''))}{name}: TypeAlias = {_type(schema)}\n"


def _class(name: str, schema: dict[str, Any]) -> str:
    """Returns the definition of a schema with members."""
    description = schema.get("description", "")
    required = schema.get("required", [])
    properties = {**schema["properties"]}
    base = "_Versioned" if properties.pop("__v", None) else "TypedDict"
    members = [
        f"{_comment(value.get('description', ''), '    ')}    {member}: "
        f"{_type(value) if member in required else f'NotRequired[{_type(value)}]'}\n"
        for member, value in properties.items()
    ]
    # Final, so that a member that only one class of a union has tells them apart.
    return f"\n\n@final\nclass {name}({base}):\n{_docstring(description or f'{name}.', '    ')}\n{''.join(members)}"


def _type(schema: dict[str, Any], models: str = "") -> str:
    """Returns the annotation of a schema; `models` is the prefix of other schemas."""
    if "$ref" in schema:
        return models + schema["$ref"].rsplit("/", 1)[1]
    if "oneOf" in schema:
        return " | ".join(dict.fromkeys(_type(option, models) for option in schema["oneOf"]))
    if "enum" in schema:
        return f"Literal[{', '.join(repr(value) for value in schema['enum'])}]"
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return " | ".join(_kind(kind, schema, models) for kind in kinds) or "Any"


def _kind(kind: str, schema: dict[str, Any], models: str) -> str:
    if kind == "array":
        return f"list[{_type(schema['items'], models)}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {_type(values, models) if isinstance(values, dict) else 'Any'}]"
    return SCALARS[kind]


def _method(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Returns the method of an operation."""
    parameters: dict[str, dict[str, Any]] = {place: {} for place in ("path", "query", "header")}
    for parameter in operation.get("parameters", []):
        parameters[parameter["in"]][parameter["name"]] = parameter
    is_list = parameters["query"].pop("cursor", None) is not None
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")

    arguments = [f"{_snake(name)}: str" for name in parameters["path"]]
    if body:
        # A response can be sent back.
        is_response = operation["operationId"] == "putIntegration"
        types = [body, _result(operation)] if is_response else [body]
        arguments.append(f"body: {_type({'oneOf': types}, 'models.')}")
    options = [
        f"{_snake(name)}: {_type(parameter['schema'], 'models.')} | None = None"
        for name, parameter in (parameters["query"] | parameters["header"]).items()
    ]
    signature = ", ".join(["self", *arguments, *(["*", *options] if options else [])])

    filled = re.sub(r"\{(\w+)\}", lambda name: f"{{path_segment({_snake(name[1])})}}", path)
    target = f'f"{filled}"' if parameters["path"] else f'"{path}"'
    query, headers = (
        "{" + ", ".join(f'"{name}": {_snake(name)}' for name in parameters[place]) + "}"
        for place in ("query", "header")
    )
    result = _result(operation)
    returned = _type(result, "models.")
    if is_list:
        page = schemas[result["$ref"].rsplit("/", 1)[1]]["properties"]
        items = (page.get("data") or page["errors"])["items"]
        returned = f"Iterator[{_type(items, 'models.')}]"
        call = f"self._list({target}, {query})"
    elif "Idempotency-Key" in parameters["header"]:
        call = f"self._create({target}, body, idempotency_key)"
    else:
        given = {"body": "body" if body else "{}", "query": query, "headers": headers}
        options = [f"{key}={value}" for key, value in given.items() if value != "{}"]
        # POSTs that change nothing.
        changes_nothing = operation["operationId"] in ("createToken", "revealCredential")
        options += ["is_repeatable=True"] if changes_nothing else []
        quoted = f'"{method}"'
        call = f"self._call({', '.join([quoted, target, *options])})"
    description = "\n\n".join(operation[key] for key in ("summary", "description") if operation.get(key))
    return (
        f"\n    def {_snake(operation['operationId'])}({signature}) -> {returned}:\n"
        f"{_docstring(description, '        ')}        return {call}\n"
    )


def _result(operation: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a successful response, or an empty one if it is not JSON."""
    responses = [response for status, response in operation["responses"].items() if status.startswith("2")]
    return responses[0].get("content", {}).get(JSON, {}).get("schema", {})


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_").lower()


def _comment(text: str, indent: str = "") -> str:
    return "".join(f"{indent}#: {line}\n" for line in text.splitlines())


def _docstring(text: str, indent: str) -> str:
    lines = text.splitlines()
    if len(lines) == 1:
        return f'{indent}"""{text}"""\n'
    return f'{indent}"""' + "\n".join(f"{indent}{line}".rstrip() for line in lines).lstrip() + f'\n{indent}"""\n'
