"""Views that are written to: a statement's rows are those of the one table behind it.

    CREATE VIEW living AS SELECT id, name AS label FROM people WHERE NOT gone WITH CHECK OPTION

Such a view selects from one table, or from another such view, and its columns are columns of that. What is
written through it goes to the table under the names that the view gives; its condition says which rows there
are. WITH CHECK OPTION has new rows meet it as well: that of the view alone (LOCAL), or those of all
below, too.
The user needs rights on the view, its owner on what it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from engine.expressions import Reference
from engine.operators import Check
from sql.binding import Binding
from sql.binding.base import Aggregates, Windows
from sql.binding.windows import definitions_of
from sql.context import BindContext
from sql.expressions import is_set, references
from sql.logical import Barrier, Filter, Node
from sql.needs import Need
from sql.parse import parse_query
from sql.relations import find_relation
from sql.scope import Frame, Relation, Scope, ScopeColumn
from sql.storageparameters import CHECK_OPTION, SECURITY_BARRIER, is_on
from sql.tokens import lex
from sql.views.registry import SystemView
from sql.viewtexts import inside
from storage.definitions import Table, View, ViewColumn
from storage.errors import FeatureNotSupported, ObjectNotInPrerequisiteState
from storage.systemcolumns import SYSTEM_NAMES

_DOING = {"insert into": "inserting into", "update": "updating", "delete from": "deleting from"}


@dataclass(frozen=True)
class Through:
    """A view, and the table behind it. Expressions are over the table's columns.

    `places` are those of the view's columns in the table; `conditions` and `checks` have the names of their
    views. So many of the `conditions` stand behind each of the `barriers`. `needs` are of the view and of
    what stands under it, each with the numbers that the table's columns (attnums) have there.
    """

    view: View
    table: Table
    places: tuple[int, ...]
    conditions: tuple[Check, ...]
    checks: tuple[Check, ...]
    needs: tuple[tuple[Need, Mapping[int, int]], ...]
    barriers: frozenset[int] = frozenset()

    def rows(self, node: Node) -> Node:
        """The rows that there are of the view, of those of its table."""
        for count, condition in enumerate(self.conditions, 1):
            node = Filter(node, condition.expression)
            if count in self.barriers:
                node = Barrier(node)
        return node

    @property
    def columns(self) -> tuple[ScopeColumn, ...]:
        """The table's columns under the view's names; those that it does not show have none."""
        shown = {place: number for number, place in enumerate(self.places, 1)}
        return tuple(
            ScopeColumn(self.view.columns[shown[at] - 1].name, column.type, self.view.oid, shown[at])
            if at in shown
            else ScopeColumn("", column.type)
            for at, column in enumerate(self.table.columns)
        )

    def want(self, letter: str, numbers: Iterable[int]) -> None:
        """This right is needed, on these of the table's columns (attnums)."""
        wanted = tuple(numbers)
        for need, known in self.needs:
            need.want(letter, [known[number] for number in wanted if number in known])

    def read(self) -> None:
        """What stands under the view is read, by its owner."""
        conditions = {
            self.table.columns[place].number for place in references(*(c.expression for c in self.conditions))
        }
        shown = {self.table.columns[place].number for place in self.places}
        for need, known in self.needs[1:]:
            need.want("r", [known[number] for number in shown | conditions if number in known])


def written_through(view: View, verb: str, context: BindContext) -> Through:
    """What a statement writes to that names a view.

    Raises ObjectNotInPrerequisiteState where it is not of one table alone, FeatureNotSupported where its
    columns are not just some of that.
    """
    tree = parse_query(lex(view.text), view.text)
    made = _bound(view, tree, verb, context)
    if isinstance(made, str):
        word = verb.split()[0].upper()
        raise ObjectNotInPrerequisiteState(
            _cannot(verb, view),
            detail=made,
            hint=f"To enable {_DOING[verb]} the view, provide an INSTEAD OF {word} trigger or an "
            f"unconditional ON {word} DO INSTEAD rule.",
        )
    return made


def _cannot(verb: str, view: View) -> str:
    return f'cannot {verb} view "{view.name}"'


def _bound(view: View, tree: exp.Expression, verb: str, context: BindContext) -> Through | str:
    """What is written to, or why it cannot be, in PostgreSQL's words."""
    why = _refusal(tree)
    if why:
        return why
    assert isinstance(tree, exp.Select)
    within = inside(view, context)
    named = tree.args["from_"].this
    schema = named.args.get("db")
    found = find_relation(within, named.this.this, "" if schema is None else schema.this)
    if isinstance(found.source, SystemView) or getattr(found.source, "materialized", None) is not None:
        return _SINGLE
    under = _through(found.source, verb, within)
    if any(node.this.this in SYSTEM_NAMES for node in tree.find_all(exp.Column) if _is_name(node.this)):
        raise FeatureNotSupported(_cannot(verb, view), detail="It shows system columns.")
    alias = named.args.get("alias")
    scope = Scope(Frame())
    name = named.this.this if alias is None else alias.this.this
    given = () if alias is None else alias.args.get("columns") or ()
    renamed = {place: column.this for place, column in zip(under.places, given, strict=False)}
    columns = (replace(c, name=renamed.get(at, c.name)) for at, c in enumerate(under.columns))
    scope.add(Relation(name, tuple(columns), schema=found.schema))
    binding = Binding(within, scope, "SELECT", aggregates=Aggregates(), windows=Windows(), sets=True)
    binding.definitions = definitions_of(tree)
    items = [binding.bind(item.this if isinstance(item, exp.Alias) else item) for item in tree.expressions]
    for calls, what in ((binding.aggregates, "aggregate functions"), (binding.windows, "window functions")):
        if calls is not None and calls.calls:
            return f"Views that return {what} are not automatically updatable."
    if any(map(is_set, items)):
        return "Views that return set-returning functions are not automatically updatable."
    places = [item.index for item in items if isinstance(item, Reference)]
    if len(set(places)) < len(items):
        detail = f'Not each of its columns is one of "{found.source.name}".'
        raise FeatureNotSupported(_cannot(verb, view), detail=detail)
    where = tree.args.get("where")
    place = Binding(within, scope, "WHERE")
    own = () if where is None else (Check(view.name, place.condition(where.this, "WHERE")),)
    conditions, checks = (*under.conditions, *own), under.checks
    option = dict(view.options).get(CHECK_OPTION, "").lower()
    if option:
        checks = conditions if option == "cascaded" else (*checks, *own)
    numbers = {under.table.columns[place].number: number for number, place in enumerate(places, 1)}
    needs = ((context.need(view), numbers), *under.needs)
    barriers = under.barriers
    if is_on(view.options, SECURITY_BARRIER):
        barriers |= {len(conditions)}
    return Through(view, under.table, tuple(places), conditions, checks, needs, barriers)


def _is_name(tree: object) -> bool:
    return isinstance(tree, exp.Identifier) and isinstance(tree.this, str)


def _through(source: Table | View, verb: str, context: BindContext) -> Through:
    """What stands under a view."""
    if isinstance(source, View):
        return written_through(source, verb, context)
    shown = tuple(ViewColumn(column.name, column.type) for column in source.columns)
    whole = View(source.oid, source.schema, source.name, shown, "", (), 0)
    numbers = {column.number: column.number for column in source.columns}
    needs = ((context.need(source), numbers),)
    return Through(whole, source, tuple(range(len(source.columns))), (), (), needs)


_SINGLE = "Views that do not select from a single table or view are not automatically updatable."
_PARTS = {
    "with_": "WITH",
    "distinct": "DISTINCT",
    "group": "GROUP BY",
    "having": "HAVING",
    "limit": "LIMIT or OFFSET",
    "offset": "LIMIT or OFFSET",
}


def _refusal(tree: exp.Expression) -> str:
    """Why rows of a view's query cannot be written, in PostgreSQL's words; '' where they can."""
    if isinstance(tree, exp.SetOperation):
        return "Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable."
    if not isinstance(tree, exp.Select):
        return _SINGLE
    for part, words in _PARTS.items():
        if tree.args.get(part):
            return f"Views containing {words} are not automatically updatable."
    from_ = tree.args.get("from_")
    if from_ is None or tree.args.get("joins") or tree.args.get("laterals"):
        return _SINGLE
    if not isinstance(from_.this, exp.Table) or not isinstance(from_.this.this, exp.Identifier):
        return _SINGLE
    if from_.this.args.get("sample") is not None:
        return "Views containing TABLESAMPLE are not automatically updatable."
    return ""


def why_not(view: View, context: BindContext) -> str:
    """Why a view is not automatically updatable; '' where it is."""
    try:
        written_through(view, "update", context)
    except (ObjectNotInPrerequisiteState, FeatureNotSupported) as error:
        return error.detail
    return ""
