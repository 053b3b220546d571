"""PostgreSQL's keywords by category, as pg_get_keywords() gives them.

RESERVED words are never names unless quoted. TYPE_OR_FUNCTION words (T) may name functions and types,
COLUMN_NAMES (C) columns and tables but not functions. Every other word is a name wherever one may stand.
"""


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


RESERVED = words(
    """all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
    create current_catalog current_date current_role current_time current_timestamp current_user default
    deferrable desc distinct do else end except false fetch for foreign from grant group having in initially
    intersect into lateral leading limit localtime localtimestamp not null offset on only or order placing
    primary references returning select session_user some symmetric table then to trailing true union unique
    user using variadic when where window with"""
)

GOING_ON = words(
    """and any as both by case cast check collate distinct else except fetch for from group having in
    intersect into lateral leading limit not offset on or order placing returning some then trailing union
    using variadic when where window with"""
)
"""RESERVED words behind which a query goes on."""

BEHIND_LIST = words("from where group having window union intersect except order limit offset fetch for")
"""RESERVED words, and others, that may follow a select list."""

TYPE_OR_FUNCTION = words(
    """authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull
    join left like natural notnull outer overlaps right similar tablesample verbose"""
)

COLUMN_NAMES = words(
    """between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping
    inout int integer interval least national nchar none normalize nullif numeric out overlay position
    precision real row setof smallint substring time timestamp treat trim values varchar xmlattributes
    xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize
    xmltable"""
)

NO_NAMES = RESERVED | TYPE_OR_FUNCTION
"""What a relation or a column has for a name in quotes only."""

# Words whose quoted form quote_ident needs: a bare one would be read as grammar.
NOT_BARE = RESERVED | TYPE_OR_FUNCTION | COLUMN_NAMES
