"""Condition keys that the emulator does not fill: `kms:EncryptionContext:*` and
`dynamodb:LeadingKeys`.

Without them a policy that names one always denies (KMS) or always allows (`ForAllValues` of
DynamoDB). Sources: AWS KMS Developer Guide, "AWS KMS condition keys"; Amazon DynamoDB Developer
Guide, "Using IAM policy conditions for fine-grained access control".
"""

import functools
import json
import re

from ministack.core import iam_actions, iam_evaluator
from ministack.services import dynamodb

# The partition keys of a request by table, in the service context until a check names its table.
_BY_TABLE = "tenon:leading-keys"


def install() -> None:
    """Adds the keys to the context of every check."""
    iam_actions.request_tag_context = _with_encryption_context(iam_actions.request_tag_context)
    iam_actions.dynamodb_service_context = _with_leading_keys(iam_actions.dynamodb_service_context)
    iam_evaluator.enforce = _for_the_table(iam_evaluator.enforce)


def _with_encryption_context(request_tag_context):
    @functools.wraps(request_tag_context)
    def context(service, action, body, params):
        found = request_tag_context(service, action, body, params)
        if service == "kms":
            given = _json(body).get("EncryptionContext") or {}
            found = {**found, **{f"kms:EncryptionContext:{name}": value for name, value in given.items()}}
            if given:
                found["kms:EncryptionContextKeys"] = list(given)
        return found

    return context


def _with_leading_keys(service_context):
    @functools.wraps(service_context)
    def context(body):
        return {**service_context(body), _BY_TABLE: leading_keys(_json(body))}

    return context


def _for_the_table(enforce):
    @functools.wraps(enforce)
    def enforce_with_leading_keys(access_key, action, service, region, resource_arn="*", service_context=None):
        context = dict(service_context or {})
        by_table = context.pop(_BY_TABLE, {})
        if service == "dynamodb":
            # A transaction is checked for each item, as its action. Items with the same
            # action are checked together.
            table = resource_arn.partition(":table/")[2].partition("/")[0]
            operation = action.rpartition(":")[2]
            keys = by_table.get((table, operation)) or by_table.get((table, None))
            if keys:
                context["dynamodb:LeadingKeys"] = keys
        return enforce(access_key, action, service, region, resource_arn=resource_arn, service_context=context)

    return enforce_with_leading_keys


def leading_keys(request: dict) -> dict[tuple[str, str | None], list[str]]:
    """Returns the partition keys that a DynamoDB request names.

    By table, and in a transaction also by the action that an item needs.
    """
    found: dict[tuple[str, str | None], list[str]] = {}

    def add(table: str, item: dict | None, attribute: str | None = None, action: str | None = None) -> None:
        name = table.rpartition("/")[2]
        value = (item or {}).get(attribute or _partition_key(name, None))
        if isinstance(value, dict):
            found.setdefault((name, action), []).extend(str(part) for part in value.values())

    if "TransactItems" in request:
        for item in request["TransactItems"]:
            for operation, detail in item.items():
                add(detail["TableName"], detail.get("Key") or detail.get("Item"), action=f"{operation}Item")
    elif "RequestItems" in request:
        for table, wanted in request["RequestItems"].items():
            for one in wanted["Keys"] if isinstance(wanted, dict) else wanted:
                put, delete = one.get("PutRequest"), one.get("DeleteRequest")
                add(table, put["Item"] if put else delete["Key"] if delete else one)
    elif "KeyConditionExpression" in request:
        table = request["TableName"]
        attribute = _partition_key(table, request.get("IndexName"))
        add(table, {attribute: _queried(request, attribute)}, attribute)
    elif "TableName" in request:
        add(request["TableName"], request.get("Key") or request.get("Item"))
    return found


def _queried(request: dict, attribute: str) -> dict | None:
    """Returns the value that a query's key condition demands of an attribute."""
    names = request.get("ExpressionAttributeNames") or {}
    for name, value in re.findall(r"([#\w]+)\s*=\s*(:\w+)", request["KeyConditionExpression"]):
        if names.get(name, name) == attribute:
            return request.get("ExpressionAttributeValues", {}).get(value)
    return None


def _partition_key(table: str, index: str | None) -> str:
    """Returns the name of a table's or an index's partition key."""
    record = dynamodb._tables.get(table) or {}
    schema = record.get("KeySchema", [])
    for candidate in record.get("GlobalSecondaryIndexes") or []:
        if candidate["IndexName"] == index:
            schema = candidate["KeySchema"]
    return next((key["AttributeName"] for key in schema if key["KeyType"] == "HASH"), "")


def _json(body: bytes) -> dict:
    try:
        parsed = json.loads(body or b"{}")
    except (ValueError, UnicodeDecodeError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
