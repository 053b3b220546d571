"""TABLESAMPLE in FROM: a condition on the row ids of a table's scan (engine.samples)."""

from __future__ import annotations

from sqlglot import exp

from engine.expressions import Expression, Reference
from engine.samples import METHODS, Sampled
from sql.binding import Binding
from sql.coerce import coerce
from sql.context import BindContext
from sql.logical import Filter, Get, Node, Project
from sql.marks import FunctionMark, mark_of, position_of
from sql.scope import Scope
from storage.definitions import Table
from storage.errors import DatabaseError, FeatureNotSupported, InvalidTablesampleArgument, UndefinedObject
from storage.types import FLOAT4, FLOAT8, INT8, Type


def not_a_table(position: int) -> DatabaseError:
    """The error for a sample of what is no table."""
    return FeatureNotSupported(
        "TABLESAMPLE clause can only be applied to tables and materialized views", position=position
    )


def sampled(node: Node, tree: exp.TableSample, position: int, context: BindContext, scope: Scope) -> Node:
    """A table's rows that are in the sample which a clause describes."""
    if not isinstance(node, Get) or not isinstance(node.source, Table):
        raise not_a_table(position)
    method, seed = sample_parts(tree)
    mark = mark_of(method.this, FunctionMark)
    assert mark is not None
    if mark.name not in METHODS or mark.names[:-1] not in ((), ("pg_catalog",)):
        raise UndefinedObject(
            f"tablesample method {'.'.join(mark.names)} does not exist", position=mark.position
        )
    if len(method.expressions) != 1:
        raise InvalidTablesampleArgument(
            f"tablesample method {mark.name} requires 1 argument, not {len(method.expressions)}",
            position=mark.position,
        )
    inside = Scope(scope.frame, scope.tables)
    inside.unreachable = frozenset(relation.name for relation in scope.relations)
    binding = Binding(context, inside, "functions in FROM")
    percent = _argument(binding, method.expressions[0], FLOAT4)
    given = None if seed is None else _argument(binding, seed.expressions[0], FLOAT8)
    width = len(node.types)
    scan = Get(node.source, node.positions, row_ids=True, slot=context.next_slot())
    condition = Sampled(mark.name, Reference(width, INT8), percent, given)
    columns = tuple(Reference(i, type) for i, type in enumerate(node.types))
    return Project(Filter(scan, condition), columns)


def _argument(binding: Binding, tree: exp.Expression, type: Type) -> Expression:
    return coerce(binding.bind(tree), type, "a", position_of(tree), binding.context)


def sample_parts(tree: exp.TableSample) -> tuple[exp.Anonymous, exp.Anonymous | None]:
    """(the call of the method, that of REPEATABLE), as sql.rewriting wrote them."""
    whole = tree.args.get("size") or tree.args.get("percent")
    parts = whole.expressions if isinstance(whole, exp.Tuple) else [whole.this if whole is not None else None]
    found = [part for part in parts if isinstance(part, exp.Anonymous)]
    assert found
    assert len(found) == len(parts)
    return found[0], found[1] if len(found) > 1 else None
