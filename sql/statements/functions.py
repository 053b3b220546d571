"""CREATE FUNCTION and PROCEDURE in SQL, ALTER and DROP of them, CALL.

A body is bound when it is made, so that what is wrong with it is told then (unless check_function_bodies is
off), and again where it is called. Bodies that are strings name things by the search path of who calls, as
in PostgreSQL; those of BEGIN ATOMIC and RETURN by that of who made them, and depend on what they name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sql import commands, names
from sql.bind import bind_expression
from sql.coerce import POLYMORPHIC, can_coerce, coerce
from sql.commands.functions import ArgumentClause, Signature
from sql.context import BindContext, ParameterTypes
from sql.dependencies import Object
from sql.expressiontexts import with_constants
from sql.marks import TypeName
from sql.notation import result_of
from sql.outcome import Done, Field, Outcome, Rows
from sql.parse import parse_expression_tokens
from sql.planned import Planned
from sql.resolved import Resolved
from sql.routines import planned as planned_body
from sql.routines import procedure_call
from sql.scope import Frame, Scope
from sql.statements.control import done
from sql.statements.following import follow
from sql.statements.host import Host
from sql.statements.places import owner, place, role_named
from sql.statements.removing import remove
from sql.storedexpressions import kept_text
from sql.unparse import Renames
from storage.batch import Batch
from storage.column import Column
from storage.definitions import Argument, Function, Schema, Table, View
from storage.errors import (
    AmbiguousFunction,
    DatabaseError,
    DatatypeMismatch,
    DuplicateFunction,
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidFunctionDefinition,
    InvalidParameterValue,
    SqlSyntaxError,
    UndefinedFunction,
    UndefinedObject,
    WrongObjectType,
)
from storage.rights import owns
from storage.transactions.locks import TableMode
from storage.types import ANY, BY_OID, RECORD, VOID, Type


def create_function(host: Host, command: commands.CreateFunction, text: str) -> Outcome:
    """CREATE [OR REPLACE] FUNCTION, PROCEDURE."""
    tag = f"CREATE {command.kind.upper()}"
    schema = place(host, command.name)
    context = _context(host, text)
    arguments = tuple(_argument(context, clause) for clause in command.arguments)
    _check_arguments(arguments, command)
    result, row = _result(host, context, command, arguments)
    function = Function(
        0,
        schema.oid,
        command.name[-1],
        arguments,
        result,
        command.body if command.body is not None else command.atomic,
        command.returns_set,
        command.kind == "procedure",
        path=tuple(host.search_path(True)) if command.atomic else (),
        row=row,
        owner=owner(host),
    )
    function = _with_options(function, command.options)
    old = _same(host, function)
    if old is not None:
        if not command.replace:
            raise DuplicateFunction(f'function "{function.name}" already exists with same argument types')
        host.transaction.lock_table(old.oid, TableMode.AccessExclusiveLock)
        if not owns(host.catalog, host.identity.role, old.owner):
            raise InsufficientPrivilege(f"must be owner of {command.kind} {old.name}")
        _check_replacement(old, function, command.kind)
    oid = host.transaction.allocate_oid() if old is None else old.oid
    function = replace(function, oid=oid, version=1 if old is None else old.version)
    if old is not None:
        function = replace(function, owner=old.owner, comment=old.comment)
    if command.atomic or host.settings.values["check_function_bodies"] != "off":
        function = _checked(host, function, command, text)
    host.transaction.define(function)
    return done(tag)


def _context(host: Host, text: str) -> BindContext:
    return host.planner.context(ParameterTypes((), fixed=True), text)


_PSEUDO = {BY_OID[oid].name: BY_OID[oid] for oid in POLYMORPHIC if oid != ANY.oid}


def _type(context: BindContext, name: TypeName) -> Type:
    """A type of an argument or a result, which may be polymorphic. Raises UndefinedObject."""
    if name.names[-1] in _PSEUDO and not name.arrays and name.names[:-1] in ((), ("pg_catalog",)):
        return _PSEUDO[name.names[-1]]
    try:
        return context.type_of(name).base
    except UndefinedObject:
        if isinstance(names.find(context.catalog, context.search_path, name.names), Table | View):
            raise FeatureNotSupported("arguments of a table's row type are not supported") from None
        raise UndefinedObject(f"type {name} does not exist") from None


def _argument(context: BindContext, clause: ArgumentClause) -> Argument:
    type = _type(context, clause.type)
    default = None
    if clause.default:
        if clause.mode in "ot":
            raise InvalidFunctionDefinition("only input parameters can have default values")
        tree = parse_expression_tokens(list(clause.default), context.text)
        inner = replace(context, resolved=Resolved(reads=context.session.reading))
        bound = bind_expression(tree, Scope(Frame()), inner, "DEFAULT expressions")
        if type.oid not in POLYMORPHIC and not can_coerce(bound.type, type, "a"):
            raise DatatypeMismatch(f"argument of DEFAULT must be type {type}, not type {bound.type.base}")
        if type.oid not in POLYMORPHIC:
            coerce(bound, type, "a", 0, inner)
        default = kept_text(tree, inner)
    return Argument(clause.name, type, clause.mode, default)


def _check_arguments(arguments: Sequence[Argument], command: commands.CreateFunction) -> None:
    seen: set[tuple[str, bool]] = set()
    needs = False
    for at, argument in enumerate(arguments):
        output = argument.mode in "ot"
        for side in {output} if argument.mode != "b" else {True, False}:
            if argument.name and (argument.name, side) in seen:
                raise InvalidFunctionDefinition(f'parameter name "{argument.name}" used more than once')
            seen.add((argument.name, side))
        if argument.mode == "v":
            if any(other.mode in "ibv" for other in arguments[at + 1 :]):
                raise InvalidFunctionDefinition("VARIADIC parameter must be the last input parameter")
            if argument.type.element is None and argument.type.name not in ("anyarray", "any"):
                raise InvalidFunctionDefinition("VARIADIC parameter must be an array")
        if argument.mode in "ibv":
            if needs and argument.default is None:
                raise InvalidFunctionDefinition(
                    "input parameters after one with a default value must also have defaults"
                )
            needs = needs or argument.default is not None
        if argument.type.oid == VOID.oid:
            raise InvalidFunctionDefinition(f"SQL function cannot accept type {argument.type}")


def _result(
    host: Host, context: BindContext, command: commands.CreateFunction, arguments: Sequence[Argument]
) -> tuple[Type, int]:
    """(the type of the result, the OID of the relation whose rows it is)."""
    outputs = [a for a in arguments if a.mode in "obt"]
    implied: Type | None = None
    if outputs:
        single = len(outputs) == 1 and command.kind == "function"
        implied = outputs[0].type if single else RECORD
    if command.kind == "procedure":
        return implied or VOID, 0
    if command.result is None:
        if implied is None:
            raise InvalidFunctionDefinition("function result type must be specified")
        return implied, 0
    type, row = _type_or_row(host, context, command.result)
    if implied is not None and (row or implied.oid != type.oid):
        raise InvalidFunctionDefinition(f"function result type must be {implied} because of OUT parameters")
    if type.oid in POLYMORPHIC and not any(a.type.oid in POLYMORPHIC for a in arguments if a.mode in "ibv"):
        raise InvalidFunctionDefinition(
            "cannot determine result data type",
            detail=f"A result of type {type} requires at least one input of type anyelement, anyarray, "
            "anynonarray, anyenum, anyrange, or anymultirange.",
        )
    return type, row


def _type_or_row(host: Host, context: BindContext, name: TypeName) -> tuple[Type, int]:
    found = None if name.arrays else names.find(host.catalog, host.search_path(True), name.names)
    if isinstance(found, Table | View):
        return RECORD, found.oid
    return _type(context, name), 0


def _with_options(function: Function, options: dict[str, str]) -> Function:
    cost, rows = function.cost, function.rows or (1000.0 if function.returns_set else 0.0)
    if function.procedure and set(options) - {"language", "security"}:
        raise InvalidFunctionDefinition("invalid attribute in procedure definition")
    if "cost" in options:
        cost = float(options["cost"])
        if cost <= 0:
            raise InvalidParameterValue("COST must be positive")
    if "rows" in options:
        rows = float(options["rows"])
        if rows <= 0:
            raise InvalidParameterValue("ROWS must be positive")
        if not function.returns_set:
            raise InvalidParameterValue("ROWS is not applicable when function does not return a set")
    parallel = options.get("parallel", {"u": "unsafe", "s": "safe", "r": "restricted"}[function.parallel])
    if parallel not in ("unsafe", "safe", "restricted"):
        raise SqlSyntaxError('parameter "parallel" must be SAFE, RESTRICTED, or UNSAFE')
    return replace(
        function,
        volatility=options.get("volatility", function.volatility),
        strict=bool(options.get("strict", "true" if function.strict else "")),
        leakproof=bool(options.get("leakproof", "true" if function.leakproof else "")),
        parallel=parallel[0],
        cost=cost,
        rows=rows,
    )


def _inputs(function: Function) -> tuple[int, ...]:
    """What tells a function from others of its name: OIDs of types; of a procedure OUT counts, too."""
    modes = "ibvo" if function.procedure else "ibv"
    return tuple(a.type.oid for a in function.arguments if a.mode in modes)


def _same(host: Host, function: Function) -> Function | None:
    for other in host.catalog.functions_named(function.name):
        if other.schema == function.schema and _inputs(other) == _inputs(function):
            return other
    return None


def _check_replacement(old: Function, new: Function, kind: str) -> None:
    """Who calls it relies on its kind, result and the names of its arguments."""
    shown = _shown(old)
    if old.procedure != new.procedure:
        word = "procedure" if old.procedure else "function"
        raise WrongObjectType("cannot change routine kind", detail=f'"{old.name}" is a {word}.')
    hint = f"Use DROP {kind.upper()} {shown} first."
    outputs = [(a.name, a.type.oid) for a in old.outputs]
    same = (old.result.oid, old.returns_set, old.row) == (new.result.oid, new.returns_set, new.row)
    if not same:
        raise InvalidFunctionDefinition("cannot change return type of existing function", hint=hint)
    if outputs != [(a.name, a.type.oid) for a in new.outputs]:
        raise InvalidFunctionDefinition(
            "cannot change return type of existing function",
            detail="Row type defined by OUT parameters is different.",
            hint=hint,
        )
    for before, now in zip(old.inputs, new.inputs, strict=True):
        if before.name and before.name != now.name:
            raise InvalidFunctionDefinition(
                f'cannot change name of input parameter "{before.name}"', hint=hint
            )
        if before.default is not None and now.default is None:
            raise InvalidFunctionDefinition(
                "cannot remove parameter defaults from existing function", hint=hint
            )


def _shown(function: Function) -> str:
    types = ",".join(str(a.type) for a in function.inputs)
    return f"{function.name}({types})"


def _checked(host: Host, function: Function, command: commands.CreateFunction, text: str) -> Function:
    """The function, its body bound, and what that depends on. Raises what binding raises."""
    if any(a.type.oid in POLYMORPHIC for a in function.inputs):
        return function
    context = _context(host, function.body)
    # it may call itself: then it is there already
    inside = context.catalog.changed({function.oid: function}, context.catalog.version)
    context = replace(context, catalog=inside)
    types = [a.type for a in function.inputs]
    result = result_of(function, function.result, types, inside)
    resolved = Resolved(reads=host.reading) if command.atomic else None
    try:
        made = planned_body(function, types, result, context, resolved)
    except DatabaseError as error:
        if error.position and command.position:
            error.position += command.position + _quote(text, command.position)
        else:
            error.position = 0
            error.where = error.where or f'SQL function "{function.name}"'
        raise
    if resolved is None:
        return function
    oids = {oid for step in made.steps for oid, _ in step.plan.dependencies} - {function.oid}
    body = with_constants(function.body, resolved)
    return replace(function, body=body, depends=tuple((oid, 0) for oid in sorted(oids)))


def _quote(text: str, position: int) -> int:
    """How many characters of a string constant stand before its first, less one."""
    rest = text[position - 1 :]
    if rest.startswith("$"):
        return rest.index("$", 1)
    return 1 if rest[:1] in "eE" else 0


# by name


def find(
    host: Host,
    kind: str,
    signature: Signature,
    text: str,
    mode: TableMode = TableMode.AccessExclusiveLock,
) -> Function | None:
    """The function of this signature, locked; None where there is none. Raises AmbiguousFunction."""
    found = _candidates(host, kind, signature.name, listed=signature.arguments is not None)
    if signature.arguments is None:
        if len(found) > 1:
            raise AmbiguousFunction(
                f'{kind} name "{".".join(signature.name)}" is not unique',
                hint=f"Specify the argument list to select the {kind} unambiguously.",
            )
    else:
        context = _context(host, text)
        types = [(_type(context, a.type).oid, a.mode) for a in signature.arguments]
        wanted = tuple(oid for oid, mode in types if mode in "ibv")
        every = tuple(oid for oid, _ in types)
        found = [
            f
            for f in found
            if tuple(a.type.oid for a in f.inputs) == wanted or (f.procedure and _inputs(f) == every)
        ]
    if not found:
        return None
    host.transaction.lock_table(found[0].oid, mode)
    function = host.catalog.functions.get(found[0].oid)
    if function is not None and kind != "routine" and function.procedure != (kind == "procedure"):
        raise WrongObjectType(f"{_shown(function)} is not a {kind}")
    return function


def _candidates(host: Host, kind: str, name: tuple[str, ...], *, listed: bool) -> list[Function]:
    """All of the name, in the first schema of the search path that has one of the same arguments.

    Those of another kind, where there are no others and the arguments are `listed`: the error says so.
    """
    path = [name[-2]] if len(name) > 1 else host.search_path(True)
    if len(name) > 1:
        host.catalog.must_schema(name[-2])
    found: dict[tuple[int, ...], Function] = {}
    for schema in path:
        for function in host.catalog.functions_named(name[-1]):
            if host.catalog.schemas[function.schema].name == schema:
                found.setdefault(_inputs(function), function)
    fitting = [f for f in found.values() if kind == "routine" or f.procedure == (kind == "procedure")]
    return fitting or (list(found.values()) if listed else [])


def must_find(
    host: Host,
    kind: str,
    signature: Signature,
    text: str,
    mode: TableMode = TableMode.AccessExclusiveLock,
) -> Function:
    """The function of this signature, locked. Raises UndefinedFunction, AmbiguousFunction."""
    function = find(host, kind, signature, text, mode)
    if function is None:
        raise _missing(host, kind, signature, text)
    return function


def _missing(host: Host, kind: str, signature: Signature, text: str) -> UndefinedFunction:
    if signature.arguments is None:
        return UndefinedFunction(f'could not find a {kind} named "{".".join(signature.name)}"')
    context = _context(host, text)
    types = ", ".join(str(_type(context, a.type)) for a in signature.arguments if a.mode != "o")
    return UndefinedFunction(f"{kind} {'.'.join(signature.name)}({types}) does not exist")


def _catalog_name(type: Type, name: TypeName) -> str:
    """A type as the parser names it: what SQL has a word of its own for is pg_catalog's."""
    own = name.names[-1] != type.name or type.name in ("numeric", "varchar", "bpchar", "interval")
    return f"pg_catalog.{type.name}" if own else str(name)


def alter_function(host: Host, command: commands.AlterFunction, text: str) -> Outcome:
    """ALTER FUNCTION: volatility, strictness, cost and their like."""
    function = must_find(host, command.kind, command.signature, text)
    host.transaction.define(_with_options(function, command.options))
    return done(f"ALTER {command.kind.upper()}")


def rename_function(host: Host, command: commands.RenameFunction, text: str) -> Outcome:
    """RENAME TO, SET SCHEMA, OWNER TO."""
    function = must_find(host, command.kind, command.signature, text)
    match command.change:
        case commands.Rename(new=new):
            changed = replace(function, name=new)
        case commands.SetSchema(schema=name):
            changed = replace(function, schema=host.catalog.must_schema(name).oid)
        case commands.ChangeOwner(owner=name):
            changed = replace(function, owner=role_named(host, name))
    other = _same(host, changed)
    if other is not None and other.oid != function.oid:
        schema: Schema = host.catalog.schemas[changed.schema]
        word = "procedure" if changed.procedure else "function"
        types = ", ".join(str(a.type) for a in changed.inputs)
        raise DuplicateFunction(f'{word} {changed.name}({types}) already exists in schema "{schema.name}"')
    follow(host, Renames(relations={function.oid: (host.catalog.schemas[changed.schema].name, changed.name)}))
    host.transaction.define(changed)
    return done(f"ALTER {command.kind.upper()}")


def drop_functions(host: Host, command: commands.DropFunctions, text: str) -> Outcome:
    """DROP FUNCTION, PROCEDURE, ROUTINE."""
    targets = []
    for signature in command.signatures:
        function = find(host, command.kind, signature, text)
        if function is None:
            error = _missing(host, command.kind, signature, text)
            if not command.if_exists:
                raise error
            shown = f"{'.'.join(signature.name)}()"
            if signature.arguments is not None:
                context = _context(host, text)
                types = (_catalog_name(_type(context, a.type), a.type) for a in signature.arguments)
                shown = f"{'.'.join(signature.name)}({','.join(types)})"
            host.notice("NOTICE", "00000", f"{command.kind} {shown} does not exist, skipping")
            continue
        targets.append(Object("function", function.oid))
    remove(host, targets, command.cascade)
    return done(f"DROP {command.kind.upper()}")


def comment(host: Host, command: commands.CommentOnFunction, text: str) -> Outcome:
    """COMMENT ON FUNCTION."""
    function = must_find(host, command.kind, command.signature, text)
    host.transaction.define(replace(function, comment=command.text or ""))
    return done("COMMENT")


def call(host: Host, command: commands.Call, planned: Planned, parameters: Sequence[Column]) -> Outcome:
    """CALL: a procedure's statements; its INOUT arguments come back as a row."""
    context = host.planner.context(ParameterTypes(planned.parameters, fixed=True), planned.text)
    found = procedure_call(command.query, context)
    host.check_needs(context.needs.values())
    run = host.new_run(parameters)
    values = [value.evaluate(Batch((), 1), run).spread(1) for value in found.values]
    constants = [value.with_valid(value.valid, constant=True) for value in values]
    routine = host.routine(found.function.oid, [value.type for value in found.values])
    last: Batch | None = None
    for batch in routine.rows(run, constants):
        last = last or (batch.slice(0, 1) if batch.rows else None)
    if not found.function.outputs:
        return Done(lambda: "CALL")
    fields = tuple(Field(name, type) for name, type in found.result.columns)
    return Rows(fields, iter([] if last is None else [last]), lambda: "CALL")
