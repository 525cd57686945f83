"""Generates docs/reference.md, the readable form of docs/openapi.json."""

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

Json = dict[str, Any]

HEAD = """# API reference

Operations and schemas, generated from [openapi.json](openapi.json) by `make generate`. [api.md](api.md) explains
them with examples, and describes the [errors](api.md#errors) that any operation can return: a [Problem](#problem), or a
[GatewayError](#gatewayerror) of API Gateway.

"""
CALLERS = {"manage": "back end", "engine": "engine", "read": "reader"}
# Longer patterns are only in the document.
LONGEST_PATTERN = 60


def generate(document: Json) -> str:
    """Returns the reference of an OpenAPI document."""
    by_tag: dict[str, list[tuple[str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((f"{method.upper()} {path}", operation))
    sections = [(tag, operations) for tag, operations in by_tag.items() if tag != "document"]
    schemas = document["components"]["schemas"]
    parts = [
        "".join(f"* [Operations: {tag}](#operations-{tag})\n" for tag, _ in sections) + "* [Schemas](#schemas)\n",
        *chain.from_iterable(
            # A schema can have the name of a tag, and a heading of its own.
            [f"## Operations: {tag}\n", *(_operation(route, operation) for route, operation in operations)]
            for tag, operations in sections
        ),
        "## Schemas\n",
        *(_schema(name, schemas[name]) for name in sorted(schemas)),
    ]
    return HEAD + "\n".join(parts)


def _operation(route: str, operation: Json) -> str:
    parameters = [parameter for parameter in operation.get("parameters", []) if parameter["in"] != "path"]
    rows = [
        (f"`{one['name']}`", one["in"], _type(one["schema"]), _text(one.get("description", ""))) for one in parameters
    ]
    described = " ".join(filter(None, (operation["summary"], operation.get("description"))))
    text = f"### `{route}`\n\n{_text(described)}\n\nOperation `{operation['operationId']}`"
    text += f", for: {', '.join(_callers(operation)) or 'anyone'}.\n"
    text += _table(("Parameter", "In", "Type", "Meaning"), rows)
    if body := operation.get("requestBody"):
        text += f"\nBody: {_content(body)}\n"
    for status, response in operation["responses"].items():
        if "$ref" not in response:
            meaning = _text(response["description"]).removesuffix(".")
            content = _content(response) if status < "400" else ""
            headers = ", ".join(f"`{name}`" for name in response.get("headers", {}))
            found = [meaning if meaning != "Success" else "", content, headers and f"with {headers}"]
            text += f"\n* {status}: {', '.join(filter(None, found))}"
    return f"{text}\n"


def _callers(operation: Json) -> list[str]:
    names = {"userToken": ["user"]}
    found = (
        names.get(name) or [CALLERS[scope] for scope in scopes]
        for one in operation.get("security", [])
        for name, scopes in one.items()
    )
    return list(dict.fromkeys(chain.from_iterable(found)))


def _content(holder: Json) -> str:
    """Returns the type of a body."""
    return ", ".join(_type(content["schema"]) for content in holder.get("content", {}).values() if "schema" in content)


def _schema(name: str, schema: Json) -> str:
    text = f"### {name}\n"
    if description := _text(schema.get("description", "")):
        text += f"\n{description}\n"
    members = schema.get("properties", {})
    if not members:
        return f"{text}\n{_type(schema)}\n"
    required = schema.get("required", [])
    rows = [
        (f"`{member}`", _type(one), "yes" if member in required else "", _text(_description(one)))
        for member, one in members.items()
    ]
    return text + _table(("Member", "Type", "Required", "Meaning"), rows)


def _description(schema: Json) -> str:
    """Returns the description of a member, which may be null."""
    return schema.get("description") or next(
        (one["description"] for one in schema.get("oneOf", []) if "description" in one), ""
    )


def _type(schema: Json) -> str:
    """Returns the type of a value with its limits."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for combination in ("oneOf", "anyOf", "allOf"):
        if combination in schema:
            joined = " and " if combination == "allOf" else " or "
            return joined.join(dict.fromkeys(_type(one) for one in schema[combination]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kinds = schema.get("type", "any value")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return ", ".join([" or ".join(_kind(kind, schema) for kind in kinds), *_limits(schema)])


def _kind(kind: str, schema: Json) -> str:
    if kind == "array":
        kind = f"array of {_type(schema.get('items', {}))}"
    elif kind == "object" and isinstance(values := schema.get("additionalProperties"), dict):
        kind = f"object of ({_type(values)})"
    elif kind == "object" and "properties" in schema:
        kind = f"object with {', '.join(f'`{name}`: {_type(one)}' for name, one in schema['properties'].items())}"
    elif kind == "string" and "format" in schema:
        kind = f"string ({schema['format']})"
    return kind


def _limits(schema: Json) -> list[str]:
    found = []
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        if high in schema and low in schema:
            found.append(f"{schema[low]} to {schema[high]}{unit}")
        elif high in schema:
            found.append(f"at most {schema[high]}{unit}")
        elif schema.get(low):
            found.append(f"at least {schema[low]}{unit}")
    if len(pattern := schema.get("pattern", "")) in range(1, LONGEST_PATTERN):
        found.append(f"pattern `{pattern.replace('|', chr(92) + '|')}`")
    if schema.get("default") is not None:
        found.append(f"default `{str(schema['default']).lower()}`")
    return found


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    lines.insert(1, "|---" * len(head) + "|")
    return "\n" + "\n".join(lines) + "\n" if rows else ""


def _text(text: str) -> str:
    """Returns a description in one line."""
    return re.sub(r"\s+", " ", text).strip().replace("|", r"\|")
