"""MERGE from tokens to a tree: cut into its clauses, each of which is read as part of a statement we know.

    MERGE INTO target USING source ON condition          FROM target, FROM source, an expression
    WHEN MATCHED AND condition THEN UPDATE SET ...       UPDATE t SET ...
    WHEN NOT MATCHED THEN INSERT (a) VALUES (1)          INSERT INTO t (a) VALUES (1)

The tree is an exp.Merge: `this` and `using` are items of FROM (`joins` those that follow the second), `on`
an expression, `whens` are exp.When with `matched`, `condition` and `then`: an exp.Insert, exp.Update or
exp.Delete, or None for DO NOTHING.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from sql.reading import Reader
from sql.tokens import Kind, Token, near
from storage.errors import FeatureNotSupported

_PLACEHOLDER = "t"  # stands for the target in the statements that the clauses are read as


@dataclass(frozen=True)
class Parsers:
    """What reads whole statements, and lone expressions."""

    tree: Callable[[list[Token], str], exp.Expression]
    expression: Callable[[list[Token], str], exp.Expression]


def parse_merge(tokens: Sequence[Token], text: str, parsers: Parsers) -> exp.Merge:
    """The tree of a MERGE, with its WITH if there is one. Raises SqlSyntaxError, FeatureNotSupported."""
    start = next(at for at, depth in _depths(tokens) if depth == 0 and tokens[at].is_word("merge"))
    reader = Reader(tokens, text, start + 1)
    reader.must_word("into")
    reader.word("only")
    target = _until(reader, ("using",))
    reader.must_word("using")
    condition = _clause_starts(reader)
    source = list(tokens[reader.index : condition])
    reader.index = condition
    reader.must_word("on")
    on = _until(reader, ("when",))
    whens = []
    while reader.word("when"):
        whens.append(_when(reader, parsers))
    if not whens:
        raise reader.wrong()
    reader.end()
    found = _source(source, text, reader, parsers)
    tree = exp.Merge(
        this=_source(target, text, reader, parsers).args["from_"].this,
        using=found.args["from_"].this,
        joins=found.args.get("joins"),
        on=parsers.expression(on, text) if on else None,
        whens=whens,
    )
    if tree.args["on"] is None:
        raise near(text, tokens[condition + 1] if condition + 1 < len(tokens) else None)
    if start:
        select = [
            _word("select", tokens[start]),
            Token(Kind.NUMBER, "1", tokens[start].start, tokens[start].start),
        ]
        tree.set("with_", parsers.tree([*tokens[:start], *select], text).args["with_"])
    return tree


def refuse_in_with(tokens: Sequence[Token]) -> None:
    """Raise for a MERGE that is a part of WITH: name (columns) AS MATERIALIZED (MERGE ..."""
    for at in range(3, len(tokens) - 1):
        if not (
            tokens[at].is_word("merge") and tokens[at - 1].is_mark("(") and tokens[at + 1].is_word("into")
        ):
            continue
        before = at - 2
        while tokens[before].is_word("materialized", "not"):
            before -= 1
        if not tokens[before].is_word("as"):
            continue
        before -= 1
        if tokens[before].is_mark(")"):
            before = max(i for i in range(before) if tokens[i].is_mark("(")) - 1
        raise FeatureNotSupported("MERGE not supported in WITH query", position=tokens[before].position)


def _word(text: str, place: Token) -> Token:
    return Token(Kind.WORD, text, place.start, place.start)


def _depths(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Each token's index, and in how many parentheses and CASEs it stands."""
    found, depth = [], 0
    for at, token in enumerate(tokens):
        if (token.text in (")", "]") and token.kind is Kind.PUNCTUATION) or (token.is_word("end") and depth):
            depth -= 1
        found.append((at, depth))
        if token.is_word("case") or (token.text in ("(", "[") and token.kind is Kind.PUNCTUATION):
            depth += 1
    return found


def _until(reader: Reader, words: tuple[str, ...]) -> list[Token]:
    """The tokens before one of these words at this depth, taken."""
    rest = reader.tokens[reader.index :]
    stop = next((at for at, depth in _depths(rest) if depth == 0 and rest[at].is_word(*words)), len(rest))
    reader.index += stop
    return list(rest[:stop])


def _clause_starts(reader: Reader) -> int:
    """Where the ON stands that is not a join's: the last before the first WHEN."""
    rest = reader.tokens[reader.index :]
    found, stop = None, len(rest)
    for at, depth in _depths(rest):
        if depth == 0 and rest[at].is_word("when"):
            stop = at
            break
        if depth == 0 and rest[at].is_word("on"):
            found = at
    if found is None:
        reader.index += stop
        raise reader.wrong()
    return reader.index + found


def _source(tokens: list[Token], text: str, reader: Reader, parsers: Parsers) -> exp.Expression:
    """An item of FROM, with the joins behind it."""
    if not tokens:
        raise reader.wrong()
    tree = parsers.tree([_word("select", tokens[0]), _word("from", tokens[0]), *tokens], text)
    if not isinstance(tree, exp.Select) or {k for k, v in tree.args.items() if v} - {"from_", "joins"}:
        raise near(text, tokens[-1])
    return tree


def _when(reader: Reader, parsers: Parsers) -> exp.When:
    matched = not reader.word("not")
    reader.must_word("matched")
    if reader.word("by"):
        raise FeatureNotSupported("WHEN NOT MATCHED BY SOURCE or TARGET is not supported")
    condition = None
    if reader.word("and"):
        condition = parsers.expression(_until(reader, ("then",)), reader.text)
    reader.must_word("then")
    then: exp.Expression | None = None
    first = reader.token
    if reader.word("do"):
        reader.must_word("nothing")
    elif first is not None and matched and reader.word("delete"):
        then = exp.Delete()
    elif first is not None and matched and reader.word("update"):
        body = _until(reader, ("when",))
        if not body or not body[0].is_word("set"):
            raise near(reader.text, body[0] if body else reader.token)
        then = parsers.tree([first, _word(_PLACEHOLDER, first), *body], reader.text)
        _only(then, ("this", "expressions"), body, reader)
    elif first is not None and not matched and reader.word("insert"):
        body = _until(reader, ("when",))
        start = [first, _word("into", first), _word(_PLACEHOLDER, first)]
        then = parsers.tree([*start, *body], reader.text)
        _only(then, ("this", "expression", "default"), body, reader)
        values = then.args.get("expression")
        if values is not None and not isinstance(values, exp.Values):
            raise near(reader.text, body[0])
        if values is not None and len(values.expressions) > 1:
            raise near(
                reader.text,
                next(body[at] for at, depth in _depths(body) if not depth and body[at].is_mark(",")),
            )
    else:
        raise reader.wrong()
    return exp.When(matched=matched, condition=condition, then=then)


def _only(tree: exp.Expression, known: tuple[str, ...], body: list[Token], reader: Reader) -> None:
    """Raise where a clause says more than MERGE knows."""
    if any(value for name, value in tree.args.items() if name not in known):
        raise near(reader.text, body[-1] if body else reader.token)
