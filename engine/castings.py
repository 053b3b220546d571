"""The table of casts: PostgreSQL's pg_cast for the types there are, and the product's own.

A line is `source:context targets`; i implicitly, a in assignments, e only when written. Besides these,
every type casts to text in assignments and from text when written (by its input and output functions),
and an array casts as its elements do.
"""

from __future__ import annotations

from typing import Literal

from storage.types import BY_NAME, RECORD, Type

Letter = Literal["i", "a", "e"]

_TABLE = """
bool:a text bpchar varchar
bool:e int4
char:a bpchar varchar
char:e int4
char:i text
name:a bpchar varchar
name:i text
int8:a int2 int4
int8:i regproc oid float4 float8 numeric regprocedure regoper regclass regtype regnamespace regrole
int8:a money
int8:i regoperator regcollation
int2:i int8 int4 regproc oid float4 float8 numeric regprocedure regoper regclass regtype regnamespace regrole
int2:i regoperator regcollation
int4:a int2 money
int4:e bool char
int4:i int8 regproc oid float4 float8 numeric regprocedure regoper regclass regtype regnamespace regrole
int4:i regoperator regcollation
regproc:a int8 int4
regproc:i oid regprocedure
text:a char
text:i name bpchar varchar regclass
oid:a int8 int4
oid:i regproc regprocedure regoper regoperator regclass regtype regnamespace regrole regcollation
json:a jsonb
pg_node_tree:i text
float4:a int8 int2 int4 numeric
float4:i float8
float8:a int8 int2 int4 float4 numeric
inet:a text bpchar varchar cidr
cidr:a text bpchar varchar
cidr:i inet
macaddr:i macaddr8
macaddr8:i macaddr
bpchar:a char
bpchar:i name text varchar
varchar:a char
varchar:i name text bpchar regclass
date:i timestamp timestamptz
time:i interval timetz
timetz:a time
timestamp:a date time
timestamp:i timestamptz
timestamptz:a date time timetz timestamp
interval:a time
numeric:a int8 int2 int4 money
money:a numeric
xid8:e xid
numeric:i float4 float8
regprocedure:a int8 int4
regprocedure:i regproc oid
regoper:a int8 int4
regoper:i oid regoperator
regoperator:a int8 int4
regoperator:i oid regoper
regclass:a int8 int4
regclass:i oid
regtype:a int8 int4
regtype:i oid
jsonb:a json
jsonb:e bool int8 int2 int4 float4 float8 numeric
regnamespace:a int8 int4
regnamespace:i oid
regrole:a int8 int4
regrole:i oid
regcollation:a int8 int4
regcollation:i oid
int2vector:i _int2
oidvector:i _oid
bit:i varbit bytea binary
bit:e int8 int4
varbit:i bit
int8:e bit
int4:e bit
int4range:e int4multirange
int8range:e int8multirange
numrange:e nummultirange
daterange:e datemultirange
tsrange:e tsmultirange
tstzrange:e tstzmultirange
bytea:i binary
binary:i bytea
binary:a vector halfvec vector_f64 vector_i8 vector_i16 vector_i32 vector_i64
vector:i _float4 halfvec sparsevec
vector:a binary _float8 vector_f64 vector_i8 vector_i16 vector_i32 vector_i64
halfvec:i sparsevec
halfvec:a vector _float4 _float8 binary vector_f64 vector_i8 vector_i16 vector_i32 vector_i64
sparsevec:a vector halfvec
vector_f64:a vector halfvec binary _float8 vector_i8 vector_i16 vector_i32 vector_i64
vector_i8:a vector halfvec binary vector_f64 vector_i16 vector_i32 vector_i64 _int2 _int4 _int8 _float8
vector_i16:a vector halfvec binary vector_f64 vector_i8 vector_i32 vector_i64 _int2 _int4 _int8 _float8
vector_i32:a vector halfvec binary vector_f64 vector_i8 vector_i16 vector_i64 _int4 _int8 _float8
vector_i64:a vector halfvec binary vector_f64 vector_i8 vector_i16 vector_i32 _int8 _float8
_int2:a vector halfvec sparsevec binary vector_f64 vector_i8 vector_i16 vector_i32 vector_i64
_int4:a vector halfvec sparsevec binary vector_f64 vector_i8 vector_i16 vector_i32 vector_i64
_int8:a vector halfvec sparsevec binary vector_f64 vector_i8 vector_i16 vector_i32 vector_i64
_float4:a halfvec sparsevec vector_f64 vector_i8 vector_i16 vector_i32 vector_i64
_float8:a halfvec sparsevec vector_f64 vector_i8 vector_i16 vector_i32 vector_i64
_float4:i vector binary
_float8:i vector binary
_numeric:a vector halfvec sparsevec binary vector_f64 vector_i8 vector_i16 vector_i32 vector_i64
"""


_LETTERS: dict[str, Letter] = {"i": "i", "a": "a", "e": "e"}


def _read() -> dict[tuple[int, int], Letter]:
    found: dict[tuple[int, int], Letter] = {}
    for line in _TABLE.split("\n"):
        head, _, targets = line.partition(" ")
        source, _, letter = head.partition(":")
        for target in targets.split():
            found[BY_NAME[source].oid, BY_NAME[target].oid] = _LETTERS[letter]
    return found


CASTS: dict[tuple[int, int], Letter] = _read()
_TEXTS = frozenset(BY_NAME[name].oid for name in ("text", "varchar", "bpchar", "name"))


def context(source: Type, target: Type) -> Letter | None:
    """Where the cast applies: implicitly, in assignments, only when written; None: there is none."""
    if source.oid == target.oid or source.name == "unknown":
        return "i"
    if source.is_row and RECORD.oid in (source.oid, target.oid):
        # a record is of the row type that is wanted if its fields can be
        return "i" if target.is_row or target.oid == RECORD.oid else "a" if target.oid in _TEXTS else None
    listed = CASTS.get((source.oid, target.oid))
    if listed is not None:
        return listed
    if "P" in (source.category, target.category):
        return None
    if source.element is not None and target.element is not None:
        return context(source.element, target.element)
    if target.oid in _TEXTS:
        return "a"
    return "e" if source.oid in _TEXTS else None
