"""Queries of the local AWS, whose results come from partitions that a patch keeps sorted."""

import operator
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from emulator import Emulator

TABLE = "tenon-test-queries"
# Partition and sort key of the table and of its indexes. Values of `score` are rarely unique.
KEYS = {None: ("pk", "sk"), "by-score": ("userId", "score"), "by-user": ("userId", None)}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Item = dict[str, dict[str, str]]


@pytest.fixture
def dynamodb(emulator: Emulator) -> Iterator[Any]:
    """A client, and an empty table."""
    client = emulator.client("dynamodb")
    types = {"pk": "S", "sk": "S", "userId": "S", "score": "N"}
    schemas = {
        index: [
            {"AttributeName": name, "KeyType": kind}
            for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
            if name
        ]
        for index, names in KEYS.items()
    }
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()],
        KeySchema=schemas.pop(None),
        GlobalSecondaryIndexes=[
            {"IndexName": index, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}
            for index, schema in schemas.items()
        ],
    )
    yield client
    client.delete_table(TableName=TABLE)


@pytest.mark.parametrize("seed", range(4))
def test_a_query_returns_what_a_plain_model_returns(dynamodb: Any, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    items: dict[tuple[str, str], Item] = {}
    for _ in range(60):
        for _ in range(chance.randrange(6)):
            write(dynamodb, items, chance)
        request, pages = query(chance, list(items.values()))
        assert [page["Items"] for page in dynamodb.get_paginator("query").paginate(**request)] == pages, request


def test_a_page_has_at_most_one_megabyte(dynamodb: Any) -> None:
    for number in range(12):
        item = {"pk": "a", "sk": f"{number:02}", "userId": "o", "text": "x" * 200_000}
        dynamodb.put_item(TableName=TABLE, Item={name: {"S": value} for name, value in item.items()})
    for index, attribute, value in ((None, "pk", "a"), ("by-user", "userId", "o")):
        request: dict[str, Any] = {"TableName": TABLE, "KeyConditionExpression": f"{attribute} = :value"}
        request |= {"ExpressionAttributeValues": {":value": {"S": value}}, **({"IndexName": index} if index else {})}
        pages = list(dynamodb.get_paginator("query").paginate(**request))
        assert [page["Count"] for page in pages] == [5, 5, 2]
        found = [item["sk"]["S"] for page in pages for item in page["Items"]]
        assert found == [f"{number:02}" for number in range(12)]


def write(dynamodb: Any, items: dict[tuple[str, str], Item], chance: random.Random) -> None:
    """Puts, updates or deletes a random item, in the table and in the model."""
    key = {"pk": {"S": chance.choice("ab")}, "sk": {"S": text(chance)}}
    place = (key["pk"]["S"], key["sk"]["S"])
    user, score, color = {"S": chance.choice("op")}, {"N": str(chance.randint(-3, 12))}, {"S": chance.choice("rg")}
    match chance.randrange(5):
        case 0:
            dynamodb.delete_item(TableName=TABLE, Key=key)
            items.pop(place, None)
        case 1:
            update = {"TableName": TABLE, "Key": key, "UpdateExpression": "SET userId = :user REMOVE score"}
            update["ExpressionAttributeValues"] = {":user": user}
            dynamodb.transact_write_items(TransactItems=[{"Update": update}])
            former = items.get(place, key)
            items[place] = {name: value for name, value in former.items() if name != "score"} | {"userId": user}
        case _:
            items[place] = {**key, "userId": user, "score": score, "color": color}
            dynamodb.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": items[place]}}]})


def query(chance: random.Random, items: list[Item]) -> tuple[dict[str, Any], list[list[Item]]]:
    """Returns a random query, and the items of its pages."""
    index = chance.choice(list(KEYS))
    hash_key, sort_key = KEYS[index]
    partition = {"S": chance.choice("ab" if index is None else "op")}
    names, values, condition = {"#hash": hash_key}, {":hash": partition}, "#hash = :hash"
    rows = [item for item in items if item.get(hash_key) == partition and (sort_key is None or sort_key in item)]
    rows.sort(key=lambda item: tuple(plain(item[name]) for name in (sort_key, "pk", "sk") if name))

    if sort_key and chance.random() < 0.8:
        comparison = chance.choice([*COMPARISONS, "BETWEEN", *(["begins_with"] if sort_key == "sk" else [])])
        bounds = [{"S": text(chance)} if sort_key == "sk" else {"N": str(chance.randint(-3, 12))} for _ in range(2)]
        low, high = sorted(bounds, key=plain)
        names["#sort"], values[":low"] = sort_key, low
        if comparison == "BETWEEN":
            values[":high"] = high
            condition += " AND #sort BETWEEN :low AND :high"
            rows = [item for item in rows if plain(low) <= plain(item[sort_key]) <= plain(high)]
        elif comparison == "begins_with":
            condition = f"begins_with(#sort, :low) AND {condition}"
            rows = [item for item in rows if item[sort_key]["S"].startswith(low["S"])]
        else:
            condition += f" AND #sort {comparison} :low"
            rows = [item for item in rows if COMPARISONS[comparison](plain(item[sort_key]), plain(low))]
    request: dict[str, Any] = {"TableName": TABLE, "KeyConditionExpression": condition}
    if index:
        request["IndexName"] = index
    if chance.random() < 0.5:
        request["ScanIndexForward"] = False
        rows.reverse()
    limit = len(rows) + 1
    if chance.random() < 0.7:
        limit = request["Limit"] = chance.randint(1, 5)
    # A page that ends with the last item is followed by an empty one.
    pages = [rows[start : start + limit] for start in range(0, len(rows) + 1, limit)]
    if chance.random() < 0.3:
        request["FilterExpression"] = "color = :color"
        values[":color"] = {"S": "r"}
        pages = [[item for item in page if item.get("color") == {"S": "r"}] for page in pages]
    return {**request, "ExpressionAttributeNames": names, "ExpressionAttributeValues": values}, pages


def text(chance: random.Random) -> str:
    """Returns a short text: few are possible, and some begin with others."""
    return "".join(chance.choices("0é\U0001f600", k=chance.randint(1, 3)))


def plain(value: dict[str, str]) -> Any:
    """Returns the value of an attribute. Only values of the same attribute are compared."""
    return int(value["N"]) if "N" in value else value["S"]
