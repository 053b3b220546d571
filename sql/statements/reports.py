"""A plan as JSON, YAML or XML, laid out as PostgreSQL does.

A report is a dictionary of names to texts, numbers, lists and dictionaries; or one text, of a statement
that has no plan. Numbers that are no integers are milliseconds and the like: three digits are enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

_ONE = {"Plans": "Plan", "Group Key": "Item", "Rollup Key": "Item"}  # what is in a list, in XML


def written(report: Mapping[str, Any] | str, format: str) -> str:
    """A report as 'json', 'yaml' or 'xml'."""
    match format:
        case "json":
            return "[\n  " + "".join(_json(report, 1)) + "\n]"
        case "yaml":
            return "- " + "".join(_yaml(report, 1))
    if isinstance(report, str):
        lines = [f"  <{_tag(report)} />"]
    else:
        lines = ["  <Query>", *_xml(report, 2), "  </Query>"]
    return "\n".join(['<explain xmlns="http://www.postgresql.org/2009/explain">', *lines, "</explain>"])


def _scalar(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _flat(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(item, list | dict) for item in value)


def _json(value: Any, depth: int) -> Iterator[str]:
    inner = "\n" + "  " * (depth + 1)
    if isinstance(value, Mapping) or (isinstance(value, list) and not _flat(value)):
        opening, closing = "{}" if isinstance(value, Mapping) else "[]"
        yield opening
        items = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
        for number, (name, item) in enumerate(items):
            yield "," * (number > 0) + inner + (f"{_scalar(name)}: " if name is not None else "")
            yield from _json(item, depth + 1)
        yield "\n" + "  " * depth + closing
    elif isinstance(value, list):
        yield "[" + ", ".join(map(_scalar, value)) + "]"
    else:
        yield _scalar(value)


def _yaml(value: Any, depth: int) -> Iterator[str]:
    """A value behind `name: ` or `- `."""
    inner = "\n" + "  " * depth
    if isinstance(value, Mapping):
        for number, (name, item) in enumerate(value.items()):
            yield (inner if number else "") + f"{name}: "
            if isinstance(item, Mapping):
                yield inner + "  "
            yield from _yaml(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield inner + "- "
            yield from _yaml(item, depth + 1)
    else:
        yield _scalar(value)


def _xml(report: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, value in report.items():
        tag = _tag(name)
        if not isinstance(value, Mapping | list):
            text = value if isinstance(value, str) else _scalar(value)
            yield f"{indent}<{tag}>{escape(text)}</{tag}>"
            continue
        yield f"{indent}<{tag}>"
        if isinstance(value, Mapping):
            yield from _xml(value, depth + 1)
        else:
            for item in value:
                yield from _xml({_ONE.get(name, "Item"): _itemised(item)}, depth + 1)
        yield f"{indent}</{tag}>"


def _itemised(item: Any) -> Any:
    return {"Item": item} if isinstance(item, list) else item


def _tag(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
