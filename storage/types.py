"""SQL types: one row each, with PostgreSQL's names and OIDs, and how their values lie in memory.

`Form` is the physical shape of a column's values, and the only thing kernels and operators branch on:

    FIXED    numpy (rows,) of `dtype`: bool, integers, floats, date (int32 days since 2000-01-01),
             time/timestamp/timestamptz (int64 microseconds since midnight / 2000-01-01 UTC), timetz
             (int64, see storage.timetz), enums (int64: places in the order of the labels, see
             storage.usertypes.EnumType), oid and reg* (uint32), "char" (uint8), interval (structured:
             months i4, days i4, micros i8), macaddr and macaddr8 (int64, see engine.forms.hardware), money
             (int64 cents), pg_lsn and xid8 (int64, the highest of their 64 bits turned over)
    ROWS     numpy (rows, width) of `dtype`: binary(n) uint8, vector(n) float32, halfvec(n) float16, vectors
             of other elements, uuid uint8 x 16. Vectors without a modifier, which need not be of one length,
             are BYTES: their elements, little-endian
    TEXT     Arrow large_string: text, varchar, bpchar, name, json, jsonb, unknown, pg_node_tree, refcursor
    BYTES    Arrow large_binary: bytea; bit and varbit (the bits from the highest down, zeros behind the last,
             then a byte that counts these zeros); ranges and multiranges (see storage.ranges); sparsevec
             (little-endian: int32 dimensions, int32 places from 0 that ascend, then their float32 values,
             none of which is zero)
    DECIMAL  numpy (rows,) of object: decimal.Decimal with its display scale (1.10 stays 1.10)
    LIST     Arrow large_list of the element's Arrow form: arrays; with their bounds beside, where one has
             several dimensions or counts from elsewhere: see storage.lists
    ROW      Arrow struct of the attributes' Arrow forms, named by their numbers: records, composite types

A `Type` with a modifier (varchar(10), binary(4096)) is a value of its own: `type.base` drops it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

import numpy as np

from storage.errors import FeatureNotSupported, UndefinedObject


class Form(Enum):
    """How values lie in memory: see the module's text."""

    FIXED = "fixed"
    ROWS = "rows"
    TEXT = "text"
    BYTES = "bytes"
    DECIMAL = "decimal"
    LIST = "list"
    ROW = "row"


INTERVAL_DTYPE = np.dtype([("months", "<i4"), ("days", "<i4"), ("micros", "<i8")])


class Domain(NamedTuple):
    """The domain that a type stands for: values are those of the type under it that obey it."""

    name: str
    oid: int
    array_oid: int


class Attribute(NamedTuple):
    """A field of a row type. `number` is its attnum: what is kept of a row knows its fields by it."""

    name: str
    type: Type
    number: int


@dataclass(frozen=True, slots=True)
class Type:
    """A SQL type: `name`, `oid` and `array_oid` as in pg_type; `modifier` is PostgreSQL's typmod."""

    name: str
    oid: int
    array_oid: int
    form: Form
    dtype: np.dtype | None  # of FIXED and ROWS values, and of a vector's elements
    size: int  # pg_type.typlen
    category: str  # pg_type.typcategory
    preferred: bool = False
    sql_name: str = ""  # format_type's name where it is not `name`: 'bigint' for int8
    modifier: int = -1
    element: Type | None = None  # of an array type
    wire: int = 0  # the OID told to clients where it is not `oid`: binary(n) is bytea
    attributes: tuple[Attribute, ...] | None = None  # of a row type, in their order
    domain: Domain | None = None  # `oid` and all else are those of the type under it

    @property
    def base(self) -> Type:
        """The type without its modifier."""
        return self if self.modifier == -1 else self.of(-1)

    @property
    def plain(self) -> Type:
        """The type without its domain."""
        return self if self.domain is None else replace(self, domain=None)

    @property
    def catalog_oid(self) -> int:
        """The OID of its row in pg_type: of the domain where it is one, or of that one's arrays."""
        if self.element is not None and self.element.domain is not None:
            return self.element.domain.array_oid
        return self.oid if self.domain is None else self.domain.oid

    @property
    def single(self) -> Type:
        """What an array type is of; a type that is none, or a domain, itself."""
        return self if self.element is None or self.domain is not None else self.element

    @property
    def wire_oid(self) -> int:
        """The OID that RowDescription and ParameterDescription name."""
        if self.element is not None and self.element.domain is not None:
            return self.catalog_oid
        return self.wire or self.oid

    @property
    def width(self) -> int:
        """Elements a row of a ROWS type: n of binary(n) and of vectors, 16 of uuid; -1 if unbounded."""
        return 16 if self.oid == UUID.oid else self.modifier

    @property
    def is_array(self) -> bool:
        return self.element is not None

    @property
    def declared(self) -> str:
        """The name under which operators that compare it are declared: arrays, enums, rows share one."""
        if self.element is not None:
            return "anyarray"
        if self.category == "R":
            return "anyrange" if self.oid in SUBTYPES else "anymultirange"
        return "anyenum" if self.is_enum else "record" if self.is_row else self.name

    @property
    def is_enum(self) -> bool:
        return self.category == "E"

    @property
    def is_row(self) -> bool:
        """Whether values are rows with known fields: of a composite type, of a table's, or anonymous ones."""
        return self.attributes is not None

    @property
    def is_composite(self) -> bool:
        """Whether values are rows of a type of the catalog."""
        return self.category == "C"

    def of(self, modifier: int) -> Type:
        """The type with PostgreSQL's typmod `modifier`."""
        if self.oid in VECTORS:
            return replace(self, modifier=modifier, form=Form.ROWS if modifier >= 0 else Form.BYTES)
        if self.element is not None:
            return replace(self, modifier=modifier, element=self.element.of(modifier))
        return replace(self, modifier=modifier)

    @property
    def is_ragged(self) -> bool:
        """Whether it is the type of vectors of any length."""
        return self.form is Form.BYTES and self.dtype is not None

    def __str__(self) -> str:
        return format_type(self)


def _row(
    name: str,
    oid: int,
    array_oid: int,
    form: Form,
    dtype: str | None,
    size: int,
    category: str,
    preferred: bool = False,
    sql_name: str = "",
    wire: int = 0,
) -> Type:
    return Type(
        name,
        oid,
        array_oid,
        form,
        None if dtype is None else np.dtype(dtype),
        size,
        category,
        preferred,
        sql_name or name,
        wire=wire,
    )


FIXED, ROWS, BYTES, TEXTUAL = Form.FIXED, Form.ROWS, Form.BYTES, Form.TEXT

# fmt: off
BOOL        = _row("bool", 16, 1000, FIXED, "?", 1, "B", True, "boolean")
BYTEA       = _row("bytea", 17, 1001, Form.BYTES, None, -1, "U")
CHAR        = _row("char", 18, 1002, FIXED, "u1", 1, "Z", sql_name='"char"')
NAME        = _row("name", 19, 1003, TEXTUAL, None, 64, "S")
INT8        = _row("int8", 20, 1016, FIXED, "<i8", 8, "N", sql_name="bigint")
INT2        = _row("int2", 21, 1005, FIXED, "<i2", 2, "N", sql_name="smallint")
INT4        = _row("int4", 23, 1007, FIXED, "<i4", 4, "N", sql_name="integer")
REGPROC     = _row("regproc", 24, 1008, FIXED, "<u4", 4, "N")
TEXT        = _row("text", 25, 1009, TEXTUAL, None, -1, "S", True)
OID         = _row("oid", 26, 1028, FIXED, "<u4", 4, "N", True)
TID         = _row("tid", 27, 1010, FIXED, "<i8", 6, "U")
XID         = _row("xid", 28, 1011, FIXED, "<u4", 4, "U")
CID         = _row("cid", 29, 1012, FIXED, "<u4", 4, "U")
JSON        = _row("json", 114, 199, TEXTUAL, None, -1, "U")
XML         = _row("xml", 142, 143, TEXTUAL, None, -1, "U")
PG_NODE_TREE = _row("pg_node_tree", 194, 0, TEXTUAL, None, -1, "Z")
FLOAT4      = _row("float4", 700, 1021, FIXED, "<f4", 4, "N", sql_name="real")
FLOAT8      = _row("float8", 701, 1022, FIXED, "<f8", 8, "N", True, "double precision")
UNKNOWN     = _row("unknown", 705, 0, TEXTUAL, None, -2, "X")
CIDR        = _row("cidr", 650, 651, TEXTUAL, None, -1, "I")
INET        = _row("inet", 869, 1041, TEXTUAL, None, -1, "I", True)
MACADDR     = _row("macaddr", 829, 1040, FIXED, "<i8", 6, "U")
MACADDR8    = _row("macaddr8", 774, 775, FIXED, "<i8", 8, "U")
MONEY       = _row("money", 790, 791, FIXED, "<i8", 8, "N")
ACLITEM     = _row("aclitem", 1033, 1034, TEXTUAL, None, 12, "U")
BPCHAR      = _row("bpchar", 1042, 1014, TEXTUAL, None, -1, "S", sql_name="character")
VARCHAR     = _row("varchar", 1043, 1015, TEXTUAL, None, -1, "S", sql_name="character varying")
DATE        = _row("date", 1082, 1182, FIXED, "<i4", 4, "D")
TIME        = _row("time", 1083, 1183, FIXED, "<i8", 8, "D", sql_name="time without time zone")
TIMETZ      = _row("timetz", 1266, 1270, FIXED, "<i8", 12, "D", sql_name="time with time zone")
TIMESTAMP   = _row("timestamp", 1114, 1115, FIXED, "<i8", 8, "D", sql_name="timestamp without time zone")
TIMESTAMPTZ = _row("timestamptz", 1184, 1185, FIXED, "<i8", 8, "D", True, "timestamp with time zone")
INTERVAL    = Type("interval", 1186, 1187, FIXED, INTERVAL_DTYPE, 16, "T", True, "interval")
BIT         = _row("bit", 1560, 1561, Form.BYTES, None, -1, "V")
VARBIT      = _row("varbit", 1562, 1563, Form.BYTES, None, -1, "V", True, "bit varying")
NUMERIC     = _row("numeric", 1700, 1231, Form.DECIMAL, None, -1, "N")
REGPROCEDURE = _row("regprocedure", 2202, 2207, FIXED, "<u4", 4, "N")
REGOPER     = _row("regoper", 2203, 2208, FIXED, "<u4", 4, "N")
REGOPERATOR = _row("regoperator", 2204, 2209, FIXED, "<u4", 4, "N")
REGCLASS    = _row("regclass", 2205, 2210, FIXED, "<u4", 4, "N")
REGTYPE     = _row("regtype", 2206, 2211, FIXED, "<u4", 4, "N")
VOID        = _row("void", 2278, 0, TEXTUAL, None, 4, "P")
REFCURSOR   = _row("refcursor", 1790, 2201, TEXTUAL, None, -1, "U")
UUID        = _row("uuid", 2950, 2951, ROWS, "u1", 16, "U")
PG_LSN      = _row("pg_lsn", 3220, 3221, FIXED, "<i8", 8, "U")
XID8        = _row("xid8", 5069, 271, FIXED, "<i8", 8, "U")
JSONPATH    = _row("jsonpath", 4072, 4073, TEXTUAL, None, -1, "U")
JSONB       = _row("jsonb", 3802, 3807, TEXTUAL, None, -1, "U")
REGNAMESPACE = _row("regnamespace", 4089, 4090, FIXED, "<u4", 4, "N")
REGROLE     = _row("regrole", 4096, 4097, FIXED, "<u4", 4, "N")
REGCOLLATION = _row("regcollation", 4191, 4192, FIXED, "<u4", 4, "N")
# The product's own types: OIDs above PostgreSQL's built-in ones and below those of user objects.
BINARY      = _row("binary", 15001, 15002, ROWS, "u1", -1, "U", wire=BYTEA.oid)
VECTOR      = _row("vector", 15003, 15004, BYTES, "<f4", -1, "U")
HALFVEC     = _row("halfvec", 15005, 15006, BYTES, "<f2", -1, "U")
SPARSEVEC   = _row("sparsevec", 15007, 15008, Form.BYTES, None, -1, "U")
VECTOR_F64  = _row("vector_f64", 15009, 15010, BYTES, "<f8", -1, "U")
VECTOR_I8   = _row("vector_i8", 15011, 15012, BYTES, "i1", -1, "U")
VECTOR_I16  = _row("vector_i16", 15013, 15014, BYTES, "<i2", -1, "U")
VECTOR_I32  = _row("vector_i32", 15015, 15016, BYTES, "<i4", -1, "U")
VECTOR_I64  = _row("vector_i64", 15017, 15018, BYTES, "<i8", -1, "U")
INT4RANGE   = _row("int4range", 3904, 3905, Form.BYTES, None, -1, "R")
NUMRANGE    = _row("numrange", 3906, 3907, Form.BYTES, None, -1, "R")
TSRANGE     = _row("tsrange", 3908, 3909, Form.BYTES, None, -1, "R")
TSTZRANGE   = _row("tstzrange", 3910, 3911, Form.BYTES, None, -1, "R")
DATERANGE   = _row("daterange", 3912, 3913, Form.BYTES, None, -1, "R")
INT8RANGE   = _row("int8range", 3926, 3927, Form.BYTES, None, -1, "R")
INT4MULTIRANGE = _row("int4multirange", 4451, 6150, Form.BYTES, None, -1, "R")
NUMMULTIRANGE = _row("nummultirange", 4532, 6151, Form.BYTES, None, -1, "R")
TSMULTIRANGE = _row("tsmultirange", 4533, 6152, Form.BYTES, None, -1, "R")
TSTZMULTIRANGE = _row("tstzmultirange", 4534, 6153, Form.BYTES, None, -1, "R")
DATEMULTIRANGE = _row("datemultirange", 4535, 6155, Form.BYTES, None, -1, "R")
INT8MULTIRANGE = _row("int8multirange", 4536, 6157, Form.BYTES, None, -1, "R")
# Pseudo-types: they stand in signatures of functions only, never in a column.
ANYELEMENT  = _row("anyelement", 2283, 0, TEXTUAL, None, 4, "P")
ANYARRAY    = _row("anyarray", 2277, 0, TEXTUAL, None, -1, "P")
ANYNONARRAY = _row("anynonarray", 2776, 0, TEXTUAL, None, 4, "P")
ANYENUM     = _row("anyenum", 3500, 0, TEXTUAL, None, 4, "P")
ANYRANGE    = _row("anyrange", 3831, 0, TEXTUAL, None, -1, "P")
ANYMULTIRANGE = _row("anymultirange", 4537, 0, TEXTUAL, None, -1, "P")
ANYCOMPATIBLE = _row("anycompatible", 5077, 0, TEXTUAL, None, 4, "P")
ANYCOMPATIBLEARRAY = _row("anycompatiblearray", 5078, 0, TEXTUAL, None, -1, "P")
ANYCOMPATIBLENONARRAY = _row("anycompatiblenonarray", 5079, 0, TEXTUAL, None, 4, "P")
ANY         = _row("any", 2276, 0, TEXTUAL, None, 4, "P", sql_name='"any"')
RECORD      = _row("record", 2249, 2287, TEXTUAL, None, -1, "P")
CSTRING     = _row("cstring", 2275, 1263, TEXTUAL, None, -2, "P")
# fmt: on

# Vectors PostgreSQL keeps in its catalog: arrays that count from 0.
INT2VECTOR = Type("int2vector", 22, 1006, Form.LIST, None, -1, "A", False, "int2vector", element=INT2)
OIDVECTOR = Type("oidvector", 30, 1013, Form.LIST, None, -1, "A", False, "oidvector", element=OID)

SCALARS: tuple[Type, ...] = tuple(value for value in list(vars().values()) if isinstance(value, Type))


def array_of(element: Type) -> Type:
    """The array type whose elements are `element`.

    Raises UndefinedObject where PostgreSQL has none (an array of an array is the array itself).
    """
    if element.is_array and element.domain is not None:
        raise FeatureNotSupported(f"arrays of {element}, a domain over arrays, are not supported")
    if element.is_array:
        return element
    if not element.array_oid:
        raise UndefinedObject(f"could not find array type for data type {element}")
    return Type(
        "_" + element.name,
        element.array_oid,
        0,
        Form.LIST,
        None,
        -1,
        "A",
        sql_name=f"{element.sql_name}[]",
        modifier=element.modifier,
        element=element,
    )


TYPES: tuple[Type, ...] = SCALARS + tuple(array_of(t) for t in SCALARS if t.array_oid and not t.is_array)
BY_OID: dict[int, Type] = {type.oid: type for type in TYPES}
BY_NAME: dict[str, Type] = {type.name: type for type in TYPES}

_BARE = re.compile(r"[a-z_][a-z0-9_$]*")


def _shown(name: str) -> str:
    return name if _BARE.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def enum(name: str, oid: int, array_oid: int) -> Type:
    """The type of an enum's values. Its labels are the catalog's to tell."""
    return Type(name, oid, array_oid, FIXED, np.dtype("<i8"), 4, "E", sql_name=_shown(name))


def composite(name: str, oid: int, array_oid: int, attributes: Iterable[Attribute]) -> Type:
    """The type of rows with these fields: of CREATE TYPE, or of a table's or view's rows."""
    shown = _shown(name)
    return Type(name, oid, array_oid, Form.ROW, None, -1, "C", sql_name=shown, attributes=tuple(attributes))


def record(fields: Iterable[tuple[str, Type]]) -> Type:
    """The type of anonymous rows with these fields."""
    attributes = tuple(Attribute(name, type, number) for number, (name, type) in enumerate(fields, 1))
    return replace(RECORD, form=Form.ROW, attributes=attributes)


def refreshed(type: Type, new: Type) -> Type:
    """A type with `new` in place of what has its OID: itself, its element, or a field at any depth."""
    if type.catalog_oid == new.catalog_oid:
        return new if new.domain is not None else new.of(type.modifier)
    if type.element is not None:
        element = refreshed(type.element, new)
        return type if element is type.element else replace(type, element=element, sql_name=f"{element}[]")
    if type.attributes is None:
        return type
    attributes = tuple(a._replace(type=refreshed(a.type, new)) for a in type.attributes)
    return type if attributes == type.attributes else replace(type, attributes=attributes)


RANGES = {
    INT4RANGE.oid: (INT4, INT4MULTIRANGE),
    NUMRANGE.oid: (NUMERIC, NUMMULTIRANGE),
    TSRANGE.oid: (TIMESTAMP, TSMULTIRANGE),
    TSTZRANGE.oid: (TIMESTAMPTZ, TSTZMULTIRANGE),
    DATERANGE.oid: (DATE, DATEMULTIRANGE),
    INT8RANGE.oid: (INT8, INT8MULTIRANGE),
}
"""Of each range type the type of its bounds, and that of its multiranges."""
SUBTYPES = {oid: subtype for oid, (subtype, _) in RANGES.items()}
RANGE_OF = {multirange.oid: BY_OID[oid] for oid, (_, multirange) in RANGES.items()}
"""The range type of a multirange's."""
NUMRANGES = frozenset((NUMRANGE.oid, NUMMULTIRANGE.oid))
INTEGERS = (INT2, INT4, INT8)
ELEMENTS = {
    "F16": HALFVEC,
    "F32": VECTOR,
    "F64": VECTOR_F64,
    "I8": VECTOR_I8,
    "I16": VECTOR_I16,
    "I32": VECTOR_I32,
    "I64": VECTOR_I64,
}
"""The type of `vector(n, element)` for each element."""
VECTORS = frozenset(type.oid for type in ELEMENTS.values())
"""OIDs of the types whose rows are the elements of a vector."""
BITS = frozenset((BIT.oid, VARBIT.oid))
_LETTERS = {type.oid: element for element, type in ELEMENTS.items() if type.name.startswith("vector_")}
REG_TYPES = (
    *(REGPROC, REGPROCEDURE, REGOPER, REGOPERATOR),
    *(REGCLASS, REGTYPE, REGNAMESPACE, REGROLE, REGCOLLATION),
)
_FRACTIONAL = (TIME.oid, TIMETZ.oid, TIMESTAMP.oid, TIMESTAMPTZ.oid)


def spelled(type: Type) -> str:
    """The type in words that mean just it: `character` and `bit` alone would have the length 1."""
    if type.element is not None and type.name.startswith("_") and type.domain is None:
        return spelled(type.element if type.modifier == -1 else type.element.of(type.modifier)) + "[]"
    if type.modifier == -1 and type.domain is None and type.oid in (BPCHAR.oid, BIT.oid):
        return "bpchar" if type.oid == BPCHAR.oid else '"bit"'
    return format_type(type)


def format_type(type: Type) -> str:
    """The SQL spelling of a type with its modifier, as PostgreSQL's format_type prints it."""
    if type.domain is not None:
        return _shown(type.domain.name)
    if type.element is not None and type.name.startswith("_"):
        element = type.element if type.modifier == -1 else type.element.of(type.modifier)
        return format_type(element) + "[]"
    if type.modifier == -1:
        return type.sql_name
    if type.oid in (VARCHAR.oid, BPCHAR.oid):
        return f"{type.sql_name}({type.modifier - 4})"
    if type.oid == NUMERIC.oid:
        precision, scale = numeric_modifier(type)
        return f"numeric({precision},{scale})"
    if type.oid in _LETTERS:
        return f"vector({type.modifier},{_LETTERS[type.oid]})"
    if type.oid == INTERVAL.oid:
        return _interval(type.modifier)
    if type.oid in _FRACTIONAL:
        first, _, rest = type.sql_name.partition(" ")
        return f"{first}({type.modifier}) {rest}".rstrip()
    return f"{type.sql_name}({type.modifier})"


_FIELDS = ((2, "year"), (1, "month"), (3, "day"), (10, "hour"), (11, "minute"), (12, "second"))
_EVERY_FIELD, _FULL_PRECISION = 0x7FFF, 0xFFFF


def _interval(modifier: int) -> str:
    """interval day to second(3): the fields of bits 16 and up, and the precision."""
    fields, precision = modifier >> 16 & _EVERY_FIELD, modifier & 0xFFFF
    names = [name for bit, name in _FIELDS if fields >> bit & 1] if fields != _EVERY_FIELD else []
    shown = " to ".join(dict.fromkeys((names[0], names[-1]))) if names else ""
    digits = "" if precision == _FULL_PRECISION else f"({precision})"
    return f"interval {shown}".rstrip() + digits


def numeric_modifier(type: Type) -> tuple[int, int]:
    """(precision, scale) of numeric(p, s)."""
    packed = type.modifier - 4
    return packed >> 16, ((packed & 0x7FF) ^ 0x400) - 0x400


def numeric(precision: int, scale: int = 0) -> Type:
    """numeric(precision, scale); the scale may be negative, or greater than the precision."""
    return NUMERIC.of(((precision << 16) | (scale & 0x7FF)) + 4)


def varchar(length: int) -> Type:
    """varchar(length)."""
    return VARCHAR.of(length + 4)


def binary(width: int) -> Type:
    """binary(width): `width` bytes a row."""
    return BINARY.of(width)


def vector(dimensions: int) -> Type:
    """vector(dimensions) of float32."""
    return VECTOR.of(dimensions)
