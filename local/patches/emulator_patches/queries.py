"""DynamoDB queries that read one page instead of the whole partition.

The emulator sorts all items of a partition for each query, and parses the condition again for each
of them: a page of a partition with 100,000 items takes seconds. Here a partition stays sorted once
it was queried, and the emulator's own query gets only the items that its page can contain. It still
checks the request, and applies conditions, filters, limits and projections.
"""

import functools
import threading
import types
from bisect import bisect_left, bisect_right
from operator import itemgetter

from ministack.services import dynamodb

# Key of the sorted partitions among a table's index members, which are not persisted, and which are
# dropped when all items are replaced.
_ORDERS = "tenon:orders"
# Items expire in a thread of their own.
_lock = threading.Lock()


def install() -> None:
    """Replaces the items that a query gets, and parses each expression once."""
    dynamodb._query = _reading_a_page(dynamodb._query)
    dynamodb._index_item = _in_order(dynamodb._index_item)
    dynamodb._tokenize = functools.lru_cache(dynamodb._tokenize)
    dynamodb._condition_syntax_error = functools.lru_cache(dynamodb._condition_syntax_error)


def _reading_a_page(query):
    """Runs a query on a copy of the table that has pages instead of partitions."""

    @functools.wraps(query)
    def query_page(request):
        index = request.get("IndexName")

        def table_of_pages(name):
            table = dynamodb._tables.get(name)
            schema = dynamodb._index_def(table, index) if table and index else table
            hashes, ranges = dynamodb._index_key_lists(schema or {})
            if len(hashes) != 1 or len(ranges) > 1:
                return table
            pages = _Pages(table, hashes[0], ranges, request)
            return {**table, **({dynamodb._INDEX_MEMBERS: {index: pages}} if index else {"items": pages})}

        tables = types.SimpleNamespace(get=table_of_pages)
        return types.FunctionType(query.__code__, {**vars(dynamodb), "_tables": tables})(request)

    return query_page


def _in_order(index_item):
    """Adds an item to the sorted partitions that it belongs to, or removes it from them."""

    @functools.wraps(index_item)
    def index_item_in_order(table, base_pk, base_sk, item, add):
        with _lock:
            index_item(table, base_pk, base_sk, item, add)
            orders = table.get(dynamodb._INDEX_MEMBERS, {}).get(_ORDERS)
            if not orders:
                return
            for index, hashes, ranges in (
                (None, *dynamodb._index_key_lists(table)),
                *dynamodb._index_key_schemas(table),
            ):
                order = orders.get((index, dynamodb._index_partition(item, hashes, ranges)))
                if order is None:
                    continue
                entry = (_sort_values(dynamodb._index_order_keys(table, ranges), item), base_pk, base_sk)
                place = bisect_left(order, entry)
                if add:
                    order.insert(place, entry)
                elif order[place : place + 1] == [entry]:
                    del order[place]

    return index_item_in_order


def _sort_values(keys, item) -> tuple:
    """Returns the values that items of a partition are sorted by, the sort key first."""
    return tuple([dynamodb._index_order_value(item, name, kind) for name, kind in keys])


def _sort_key(entry):
    """Returns the sort key of an item in a sorted partition."""
    return entry[0][0]


class _Pages:
    """The partitions of a table or an index. Each appears to contain only the page of a request."""

    def __init__(self, table, hash_key, ranges, request) -> None:
        self.table, self.request, self.index = table, request, request.get("IndexName")
        self.hash_key, self.sort_key = hash_key, ranges[0] if ranges else None
        self.sort_keys = dynamodb._index_order_keys(table, ranges)

    def get(self, partition, _default):
        """Returns items by sort key, and of an index a list of keys, as the emulator stores both.

        One item more than the page has shows the emulator that there is another page.
        """
        limit, forward = self.request.get("Limit"), self.request.get("ScanIndexForward", True)
        with _lock:
            order = self._order(partition)
            low, high, exact = self._bounds(order)
            if start := self.request.get("ExclusiveStartKey"):
                cursor = _sort_values(self.sort_keys, start)
                if forward:
                    low = max(low, bisect_right(order, cursor, key=itemgetter(0)))
                else:
                    high = min(high, bisect_left(order, cursor, key=itemgetter(0)))
            found, size = [], 0
            for place in range(low, high) if forward else range(high - 1, low - 1, -1):
                _, pk, sk = order[place]
                # An item that expires is removed from the table before it is removed here.
                if item := self.table["items"].get(pk, {}).get(sk):
                    found.append((pk, sk, item))
                    size += dynamodb._item_size_bytes(dynamodb._apply_index_projection(item, self.table, self.index))
                if exact and (len(found) == limit or size > dynamodb._DDB_PAGE_SIZE_BYTES):
                    break
        return [(pk, sk) for pk, sk, _ in found] if self.index else {sk: item for _, sk, item in found}

    def _order(self, partition) -> list[tuple]:
        """Returns the keys of a partition's items, each after the values that it is sorted by."""
        members, items = dynamodb._index_members(self.table), self.table["items"]
        orders = members.setdefault(_ORDERS, {})
        order = orders.get((self.index, partition))
        if order is None:
            if self.index:
                keys = members[self.index].get(partition, ())
            else:
                keys = ((partition, sk) for sk in items.get(partition, ()))
            order = orders[self.index, partition] = sorted(
                (_sort_values(self.sort_keys, items[pk][sk]), pk, sk) for pk, sk in keys if sk in items.get(pk, ())
            )
        return order

    def _bounds(self, order) -> tuple[int, int, bool]:
        """Returns where the items begin and end that meet the condition on the sort key.

        The third value is false if other items can lie between them: a condition has a rare form.
        """
        names = self.request.get("ExpressionAttributeNames", {})
        values = self.request.get("ExpressionAttributeValues", {})
        kind = dynamodb._get_attr_type(self.table, self.sort_key)

        def edges(reference: str) -> tuple[int, int]:
            value = dynamodb._sort_key_value(values[reference], kind)
            return bisect_left(order, value, key=_sort_key), bisect_right(order, value, key=_sort_key)

        low, high = 0, len(order)
        clauses = dynamodb._key_condition_clauses(dynamodb._tokenize(self.request.get("KeyConditionExpression", "")))
        exact = bool(clauses)
        for clause in clauses:
            match [names.get(text, text) for token, text in clause if token not in ("LPAREN", "RPAREN", "COMMA")]:
                case [self.hash_key, "=", _]:
                    pass
                case [self.sort_key, ("=" | "<" | "<=" | ">" | ">=") as operator, value]:
                    left, right = edges(value)
                    low = {">": right, ">=": left, "=": left}.get(operator, low)
                    high = {"<": left, "<=": right, "=": right}.get(operator, high)
                case [self.sort_key, _, least, _, greatest]:  # BETWEEN … AND …
                    low, high = edges(least)[0], edges(greatest)[1]
                case [_, self.sort_key, prefix]:  # begins_with(…, …)
                    start = dynamodb._sort_key_value(values[prefix], kind)
                    low = bisect_left(order, start, key=_sort_key)
                    high = bisect_right(order, start, key=lambda entry: _sort_key(entry)[: len(start)])
                case _:
                    exact = False
        return low, high, exact
