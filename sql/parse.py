"""Text to statements: tokens, our own small statements, and sqlglot's trees for the rest.

`parse("SELECT 1; COMMIT")` gives two Statements. What sql.commands knows becomes a Command; SELECT,
VALUES, WITH, TABLE, INSERT, UPDATE and DELETE become trees in which names are folded, and constants,
parameters, function names, types and operators are marks (sql.marks). Empty statements are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.postgres import PostgresParser

from sql import places
from sql.commands import Command, parse_command
from sql.marks import FunctionMark, Mark, position_of
from sql.merging import Parsers, parse_merge, refuse_in_with
from sql.prefixes import put_in_order
from sql.rewrite import MARK, NAME, Rewritten, rewrite
from sql.rewriting.commontables import Cycle
from sql.rewriting.derived import values_as_queries
from sql.tokens import Kind, Token, lex, near
from storage.errors import FeatureNotSupported, SqlSyntaxError, StatementTooComplex

exp.Values.arg_types["with_"] = False  # as other queries have it
_QUERIES = frozenset(("select", "values", "with", "table", "insert", "update", "delete", "merge", "replace"))


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a text: text[start:end]. `tree`: a Command, or a tree of sqlglot's."""

    text: str
    start: int
    end: int
    tree: exp.Expression | Command
    tokens: tuple[Token, ...] = ()


def parse(text: str) -> list[Statement]:
    """The statements of a text. Raises SqlSyntaxError at the first that cannot be read."""
    return [parse_statement(part, text) for part in split(lex(text))]


def split(tokens: list[Token]) -> Iterator[list[Token]]:
    """The tokens of each statement that is not empty."""
    part: list[Token] = []
    atomic = 0  # how many ENDs are to come before the statement may end
    for token in tokens:
        if token.kind is Kind.PUNCTUATION and token.text == ";" and not atomic:
            if part:
                yield part
            part = []
            continue
        if token.is_word("atomic") and part and part[0].is_word("create") and part[-1].is_word("begin"):
            atomic = 1
        elif atomic:
            atomic += token.is_word("case") - token.is_word("end")
        part.append(token)
    if part:
        yield part


def is_query(tokens: list[Token]) -> bool:
    """Whether a statement of these tokens has a tree, and is no command."""
    return tokens[0].is_word(*_QUERIES) or tokens[0].is_mark("(")


def parse_statement(tokens: list[Token], text: str) -> Statement:
    """The statement that these tokens of `text` are."""
    start, end = tokens[0].start, tokens[-1].end
    try:
        tree: exp.Expression | Command | None = parse_command(tokens, text)
        if tree is None:
            if not is_query(tokens):
                raise near(text, tokens[0])
            tree = parse_tree(tokens, text)
    except SqlSyntaxError as error:
        after = lex(" " * end + text[end:]) if error.position > len(text) else []
        if not after:
            raise
        raise near(text, after[0]) from None  # what ends the statement is no end of the text
    return Statement(text[start:end], start, end, tree, tuple(tokens))


def parse_query(tokens: list[Token], text: str) -> exp.Expression:
    """A SELECT, VALUES, WITH, TABLE, INSERT, UPDATE or DELETE as a tree."""
    if not tokens:
        raise near(text, None)
    if not is_query(tokens):
        raise near(text, tokens[0])
    return parse_tree(tokens, text)


def parse_expression(text: str) -> exp.Expression:
    """A lone expression, as defaults and checks are kept."""
    return parse_expression_tokens(lex(text), text)


def parse_expression_tokens(tokens: list[Token], text: str) -> exp.Expression:
    """A lone expression from tokens: it is read as the select list of a query."""
    if not tokens:
        raise near(text, None)
    select = Token(Kind.WORD, "select", tokens[0].start, tokens[0].start)
    tree = parse_tree([select, *tokens], text)
    if not isinstance(tree, exp.Select) or {k for k, v in tree.args.items() if v} != {"expressions"}:
        raise near(text, tokens[-1])
    found: list[exp.Expression] = tree.expressions
    if len(found) != 1 or isinstance(found[0], exp.Alias):
        raise near(text, tokens[-1])
    return found[0]


def parse_tree(tokens: list[Token], text: str) -> exp.Expression:
    """What sqlglot makes of the tokens of one statement, with marks in their places."""
    if _is_merge(tokens):
        return parse_merge(tokens, text, Parsers(parse_tree, parse_expression_tokens))
    if tokens[0].is_word("replace"):  # it is an INSERT in all but what it does
        inserting = parse_tree([tokens[0]._replace(text="insert"), *tokens[1:]], text)
        inserting.set("replace", True)
        return inserting
    refuse_in_with(tokens)
    tokens = values_as_queries(tokens)
    rewritten = rewrite(tokens, text)
    try:
        trees = PostgresParser(dialect="postgres").parse(rewritten.tokens, text)
    except (ParseError, TokenError) as error:
        raise near(text, _blamed(error, tokens, rewritten)) from None
    except RecursionError:
        raise StatementTooComplex(
            "stack depth limit exceeded",
            hint="Split the statement, or write fewer levels of parentheses.",
        ) from None
    if not rewritten.closed:
        raise near(text, None)
    tree = trees[0] if trees else None
    if len(trees) != 1 or not isinstance(tree, exp.Expression):
        raise near(text, tokens[0])
    if isinstance(tree, exp.Column):  # TABLE or VALUES alone
        raise near(text, None)
    if isinstance(tree, exp.Command | exp.Alias):
        raise FeatureNotSupported(f"statement {tokens[0].text.upper()} is not supported")
    restored = restore(tree, rewritten)
    ordered = put_in_order(restored) if rewritten.prefixes else restored
    return _completed(places.put(ordered, tokens), rewritten, text)


def _completed(tree: exp.Expression, rewritten: Rewritten, text: str) -> exp.Expression:
    """The tree with what the parser does not read: OVERRIDING, SEARCH and CYCLE. It has to be whole."""
    nothing = isinstance(tree, exp.Insert) and tree.expression is None and not tree.args.get("default")
    if nothing or (isinstance(tree, exp.Update) and not tree.expressions):
        raise near(text, None)
    if rewritten.overriding:
        inserts = sorted(tree.find_all(exp.Insert), key=lambda insert: position_of(insert.this))
        for number, word in rewritten.overriding.items():
            inserts[number - 1].set("overriding", word)
    if any(rewritten.clauses.values()):
        items = sorted(tree.find_all(exp.CTE), key=lambda item: position_of(item.args["alias"].this))
        for number, clauses in rewritten.clauses.items():
            for clause in clauses:
                items[number - 1].set("cycle" if isinstance(clause, Cycle) else "search", clause)
                if isinstance(clause, Cycle) and clause.value:
                    marks = (clause.value, clause.default)
                    trees = [parse_expression_tokens(list(tokens), text) for tokens in marks]
                    items[number - 1].set("marks", trees)
    return tree


def _is_merge(tokens: list[Token]) -> bool:
    """Whether this is a MERGE, perhaps behind a WITH."""
    if not tokens[0].is_word("with"):
        return tokens[0].is_word("merge")
    return any(before.is_mark(")") and token.is_word("merge") for before, token in pairwise(tokens))


def _blamed(error: ParseError | TokenError, tokens: list[Token], rewritten: Rewritten) -> Token | None:
    """The token that a parser's error points at; None: the end."""
    errors = getattr(error, "errors", None) or [{}]
    index = (errors[0].get("line") or 1) - 2
    if index == len(tokens) - 1 and not (rewritten.complete and rewritten.closed):
        return None
    return tokens[index] if 0 <= index < len(tokens) else None


def restore(tree: exp.Expression, rewritten: Rewritten) -> exp.Expression:
    """Put names and marks where rewriting put their stand-ins."""
    marks = rewritten.marks
    for node in tree.walk():
        if isinstance(node, exp.Identifier | exp.Literal | exp.Var):
            text = node.args["this"]
            if isinstance(text, str):
                if text[:1] == NAME:
                    node.args["this"] = text[1:]
                elif text[:1] == MARK:
                    node.args["this"] = _name_or_mark(node, marks[int(text[1:])])
    return tree


def _name_or_mark(node: exp.Expression, mark: Mark) -> Mark | str:
    """What looked like a call may be a name with a list of columns behind it: x(a, b)."""
    if isinstance(mark, FunctionMark) and not mark.form and not isinstance(node.parent, exp.Anonymous):
        if len(mark.names) > 1:
            raise SqlSyntaxError(f'syntax error at or near "{mark.names[0]}"', position=mark.position)
        return mark.name
    return mark
