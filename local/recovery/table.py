"""Items of a table: their keys, reads, and the writes of a transaction."""

import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

Item = dict[str, Any]
Key = tuple[str, str]

# Number of segments of the restored table that are read concurrently.
SEGMENTS = 8
# Maximum number of keys per `BatchGetItem` (AWS limit).
MAX_KEYS = 100


def text(item: Item, name: str) -> str:
    """Returns a string or number attribute as text, or an empty text."""
    return next(iter(item.get(name, {"S": ""}).values()))


def key_of(item: Item) -> Key:
    """Returns the primary key of an item."""
    return text(item, "pk"), text(item, "sk")


def attributes(key: Key) -> Item:
    """Returns a primary key as DynamoDB attributes."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def tombstone(key: Key) -> Key:
    """Returns the key of the tombstone of an item."""
    return f"{key[0]}#deleted", key[1]


def environment(item: Item) -> str:
    """Returns the partition prefix of the environment of an item."""
    return "#".join(text(item, "pk").split("#")[:2])


class Table:
    """Consistent reads of a table, cached until `forget`."""

    def __init__(self, dynamodb: Any, name: str) -> None:
        self.dynamodb, self.name = dynamodb, name
        self.cache: dict[Key, Item | None] = {}

    def load(self, keys: Iterable[Key]) -> None:
        """Reads items into the cache. One `BatchGetItem` per 100 keys."""
        wanted = sorted(set(keys) - self.cache.keys())
        self.cache |= dict.fromkeys(wanted)
        while wanted:
            batch, wanted = wanted[:MAX_KEYS], wanted[MAX_KEYS:]
            request = {"Keys": [attributes(key) for key in batch], "ConsistentRead": True}
            found = self.dynamodb.batch_get_item(RequestItems={self.name: request})
            self.cache |= {key_of(item): item for item in found["Responses"][self.name]}
            unprocessed = found["UnprocessedKeys"].get(self.name, {}).get("Keys", [])
            if unprocessed:
                wanted += [key_of(key) for key in unprocessed]
                time.sleep(random.uniform(0, 1))  # noqa: S311 (jitter needs no secrecy)

    def get(self, key: Key) -> Item | None:
        """Returns an item."""
        self.load([key])
        return self.cache[key]

    def partition(self, pk: str, prefix: str = "", limit: int | None = None) -> Iterator[Item]:
        """Yields the items of a partition, without the cache."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="pk = :pk" + (" AND begins_with(sk, :prefix)" if prefix else ""),
            ExpressionAttributeValues={":pk": {"S": pk}, **({":prefix": {"S": prefix}} if prefix else {})},
            ConsistentRead=True,
            PaginationConfig={"MaxItems": limit},
        )
        for page in pages:
            yield from page["Items"]

    def scan(self, segment: int, kind: str = "") -> Iterator[list[Item]]:
        """Yields the items of a segment, of one type or all, in lists of up to 100."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.name,
            Segment=segment,
            TotalSegments=SEGMENTS,
            **_condition("#type = :type" if kind else "", {"type": {"S": kind}}, "FilterExpression"),
        )
        for page in pages:
            for start in range(0, len(page["Items"]), MAX_KEYS):
                yield page["Items"][start : start + MAX_KEYS]

    def forget(self) -> None:
        """Empties the cache."""
        self.cache.clear()

    # Writes of a transaction.

    def put(self, item: Item, condition: str = "attribute_not_exists(pk)", **values: Item) -> Item:
        """Returns the write of an item."""
        return {"Put": {"TableName": self.name, "Item": item, **_condition(condition, values)}}

    def delete(self, key: Key, condition: str = "", **values: Item) -> Item:
        """Returns the deletion of an item."""
        return {"Delete": {"TableName": self.name, "Key": attributes(key), **_condition(condition, values)}}

    def check(self, key: Key, condition: str, **values: Item) -> Item:
        """Returns the check of an item."""
        return {"ConditionCheck": {"TableName": self.name, "Key": attributes(key), **_condition(condition, values)}}


def unchanged(item: Item, attribute: str) -> dict[str, Any]:
    """Returns the condition that an attribute of an item is as it was read, or still missing."""
    if attribute in item:
        return {"condition": f"{attribute} = :before", "before": item[attribute]}
    return {"condition": f"attribute_exists(pk) AND attribute_not_exists({attribute})"}


def _condition(condition: str, values: dict[str, Item], name: str = "ConditionExpression") -> Item:
    if not condition:
        return {}
    bound: Item = {name: condition}
    if values:
        bound["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    if "#type" in condition:
        # A reserved word. The other names are not.
        bound["ExpressionAttributeNames"] = {"#type": "type"}
    return bound
