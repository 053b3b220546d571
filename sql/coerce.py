"""Coercions by PostgreSQL's rules: what may become what, where, and how.

A context letter says where: 'i' (implicitly, in an expression), 'a' (assignment to a column), 'e' (a
written cast). A string constant and a parameter have type `unknown` until something here says what they
are: the constant is then read by the type's input function, the parameter told its type. Constants of
types whose input depends on the session (now, time zones, the search path) are read at run time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from engine import casts
from engine.composites import MakeRow
from engine.domains import CheckDomain, Checks
from engine.expressions import Cast, Constant, Expression, Parameter
from engine.run import Run
from sql.context import BindContext
from sql.marks import Literal as StringMark
from sql.resolved import Known
from storage.batch import Batch
from storage.column import Column
from storage.definitions import ColumnDefinition
from storage.errors import CannotCoerce, DatabaseError, DatatypeMismatch, FeatureNotSupported
from storage.types import (
    ANY,
    ANYARRAY,
    ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY,
    ANYCOMPATIBLENONARRAY,
    ANYELEMENT,
    ANYENUM,
    ANYMULTIRANGE,
    ANYNONARRAY,
    ANYRANGE,
    BINARY,
    BITS,
    BOOL,
    BYTEA,
    CIDR,
    DATE,
    FLOAT4,
    FLOAT8,
    INET,
    INT2,
    INT2VECTOR,
    INT4,
    INT4MULTIRANGE,
    INT4RANGE,
    INT8,
    INT8MULTIRANGE,
    INT8RANGE,
    INTERVAL,
    JSON,
    JSONB,
    JSONPATH,
    MACADDR,
    MACADDR8,
    MONEY,
    NAME,
    NUMERIC,
    NUMRANGES,
    OID,
    OIDVECTOR,
    PG_LSN,
    RANGE_OF,
    RANGES,
    RECORD,
    REG_TYPES,
    REGROLE,
    SPARSEVEC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
    UUID,
    VECTORS,
    XID,
    XID8,
    Type,
)

Letter = Literal["i", "a", "e"]
_ARRAYS = frozenset(t.oid for t in (ANYARRAY, ANYCOMPATIBLEARRAY))
_ELEMENTS = frozenset(t.oid for t in (ANYELEMENT, ANYCOMPATIBLE))
_NONARRAYS = frozenset(t.oid for t in (ANYNONARRAY, ANYCOMPATIBLENONARRAY))
POLYMORPHIC = _ARRAYS | _ELEMENTS | _NONARRAYS | {ANY.oid, ANYENUM.oid, ANYRANGE.oid, ANYMULTIRANGE.oid}
# Array types of the catalogs' own: a value is one, or is cast to one by name.
_VECTORS = frozenset((INT2VECTOR.oid, OIDVECTOR.oid))
_RANK = {"i": 0, "a": 1, "e": 2}
# Types whose text form means the same in every session: their constants are read when bound.
_IMMUTABLE_INPUT = frozenset(
    t.oid
    for t in (
        JSONPATH,
        MACADDR,
        MACADDR8,
        MONEY,
        PG_LSN,
        XID8,
        BOOL,
        BYTEA,
        CIDR,
        INET,
        INT2,
        INT4,
        INT8,
        OID,
        XID,
        FLOAT4,
        FLOAT8,
        NUMERIC,
        TEXT,
        NAME,
        UUID,
        JSON,
        JSONB,
    )
) | (NUMRANGES | {t.oid for t in (INT4RANGE, INT8RANGE, INT4MULTIRANGE, INT8MULTIRANGE)})
# Dates, times and intervals written in the way that every setting reads alike.
_DAY = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
_OFFSET = r"(Z|[-+]\d{2}(:?\d{2})?)"
_ISO = {
    DATE.oid: re.compile(_DAY),
    TIME.oid: re.compile(_CLOCK),
    TIMESTAMP.oid: re.compile(f"{_DAY}([ T]{_CLOCK})?"),
    INTERVAL.oid: re.compile(r"\d+( (second|minute|hour|day|week|month|year)s?)?"),
    TIMESTAMPTZ.oid: re.compile(f"{_DAY}[ T]{_CLOCK}{_OFFSET}"),
    TIMETZ.oid: re.compile(f"{_CLOCK}{_OFFSET}"),
}
_ISO_INPUT = frozenset(_ISO)
_MODIFIED_INPUT = frozenset((INTERVAL.oid, BINARY.oid)) | VECTORS
_OBJECT_NAMES = frozenset(type.oid for type in REG_TYPES)
_BINARY_INPUT = VECTORS | BITS | {BINARY.oid, SPARSEVEC.oid}


def can_coerce(source: Type, target: Type, letter: Letter = "i") -> bool:
    """Whether a value of `source` may become one of `target` in this context."""
    if source.oid in (target.oid, UNKNOWN.oid) or target.oid == ANY.oid:
        return True
    if target.oid in _ELEMENTS:
        return True
    if target.oid in _NONARRAYS:
        return not source.is_array
    if target.oid == ANYENUM.oid:
        return source.is_enum
    if target == RECORD:
        return source.is_row
    if target.oid in _ARRAYS:
        return source.is_array
    if target.oid == ANYRANGE.oid:
        return source.oid in RANGES
    if target.oid == ANYMULTIRANGE.oid:
        return source.oid in RANGE_OF
    if letter == "i" and target.oid in _VECTORS:
        return False
    context = casts.context(source.base, target.base)
    return context is not None and _RANK[context] <= _RANK[letter]


Constraints = Callable[[Type, BindContext], Checks | None]
_CONSTRAINTS: list[Constraints] = []


def use(constraints: Constraints) -> None:
    """Say what values of a type have to obey: sql.binding.domains does, when it is imported."""
    _CONSTRAINTS[:] = [constraints]


def coerce(
    expression: Expression, target: Type, letter: Letter, position: int, context: BindContext
) -> Expression:
    """The expression as `target`, modifier and domain included. Raises CannotCoerce (42846).

    An error points at a constant where it was written, else at `position`.
    """
    source = expression.type
    if source == target and source.domain is not None:
        return expression
    made = _coerced(expression, target.plain, letter, position, context)
    if target.domain is None and target.element is None and target.attributes is None:
        if source.domain is None or letter != "e" or source.oid != target.oid:
            return made
        return Cast(made, target) if made is expression else made  # out of its domain
    if source.of(-1) == target.of(-1):
        return made
    return checked(made, target, context)


def checked(expression: Expression, type: Type, context: BindContext) -> Expression:
    """The expression as a value of `type` that obeys the domains in it."""
    checks = _CONSTRAINTS[0](type, context)
    if checks is None:
        return expression
    context.depend(type)
    return CheckDomain(expression, type, checks)


def _coerced(
    expression: Expression, target: Type, letter: Letter, position: int, context: BindContext
) -> Expression:
    written, position = position, context.place(expression, position)
    source = expression.type
    if source.oid == UNKNOWN.oid:
        known = _from_unknown(expression, target, letter, position, context)
        if known is not None:
            return known
    if source == target or (source.is_row and target == RECORD):
        return expression
    if source.is_row and target.is_row:
        return _as_row(expression, target, letter, position, context)
    if source.oid == target.oid:
        if target.modifier == -1:
            return expression
        return Cast(expression, target, letter == "e")
    if not can_coerce(source, target, letter):
        place = written if letter == "e" and written else position
        raise CannotCoerce(f"cannot cast type {source.base} to {target.base}", position=place)
    return fold_cast(Cast(expression, target, letter == "e"), context)


def _as_row(
    expression: Expression, target: Type, letter: Letter, position: int, context: BindContext
) -> Expression:
    """A row as another row type, field by field. Raises CannotCoerce."""
    source = expression.type
    fields, wanted = source.attributes or (), target.attributes or ()
    if fields == wanted and source.oid == target.oid:
        return expression

    def refused(detail: str) -> CannotCoerce:
        return CannotCoerce(f"cannot cast type {source} to {target}", detail=detail, position=position)

    if not can_coerce(source, target, letter):
        raise refused("")
    for number, (field, attribute) in enumerate(zip(fields, wanted, strict=False), 1):
        if not can_coerce(field.type, attribute.type, letter):
            raise refused(f"Cannot cast type {field.type} to {attribute.type.base} in column {number}.")
    if len(fields) != len(wanted):
        raise refused(f"Input has too {'few' if len(fields) < len(wanted) else 'many'} columns.")
    if isinstance(expression, MakeRow):
        items = (
            coerce(item, attribute.type, letter, position, context)
            for item, attribute in zip(expression.items, wanted, strict=True)
        )
        return MakeRow(tuple(items), target, expression.optional)
    return Cast(expression, target, letter == "e")


def _from_unknown(
    expression: Expression, target: Type, letter: Letter, position: int, context: BindContext
) -> Expression | None:
    if isinstance(expression, Parameter):
        number = expression.index + 1
        known = context.parameters.use(number, position)
        if known is None:
            context.parameters.resolve(number, target.plain)
            return _modified(Parameter(expression.index, target.plain.base), target.plain, letter)
        return coerce(Parameter(expression.index, known), target, "e", position, context)
    if isinstance(expression, Constant):
        return read_constant(expression, target, letter, position, context)
    return None


def _modified(expression: Expression, target: Type, letter: Letter) -> Expression:
    return expression if target.modifier == -1 else Cast(expression, target, letter == "e")


def read_constant(
    constant: Constant, target: Type, letter: Letter, position: int, context: BindContext
) -> Expression:
    """A string constant (or NULL) as a value of `target`, read now where its meaning is fixed."""
    text = constant.value.tolist()[0]
    if text is None:
        return Constant(context.constant(target, None))
    if target.oid == UNKNOWN.oid:
        return constant
    mark = None if context.resolved is None else context.resolved.literals.get(id(constant))
    if mark is not None:
        return _kept(mark, text, target, letter, position, context)
    if target.oid in (TEXT.oid, NAME.oid) and target.modifier == -1 and len(text) < 64:
        return Constant(context.constant(target, text))
    # a written cast cuts what is too long, an assignment refuses it
    cut = letter == "e"
    cast = _reading(text, target, cut, context)
    inner = target.single
    if inner.is_enum:
        context.depend(inner)
        return Constant(_evaluated(cast, context, position, key=(target, text, cut)).value, text)
    if inner.oid in _IMMUTABLE_INPUT or target.oid in _BINARY_INPUT or inner.category == "S":
        return _evaluated(cast, context, position, key=(target, text, cut))
    if target.oid in _ISO_INPUT and _ISO[target.oid].fullmatch(text):
        return _evaluated(cast, context, position, key=(target, text, cut))
    if target.oid in _ISO_INPUT:
        _check_readable(cast, context, position)
    if target.oid in _OBJECT_NAMES or inner.is_row:
        _check_now(cast, context, position)
    return cast


def _reading(text: str, target: Type, cut: bool, context: BindContext) -> Cast:
    """What reads a string as a value of `target`; what is too long is cut, or refused."""
    written = UNKNOWN if target.oid == INTERVAL.oid else TEXT
    return Cast(Constant(context.constant(written, text)), target, cut)


def _kept(
    mark: StringMark, text: str, target: Type, letter: Letter, position: int, context: BindContext
) -> Expression:
    """A constant of what is kept: a value from now on, as `Resolved.reads` says, whatever reads it later."""
    resolved = context.resolved
    assert resolved is not None
    if target.oid == REGROLE.oid:
        raise FeatureNotSupported("constant of the type regrole cannot be used here", position=position)
    # what a modifier cuts or refuses is found when the expression runs, but for types that need it to be read
    type = target if target.oid in _MODIFIED_INPUT else target.base
    run = replace(context.run(), settings=resolved.reads.settings, now=resolved.reads.now, memo={})
    shown = replace(context.run(), settings=resolved.writes.settings, memo={})
    try:
        value = _alone(_reading(text, type, letter == "e", context), run)
        told = _alone(Cast(Constant(value), TEXT, True), shown).tolist()[0]
    except DatabaseError as error:
        raise error.at(position) from None
    oid = value.tolist()[0] if target.oid in _OBJECT_NAMES else 0
    resolved.constants[id(mark)] = Known(mark, type, told, oid)
    if target.single.is_enum:
        context.depend(target.single)
        return Constant(value, text)
    made = Constant(value)
    return made if type == target else Cast(made, target, letter == "e")


def _alone(expression: Expression, run: Run) -> Column:
    column = expression.evaluate(Batch((), 1), run)
    return column.slice(0, 1).with_valid(column.valid, constant=True)


def _check_now(cast: Cast, context: BindContext, position: int) -> None:
    """Refuse what cannot be read, here where its place is known; the run reads it again."""
    try:
        cast.evaluate(Batch((), 1), context.run())
    except DatabaseError as error:
        raise error.at(position) from None


def _check_readable(cast: Cast, context: BindContext, position: int) -> None:
    """Refuse a date that no setting could read, here where its place is known."""
    for order in ("MDY", "DMY", "YMD"):
        run = replace(context.run(), settings={"datestyle": f"ISO, {order}"}, memo={})
        try:
            cast.evaluate(Batch((), 1), run)
        except DatabaseError as error:
            refused = error
        else:
            return
    raise refused.at(position)


def fold_cast(cast: Cast, context: BindContext) -> Expression:
    """A cast of a constant between types that depend on no session, done now."""
    argument = cast.argument
    if not isinstance(argument, Constant):
        return cast
    source, target = argument.type, cast.type
    fixed = _IMMUTABLE_INPUT | _BINARY_INPUT
    if source.oid in fixed and target.oid in fixed:
        # what its value cannot be is told without a place, as of a value that no constant gave
        return _evaluated(cast, context, 0, key=(source, target, id(argument.value)))
    return cast


def _evaluated(cast: Cast, context: BindContext, position: int, key: object) -> Constant:
    known = context.constants.get(("cast", key))
    if known is None:
        try:
            known = evaluate(cast, context)
        except DatabaseError as error:
            raise error.at(position) from None
        context.constants["cast", key] = known
    return Constant(known)


def evaluate(expression: Expression, context: BindContext) -> Column:
    """The value of an expression of constants and immutable functions, as a constant column."""
    return _alone(expression, context.run())


def assign(
    expression: Expression,
    column: ColumnDefinition,
    position: int,
    context: BindContext,
    what: str = "expression",
) -> Expression:
    """The expression as a value of a table's column. Raises DatatypeMismatch (42804): `what` it is.

    Of what is kept with the column ("default expression") it is told without a place, as PostgreSQL does.
    """
    source = expression.type
    if not can_coerce(source, column.type, "a"):
        raise DatatypeMismatch(
            f'column "{column.name}" is of type {column.type.base} but {what} is of type {source.base}',
            hint="You will need to rewrite or cast the expression.",
            position=position if what == "expression" else 0,
        )
    return coerce(expression, column.type, "a", position, context)


def common_type(types: Sequence[Type], what: str, positions: Sequence[int] = ()) -> Type:
    """The one type of UNION's, CASE's, VALUES' and COALESCE's branches. Raises DatatypeMismatch."""
    known = [
        (t, positions[i] if i < len(positions) else 0) for i, t in enumerate(types) if t.oid != UNKNOWN.oid
    ]
    if not known:
        return TEXT
    best = known[0][0]
    for type, position in known[1:]:
        if type.oid == best.oid:
            continue
        if type.category != best.category:
            raise DatatypeMismatch(
                f"{what} types {best.base} and {type.base} cannot be matched", position=position
            )
        if not best.preferred and can_coerce(best, type) and not can_coerce(type, best):
            best = type
    modifiers = {t.modifier for t, _ in known if t.oid == best.oid}
    alike = len(known) == len(types) and all(t.catalog_oid == best.catalog_oid for t, _ in known)
    same = alike and len(modifiers) == 1
    if not alike:
        best = best.plain
    return best if same else best.base
