"""Constraints, read: PRIMARY KEY, UNIQUE, CHECK and FOREIGN KEY, of tables and of columns.

    FOREIGN KEY (a, b) REFERENCES p (x, y) MATCH FULL ON DELETE SET NULL (a) ON UPDATE CASCADE
        DEFERRABLE INITIALLY DEFERRED NOT VALID

What is deferrable besides foreign keys, and EXCLUDE, are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sql.reading import Reader
from sql.tokens import Token
from storage.errors import FeatureNotSupported, SqlSyntaxError


@dataclass(frozen=True)
class ReferencesClause:
    """REFERENCES; the letters are those of pg_constraint. Without `columns`: the primary key's."""

    table: tuple[str, ...]
    columns: tuple[str, ...] = ()
    match: str = "s"
    on_update: str = "a"
    on_delete: str = "a"
    set_columns: tuple[str, ...] = ()
    position: int = 0


@dataclass(frozen=True)
class ConstraintClause:
    """A constraint as it was written; `name` is '' where none was given."""

    kind: str  # 'p', 'u', 'c', 'f'
    name: str
    columns: tuple[str, ...] = ()
    expression: tuple[Token, ...] = ()
    position: int = 0
    references: ReferencesClause | None = None
    deferrable: bool = False
    deferred: bool = False
    validated: bool = True
    nulls: bool = False  # NULLS NOT DISTINCT
    index: str = ""  # USING INDEX
    options: tuple[tuple[str, str], ...] = ()  # storage parameters of a key's index


def read_constraint(reader: Reader) -> ConstraintClause:
    """A constraint of a table, with CONSTRAINT name in front if it has one. Raises SqlSyntaxError, 0A000."""
    name = reader.name() if reader.word("constraint") else ""
    position = reader.token.position if reader.token is not None else 0
    if reader.word("primary", "key"):
        clause = _key(reader, ConstraintClause("p", name, position=position))
    elif reader.word("unique"):
        clause = _unique(reader, name, position)
    elif reader.word("check"):
        clause = ConstraintClause("c", name, (), reader.parenthesised(), position)
    elif reader.word("foreign", "key"):
        columns = reader.names()
        reader.must_word("references")
        clause = ConstraintClause("f", name, columns, (), position, read_references(reader))
    elif reader.token is not None and reader.token.is_word("exclude"):
        raise FeatureNotSupported("EXCLUDE constraints are not supported", position=position)
    else:
        raise reader.wrong()
    return read_timing(reader, clause)


def _unique(reader: Reader, name: str, position: int) -> ConstraintClause:
    reader.one_of("key", "index")
    nulls = reader.word("nulls", "not", "distinct")
    if not nulls:
        reader.word("nulls", "distinct")
    if not name and reader.token is not None and not reader.token.is_mark("("):
        after = reader.peek()
        if not (reader.token.is_word("using") and after is not None and after.is_word("index")):
            name = reader.name()
    return _key(reader, ConstraintClause("u", name, position=position, nulls=nulls))


def _key(reader: Reader, clause: ConstraintClause) -> ConstraintClause:
    """The columns of a key, or the index that is to be one."""
    if reader.word("using", "index"):
        return replace(clause, index=reader.name())
    clause = replace(clause, columns=reader.names())
    if reader.word("include"):
        raise FeatureNotSupported("INCLUDE of a constraint is not supported", position=clause.position)
    if reader.word("using", "btree") or reader.word("using", "hash"):
        pass
    return read_storage(reader, clause)


def read_storage(reader: Reader, clause: ConstraintClause) -> ConstraintClause:
    """[WITH (storage parameters)] [USING INDEX TABLESPACE pg_default] of a key."""
    if reader.word("with"):
        clause = replace(clause, options=reader.options())
    reader.word("using", "index", "tablespace", "pg_default")
    return clause


def read_references(reader: Reader) -> ReferencesClause:
    """What stands behind REFERENCES."""
    position = reader.token.position if reader.token is not None else 0
    table = reader.qualified()
    columns = reader.names() if reader.token is not None and reader.token.is_mark("(") else ()
    clause = ReferencesClause(table, columns, position=position)
    while True:
        if reader.word("match"):
            kind = reader.one_of("simple", "full", "partial")
            if kind == "partial":
                raise FeatureNotSupported("MATCH PARTIAL not yet implemented", position=position)
            if not kind:
                raise reader.wrong()
            clause = replace(clause, match=kind[0])
        elif reader.word("on", "delete"):
            action = _action(reader)
            listed = reader.token is not None and reader.token.is_mark("(") and action in "nd"
            clause = replace(clause, on_delete=action, set_columns=reader.names() if listed else ())
        elif reader.word("on", "update"):
            clause = replace(clause, on_update=_action(reader))
            if reader.token is not None and reader.token.is_mark("("):
                raise FeatureNotSupported(
                    "a column list with SET NULL is only supported for ON DELETE actions", position=position
                )
        else:
            return clause


def _action(reader: Reader) -> str:
    if reader.word("no", "action"):
        return "a"
    if reader.word("set", "null"):
        return "n"
    if reader.word("set", "default"):
        return "d"
    word = reader.one_of("restrict", "cascade")
    if not word:
        raise reader.wrong()
    return word[0]


def read_timing(reader: Reader, clause: ConstraintClause) -> ConstraintClause:
    """[NOT] DEFERRABLE, INITIALLY DEFERRED | IMMEDIATE, NOT VALID, in any order."""
    can, initially = "", ""
    while (token := reader.token) is not None:
        before = (can, initially)
        if reader.word("not", "deferrable"):
            can, clause = "no", _once(clause, can, "DEFERRABLE/NOT DEFERRABLE", token)
        elif reader.word("deferrable"):
            can, clause = "yes", _once(clause, can, "DEFERRABLE/NOT DEFERRABLE", token)
        elif reader.word("initially", "immediate"):
            initially, clause = "now", _once(clause, initially, "INITIALLY IMMEDIATE/DEFERRED", token)
        elif reader.word("initially", "deferred"):
            initially, clause = "late", _once(clause, initially, "INITIALLY IMMEDIATE/DEFERRED", token)
        elif clause.kind in "cf" and reader.word("not", "valid"):
            clause = replace(clause, validated=False)
        elif not (clause.kind == "c" and reader.word("no", "inherit")):
            break
        if (can, initially) != before and (can, initially) == ("no", "late"):
            message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE"
            raise SqlSyntaxError(message, position=token.position)
    deferrable = can == "yes" or initially == "late"
    if deferrable and clause.kind != "f":
        word = {"p": "PRIMARY KEY", "u": "UNIQUE", "c": "CHECK"}[clause.kind]
        message = f"deferrable {word} constraints are not supported"
        raise FeatureNotSupported(message, position=clause.position)
    return replace(clause, deferrable=deferrable, deferred=initially == "late")


def _once(clause: ConstraintClause, before: str, words: str, token: Token) -> ConstraintClause:
    """The clause, unless what these words say was said before."""
    if before:
        raise SqlSyntaxError(f"multiple {words} clauses not allowed", position=token.position)
    return clause
