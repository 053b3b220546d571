"""Type names: reading them off the tokens, and finding the Type they mean.

PostgreSQL's spellings (`double precision`, `character varying(10)`, `timestamp(3) with time zone`,
`pg_catalog."char"`, `oid[]`) and those of MySQL's kin that have a counterpart here (`bigint(11)`,
`datetime`, `double`, `vector(4, F32)`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from engine.forms import sparse, vectors
from sql import unsupported
from sql.marks import TypeName
from sql.tokens import Kind, Token, lex, near
from storage.catalog import Catalog
from storage.definitions import type_defined
from storage.errors import (
    DatabaseError,
    FeatureNotSupported,
    InvalidParameterValue,
    SqlSyntaxError,
    UndefinedObject,
)
from storage.types import (
    BINARY,
    BIT,
    BITS,
    BPCHAR,
    BY_NAME,
    ELEMENTS,
    FLOAT4,
    FLOAT8,
    INTERVAL,
    NUMERIC,
    SPARSEVEC,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    VARBIT,
    VARCHAR,
    VECTOR,
    VECTORS,
    Type,
    array_of,
    binary,
    numeric,
)

# Spellings of one word that mean a type of another name.
ALIASES = {
    "int": "int4",
    "integer": "int4",
    "mediumint": "int4",
    "tinyint": "int2",
    "smallint": "int2",
    "bigint": "int8",
    "boolean": "bool",
    "real": "float4",
    "double": "float8",
    "double precision": "float8",
    "decimal": "numeric",
    "dec": "numeric",
    "char": "bpchar",
    "character": "bpchar",
    "nchar": "bpchar",
    "character varying": "varchar",
    "bit varying": "varbit",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "time without time zone": "time",
    "time with time zone": "timetz",
    "datetime": "timestamp",
    "longtext": "text",
    "mediumtext": "text",
    "tinytext": "text",
    "blob": "bytea",
    "longblob": "bytea",
    "mediumblob": "bytea",
    "tinyblob": "bytea",
    "varbinary": "bytea",
}
# Integers may carry MySQL's display width, which means nothing.
_WIDTHS = frozenset(("int2", "int4", "int8"))
_WORDS = frozenset(ALIASES) | frozenset(BY_NAME) | {"double", "national", "float"}
_MONTHS, _YEARS, _DAYS, _HOURS, _MINUTES, _SECONDS = 1 << 1, 1 << 2, 1 << 3, 1 << 10, 1 << 11, 1 << 12
_INTERVAL_FIELDS = {
    "year": _YEARS,
    "month": _MONTHS,
    "day": _DAYS,
    "hour": _HOURS,
    "minute": _MINUTES,
    "second": _SECONDS,
    "year to month": _YEARS | _MONTHS,
    "day to hour": _DAYS | _HOURS,
    "day to minute": _DAYS | _HOURS | _MINUTES,
    "day to second": _DAYS | _HOURS | _MINUTES | _SECONDS,
    "hour to minute": _HOURS | _MINUTES,
    "hour to second": _HOURS | _MINUTES | _SECONDS,
    "minute to second": _MINUTES | _SECONDS,
}
_FULL_RANGE, _FULL_PRECISION = 0x7FFF, 0xFFFF


def starts_type(token: Token) -> bool:
    """Whether an unquoted word begins the name of a type we know."""
    return token.kind is Kind.WORD and token.text in _WORDS


def read_type(tokens: Sequence[Token], index: int, text: str) -> tuple[TypeName, int]:
    """The type name at `index`, and the index after it. Raises SqlSyntaxError."""
    reader = _Reader(tokens, index, text)
    name = reader.type_name()
    return name, reader.index


def read_interval_fields(tokens: Sequence[Token], index: int) -> tuple[str, int]:
    """The fields behind INTERVAL '...' ('day to second'), '' if there are none, and the index after."""
    words = [t.text if t.kind is Kind.WORD else "" for t in tokens[index : index + 3]]
    if not words or words[0] not in _INTERVAL_FIELDS:
        return "", index
    if len(words) == 3 and words[1] == "to":
        return " ".join(words), index + 3
    return words[0], index + 1


def read_interval_modifiers(tokens: Sequence[Token], index: int, text: str) -> tuple[tuple[str, ...], int]:
    """The fields and the precision behind INTERVAL '...', and the index after them."""
    reader = _Reader(tokens, index, text)
    return reader.interval_modifiers(), reader.index


class _Reader:
    """A place in the tokens, moved on by what is read."""

    def __init__(self, tokens: Sequence[Token], index: int, text: str) -> None:
        self.tokens = tokens
        self.index = index
        self.text = text

    def peek(self, ahead: int = 0) -> Token | None:
        place = self.index + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def words(self, *words: str) -> bool:
        """Step over these words if they stand here."""
        for ahead, word in enumerate(words):
            token = self.peek(ahead)
            if token is None or not token.is_word(word):
                return False
        self.index += len(words)
        return True

    def mark(self, mark: str) -> bool:
        token = self.peek()
        if token is None or not token.is_mark(mark):
            return False
        self.index += 1
        return True

    def type_name(self) -> TypeName:
        token = self.peek()
        if token is None or token.kind not in (Kind.WORD, Kind.QUOTED):
            raise near(self.text, token)
        position = token.position
        self.words("setof")
        names, modifiers = self._names()
        arrays = 0
        while True:
            if self.mark("["):
                size = self.peek()
                if size is not None and size.kind is Kind.NUMBER:
                    self.index += 1
                if not self.mark("]"):
                    raise near(self.text, self.peek())
                arrays += 1
            elif arrays == 0 and self.words("array"):
                arrays = 0 if self._is_bracket() else 1
                if arrays:
                    break
            else:
                break
        return TypeName(names, position, modifiers, arrays)

    def _is_bracket(self) -> bool:
        token = self.peek()
        return token is not None and token.is_mark("[")

    def _names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        token = self.peek()
        assert token is not None
        self.index += 1
        if token.kind is Kind.WORD and not self._dotted():
            return self._spelling(token.text)
        names = [token.text if token.kind is Kind.WORD else _exactly(token.text)]
        while self.mark("."):
            part = self.peek()
            if part is None or part.kind not in (Kind.WORD, Kind.QUOTED):
                raise near(self.text, part)
            self.index += 1
            # behind a schema the names are those of pg_type: pg_catalog.char is "char"
            names.append(_exactly(part.text))
        return tuple(names), self._modifiers()

    def _dotted(self) -> bool:
        token = self.peek()
        return token is not None and token.is_mark(".")

    def _spelling(self, word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if word == "double" and self.words("precision"):
            return ("double precision",), ()
        if word == "national" and (self.words("character") or self.words("char")):
            word = "char"
        if word in ("character", "char", "nchar") and self.words("varying"):
            word = "character varying"
        elif word == "bit" and self.words("varying"):
            word = "bit varying"
        if word == "interval":
            return ("interval",), self.interval_modifiers()
        modifiers = self._modifiers()
        if word in ("timestamp", "time"):
            if self.words("with", "time", "zone"):
                word += " with time zone"
            else:
                self.words("without", "time", "zone")
        return (word,), modifiers

    def interval_modifiers(self) -> tuple[str, ...]:
        fields, self.index = read_interval_fields(self.tokens, self.index)
        precision = self._modifiers()
        return ((fields,) if fields else ()) + precision

    def _modifiers(self) -> tuple[str, ...]:
        if not self.mark("("):
            return ()
        found: list[str] = []
        while True:
            token = self.peek()
            sign = ""
            if token is not None and token.kind is Kind.OPERATOR and token.text == "-":
                sign, self.index = "-", self.index + 1
                token = self.peek()
            if token is None or token.kind not in (Kind.NUMBER, Kind.WORD, Kind.STRING):
                raise near(self.text, token)
            found.append(sign + token.text)
            self.index += 1
            if self.mark(")"):
                return tuple(found)
            if not self.mark(","):
                raise near(self.text, self.peek())


def _exactly(name: str) -> str:
    """A name that is not to be read as a spelling: "char" is not char."""
    return f'"{name}"'


Lookup = Callable[[tuple[str, ...]], Type | None]
"""Finds a type of the catalog by its name, perhaps behind a schema's."""


def named(catalog: Catalog, path: Iterable[str]) -> Lookup:
    """What finds the catalog's own types along a search path."""

    def find(parts: tuple[str, ...]) -> Type | None:
        for place in parts[:-1][-1:] or path:
            schema = catalog.schema(place)
            if schema is None:
                continue
            made = catalog.type_named(schema.oid, parts[-1])
            type = type_defined(made or catalog.relation(schema.oid, parts[-1]))
            if type is not None:
                return type
        return None

    return find


def type_of(name: TypeName | str, types: Lookup | None = None) -> Type:
    """The type that a name means; `types` knows those of the catalog.

    Raises UndefinedObject (42704) at the name's place, or FeatureNotSupported for a type that only
    PostgreSQL has.
    """
    if isinstance(name, str):
        tokens = lex(name)
        found, end = read_type(tokens, 0, name)
        if end != len(tokens):
            raise near(name, tokens[end])
        name = found
    type = _made(name, types) or _scalar(name)
    for _ in range(name.arrays):
        type = array_of(type)
    return type


def _made(name: TypeName, types: Lookup | None) -> Type | None:
    """A type of the catalog; those of pg_catalog stand before it unless its schema is said."""
    parts = tuple(part[1:-1] if part.startswith('"') else part for part in name.names)
    if types is None or (len(parts) == 1 and (parts[0] in BY_NAME or name.names[0] in _WORDS)):
        return None
    found = types(parts)
    if found is not None and name.modifiers:
        shown = f'type modifier is not allowed for type "{found.name}"'
        raise SqlSyntaxError(shown, position=name.position)
    return found


def _scalar(name: TypeName) -> Type:
    spelled = name.names[-1]
    if spelled.startswith('"'):
        key = spelled[1:-1]
        if len(name.names) > 1 and name.names[0].strip('"') not in ("pg_catalog", "public"):
            raise _undefined(name)
    else:
        key = ALIASES.get(spelled, spelled)
        if spelled == "float":
            return _float(name)
        if key == "bpchar":
            return _character(name)
        if key == "bit":
            return _length(BIT, "bit", name, default=1)
    type = BY_NAME.get(key)
    if type is None or (type.category == "P" and key not in ("void", "record", "cstring")):
        raise _undefined(name)
    return _modified(type, name)


def _undefined(name: TypeName) -> DatabaseError:
    shown = ".".join(part.strip('"') for part in name.names)
    last = name.names[-1].strip('"')
    if last in unsupported.TYPES and len(name.names) == 1 + (name.names[0] == "pg_catalog"):
        return FeatureNotSupported(f"type {shown} is not supported", position=name.position)
    return UndefinedObject(f'type "{shown}" does not exist', position=name.position)


def _float(name: TypeName) -> Type:
    if not name.modifiers:
        return FLOAT8
    bits = _number(name, 0)
    if bits < 1:
        raise InvalidParameterValue("precision for type float must be at least 1 bit", position=name.position)
    if bits > 53:
        raise InvalidParameterValue(
            "precision for type float must be less than 54 bits", position=name.position
        )
    return FLOAT4 if bits <= 24 else FLOAT8


def _character(name: TypeName) -> Type:
    if name.names[-1] == "bpchar" and not name.modifiers:
        return BPCHAR
    return _length(BPCHAR, "char", name, default=1)


def _modified(type: Type, name: TypeName) -> Type:
    if not name.modifiers:
        return type
    if type.name in _WIDTHS and not name.names[-1].startswith('"'):
        _number(name, 0)
        return type
    if type is VARCHAR:
        return _length(VARCHAR, "varchar", name)
    if type is BPCHAR:
        return _length(BPCHAR, "char", name)
    if type is NUMERIC:
        return _numeric(name)
    if type in (TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ):
        return type.of(min(_number(name, 0), 6))
    if type is INTERVAL:
        return _interval(name)
    if type is BINARY:
        return binary(_width(name, 1 << 24))
    if type is SPARSEVEC:
        return type.of(_dimensions(name, type.name, sparse.MOST_DIMENSIONS))
    if type.oid in VECTORS:
        return _vector(type, name)
    if type is VARBIT:
        return _length(VARBIT, "varbit", name)
    if name.names[-1] == "varbinary":
        return type
    raise SqlSyntaxError(f'type modifier is not allowed for type "{type.name}"', position=name.position)


def _number(name: TypeName, index: int) -> int:
    try:
        return int(name.modifiers[index])
    except ValueError:
        raise InvalidParameterValue(
            "type modifiers must be simple constants or identifiers", position=name.position
        ) from None


def _length(type: Type, spelled: str, name: TypeName, default: int = 0) -> Type:
    length = _number(name, 0) if name.modifiers else default
    most = 83_886_080 if type.oid in BITS else 10_485_760
    if length < 1:
        message = f"length for type {spelled} must be at least 1"
        raise InvalidParameterValue(message, position=name.position)
    if length > most:
        message = f"length for type {spelled} cannot exceed {most}"
        raise InvalidParameterValue(message, position=name.position)
    return type.of(length if type.oid in BITS else length + 4)


def _vector(type: Type, name: TypeName) -> Type:
    """vector(n), and vector(n, element). Raises FeatureNotSupported for an element that there is not."""
    if type is VECTOR and len(name.modifiers) == 2:
        element = name.modifiers[1].upper()
        if element.isdecimal():
            raise InvalidParameterValue("invalid type modifier", position=name.position)
        if element not in ELEMENTS:
            raise FeatureNotSupported(
                f"vectors of {element} are not supported",
                hint=f"Elements may be {', '.join(ELEMENTS)}.",
                position=name.position,
            )
        return ELEMENTS[element].of(_dimensions(name, "vector", vectors.MOST_DIMENSIONS))
    return type.of(_dimensions(name, vectors.words(type), vectors.MOST_DIMENSIONS))


def _dimensions(name: TypeName, spelled: str, most: int) -> int:
    if len(name.modifiers) > 1 and name.modifiers[1].upper() not in ELEMENTS:
        raise InvalidParameterValue("invalid type modifier", position=name.position)
    dimensions = _number(name, 0)
    if dimensions < 1:
        message = f"dimensions for type {spelled} must be at least 1"
        raise InvalidParameterValue(message, position=name.position)
    if dimensions > most:
        message = f"dimensions for type {spelled} cannot exceed {most}"
        raise InvalidParameterValue(message, position=name.position)
    return dimensions


def _width(name: TypeName, most: int) -> int:
    width = _number(name, 0)
    if width < 1:
        raise InvalidParameterValue("length for type binary must be at least 1", position=name.position)
    if width > most:
        message = f"length for type binary cannot exceed {most}"
        raise InvalidParameterValue(message, position=name.position)
    return width


def _numeric(name: TypeName) -> Type:
    precision = _number(name, 0)
    scale = _number(name, 1) if len(name.modifiers) > 1 else 0
    if len(name.modifiers) > 2:
        raise InvalidParameterValue("invalid NUMERIC type modifier", position=name.position)
    if not 1 <= precision <= 1000:
        message = f"NUMERIC precision {precision} must be between 1 and 1000"
        raise InvalidParameterValue(message, position=name.position)
    if not -1000 <= scale <= 1000:
        message = f"NUMERIC scale {scale} must be between -1000 and 1000"
        raise InvalidParameterValue(message, position=name.position)
    return numeric(precision, scale)


def _interval(name: TypeName) -> Type:
    fields, precision = _FULL_RANGE, _FULL_PRECISION
    for modifier in name.modifiers:
        if modifier in _INTERVAL_FIELDS:
            fields = _INTERVAL_FIELDS[modifier]
        else:
            precision = min(int(modifier), 6)
    return INTERVAL.of((fields << 16) | precision)
