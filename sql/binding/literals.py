"""Constants, parameters, NULL, casts and collations."""

from __future__ import annotations

from sqlglot import exp

from engine.expressions import Constant, Expression, Parameter
from engine.forms import bits
from engine.forms.numbers import written
from sql.binding.arrays import cast_constructor
from sql.binding.base import Binding, binds
from sql.coerce import coerce
from sql.marks import CollationMark, Literal, ParameterMark, TypeName, position_of
from sql.tokens import Kind
from storage.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidTextRepresentation,
    NumericValueOutOfRange,
    SqlSyntaxError,
    UndefinedObject,
    UndefinedParameter,
)
from storage.types import BIT, BOOL, BYTEA, INT4, INT8, NUMERIC, UNKNOWN

_COLLATIONS = frozenset(("default", "C", "c", "POSIX", "posix", "ucs_basic"))


def constant(binding: Binding, literal: Literal, sign: str = "") -> Expression:
    """A constant as written: a number has the smallest type that holds it, a string none yet."""
    token = literal.token
    context = binding.context
    if token.kind is Kind.STRING:
        made = Constant(context.constant(UNKNOWN, token.text))
        if context.resolved is not None:
            context.resolved.literals[id(made)] = literal
        return binding.remember(made, token.position)
    if token.kind is Kind.NUMBER:
        try:
            return number(binding, sign + token.text)
        except NumericValueOutOfRange as error:
            raise error.at(token.position) from None
    if token.kind is Kind.HEX:
        if len(token.text) % 2:
            raise InvalidTextRepresentation(
                "invalid hexadecimal data: odd number of digits",
                hint="Two digits make a byte: 0x3f80.",
                position=token.position,
            )
        return Constant(context.constant(BYTEA, bytes.fromhex(token.text)))
    try:
        return Constant(context.constant(BIT, bits.pack(bits.read_digits(token.text))))
    except InvalidTextRepresentation as error:
        raise error.at(token.position) from None


def number(binding: Binding, text: str) -> Expression:
    """A number: integer, bigint or numeric."""
    context = binding.context
    if text.lstrip("-").isdigit():
        value = int(text)
        if -(2**31) <= value < 2**31:
            return Constant(context.constant(INT4, value))
        if -(2**63) <= value < 2**63:
            return Constant(context.constant(INT8, value))
    return Constant(context.constant(NUMERIC, written(text)))


def parameter(binding: Binding, mark: ParameterMark) -> Expression:
    """$number, of the type that is known of it by now."""
    arguments = binding.context.argument_scope
    if arguments is not None:
        relation = arguments.relations[0]
        if not 0 < mark.number <= len(relation.columns):
            raise UndefinedParameter(f"there is no parameter ${mark.number}", position=mark.position)
        return binding.scope.lift(arguments.column(relation, mark.number - 1), arguments)
    type = binding.context.parameters.use(mark.number, mark.position)
    return Parameter(mark.number - 1, UNKNOWN if type is None else type)


@binds(exp.Null, arguments="")
def null(binding: Binding, tree: exp.Null) -> Expression:
    return Constant(binding.context.constant(UNKNOWN, None))


@binds(exp.Boolean, arguments="this")
def boolean(binding: Binding, tree: exp.Boolean) -> Expression:
    return Constant(binding.context.constant(BOOL, bool(tree.this)))


@binds(exp.Paren, arguments="this")
def parentheses(binding: Binding, tree: exp.Paren) -> Expression:
    return binding.bind(tree.this)


@binds(exp.Cast, arguments="this to")
def cast(binding: Binding, tree: exp.Cast) -> Expression:
    """x::type, CAST(x AS type), type 'constant', and x COLLATE name."""
    mark = cast_mark(tree)
    if isinstance(mark, CollationMark):
        return _collated(binding, tree, mark)
    target = binding.context.type_of(mark)
    if binding.context.resolved is not None:
        binding.context.resolved.type(tree, target)
    inner = tree.this.unnest()
    if isinstance(inner, exp.Array) and target.element is not None:
        return cast_constructor(binding, inner, target)
    expression = binding.bind(tree.this)
    position = position_of(tree.this) if expression.type.oid == UNKNOWN.oid else mark.written or mark.position
    return coerce(expression, target, "e", position, binding.context)


def cast_mark(tree: exp.Cast) -> TypeName | CollationMark:
    """What a cast's right side says."""
    kind = tree.args["to"].args.get("kind")
    mark = kind.args["this"] if isinstance(kind, exp.Identifier) else None
    if not isinstance(mark, TypeName | CollationMark):
        raise FeatureNotSupported(
            f"type {tree.args['to'].sql()} is not supported", position=position_of(tree)
        )
    return mark


def _collated(binding: Binding, tree: exp.Cast, mark: CollationMark) -> Expression:
    """Every collation there is compares bytes, so the value stays what it is."""
    name = mark.names[-1]
    if name not in _COLLATIONS or (len(mark.names) > 1 and mark.names[0] != "pg_catalog"):
        raise UndefinedObject(
            f'collation "{".".join(mark.names)}" for encoding "UTF8" does not exist',
            hint='The collations here are "C", "POSIX" and "default"; all compare bytes.',
            position=mark.position,
        )
    expression = binding.bind(tree.this)
    if expression.type.category not in "SX" and expression.type.oid != UNKNOWN.oid:
        raise DatatypeMismatch(
            f"collations are not supported by type {expression.type.base}", position=mark.position
        )
    return expression


@binds(exp.Literal, arguments="this is_string")
def bare_literal(binding: Binding, tree: exp.Literal) -> Expression:
    mark = tree.args["this"]
    if not isinstance(mark, Literal):
        raise SqlSyntaxError(f'syntax error at or near "{mark}"', position=position_of(tree))
    return constant(binding, mark)
