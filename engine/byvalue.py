"""Work on coded columns: once for each distinct value of a dictionary, not once for each row.

It may be done only where the answer for a value depends on nothing else. A dictionary holds values that no
wanted row has; where one of those raises, the work is done on the rows after all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from storage.column import Column
from storage.errors import DatabaseError, QueryCanceled
from storage.segments.coded import CodedColumn, Dictionary
from storage.types import Form

_REMEMBERED = 8  # results that a dictionary keeps


def by_value(
    column: CodedColumn, work: Callable[[Column], Column], name: Hashable | None = None
) -> Column | None:
    """What `work` makes of the column, which it makes of values one by one; a null stays null.

    Under a `name`, which must say all that the result depends on, the dictionary remembers it. None where
    there are more distinct values than rows, or where the work fails on one.
    """
    found = _remembered(column.dictionary, work, name, len(column))
    if found is None:
        return None
    valid = column.valid
    if found.valid is not None:
        mine = found.valid[column.codes]
        valid = mine if valid is None else valid & mine
    if found.type.form in (Form.TEXT, Form.BYTES) and found.valid is None:
        return CodedColumn(found.type, _dictionary(column.dictionary, found, name), column.codes, valid)
    return found.take(column.codes).with_valid(valid)


def _remembered(
    dictionary: Dictionary, work: Callable[[Column], Column], name: Hashable | None, rows: int
) -> Column | None:
    """The result for each distinct value."""
    results: dict[Hashable, Column] = dictionary.memo.setdefault("results", {})
    if name is not None and (known := results.get(name)) is not None:
        return known
    if not 0 < len(dictionary) <= rows:
        return None
    try:
        found = work(dictionary.column).spread(len(dictionary))
    except QueryCanceled:
        raise
    except DatabaseError:
        return None
    if name is not None:
        if len(results) >= _REMEMBERED:
            results.clear()
        results[name] = found
    return found


def _dictionary(source: Dictionary, values: Column, name: Hashable | None) -> Dictionary:
    """The results as a dictionary: the same object for all morsels, where the results are."""
    if name is None:
        return Dictionary(values, distinct=False)
    known: dict[Hashable, Dictionary] = source.memo.setdefault("dictionaries", {})
    found = known.get(name)
    if found is None or found.column is not values:
        if len(known) >= _REMEMBERED:
            known.clear()
        found = known[name] = Dictionary(values, distinct=False)
    return found
