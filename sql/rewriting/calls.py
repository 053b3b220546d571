"""Calls whose arguments PostgreSQL separates by words: EXTRACT, SUBSTRING, TRIM, POSITION, OVERLAY."""

from __future__ import annotations

from sql.marks import Literal
from sql.rewriting.place import Frame
from sql.rewriting.writer import Writer, call
from sql.tokens import Kind, Token, near


@call("extract")
def extract(w: Writer, place: int) -> None:
    """extract(field FROM x): the field becomes a string."""
    w.set_names("pg_catalog", "extract")
    field = w.peek(1)
    if field is None or not w.word_at(2, "from") or field.kind not in (Kind.WORD, Kind.QUOTED, Kind.STRING):
        raise near(w.text, w.peek(2))
    w.emit_open(w.tokens[w.index], Frame())
    w.index += 1
    w.emit_mark(Literal(Token(Kind.STRING, field.text, field.start, field.end)), field)
    w.index += 1
    w.separate(w.tokens[w.index])


def framed(w: Writer, kind: str) -> None:
    w.emit_open(w.tokens[w.index], Frame(kind))
    w.comma = w.tokens[w.index]
    w.index += 1


@call("substring")
def substring(w: Writer, place: int) -> None:
    """The words between the arguments, in order, are the form: 'substring for from', 'substring similar'."""
    framed(w, "substring")
    said = [word for word in ("from", "for", "similar") if w.inside_has(word)]
    if said:
        w.set_form(" ".join(("substring", *sorted(said, key=w.inside_at))))


@call("position")
def position(w: Writer, place: int) -> None:
    w.set_form("position")
    framed(w, "position")


@call("overlay")
def overlay(w: Writer, place: int) -> None:
    framed(w, "overlay")
    if w.inside_has("placing"):
        w.set_names("pg_catalog", "overlay")


@call("trim")
def trim(w: Writer, place: int) -> None:
    """trim([LEADING|TRAILING|BOTH] [characters] FROM x); the form says where characters come first."""
    framed(w, "trim")
    token = w.tokens[w.index] if w.index < len(w.tokens) else None
    side = "both"
    if token is not None and token.is_word("leading", "trailing", "both"):
        side = token.text
        w.index += 1
    elif not w.inside_has("from"):
        return
    if w.word_at(0, "from"):
        w.index += 1
        w.set_form(f"trim {side}")
    else:
        w.set_form(f"trim {side} from" if w.inside_has("from") else f"trim {side}")


@call("normalize")
def normalize(w: Writer, place: int) -> None:
    """normalize(x, NFD): the form becomes a string (sql.rewriting.operands); it can be nothing else."""
    framed(w, "normalize")
    depth = 0
    for token in w.tokens[w.index :]:
        depth += token.is_mark("(") - token.is_mark(")")
        if depth < 0:
            break
        if depth == 0 and token.is_mark(","):
            form = w.tokens[w.tokens.index(token) + 1]
            if not form.is_word("nfc", "nfd", "nfkc", "nfkd"):
                raise near(w.text, form)
