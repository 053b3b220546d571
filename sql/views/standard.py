"""Views that are SQL: PostgreSQL's convenience views and the standard's information_schema."""

from __future__ import annotations

from sql.views.registry import sql_view

sql_view(
    "pg_catalog",
    "pg_tables",
    """
    SELECT n.nspname AS schemaname, c.relname AS tablename, pg_get_userbyid(c.relowner) AS tableowner,
           NULL::name AS tablespace, c.relhasindex AS hasindexes, c.relhasrules AS hasrules,
           c.relhastriggers AS hastriggers, c.relrowsecurity AS rowsecurity
    FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
    """,
)

sql_view(
    "pg_catalog",
    "pg_views",
    """
    SELECT n.nspname AS schemaname, c.relname AS viewname, pg_get_userbyid(c.relowner) AS viewowner,
           pg_get_viewdef(c.oid) AS definition
    FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'v'
    """,
)

sql_view(
    "pg_catalog",
    "pg_matviews",
    """
    SELECT n.nspname AS schemaname, c.relname AS matviewname, pg_get_userbyid(c.relowner) AS matviewowner,
           NULL::name AS tablespace, c.relhasindex AS hasindexes, c.relispopulated AS ispopulated,
           pg_get_viewdef(c.oid) AS definition
    FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'm'
    """,
)

sql_view(
    "pg_catalog",
    "pg_indexes",
    """
    SELECT n.nspname AS schemaname, c.relname AS tablename, i.relname AS indexname,
           NULL::name AS tablespace, pg_get_indexdef(i.oid) AS indexdef
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    """,
)

sql_view(
    "pg_catalog",
    "pg_sequences",
    """
    SELECT n.nspname AS schemaname, c.relname AS sequencename, pg_get_userbyid(c.relowner) AS sequenceowner,
           s.seqtypid::regtype AS data_type, s.seqstart AS start_value, s.seqmin AS min_value,
           s.seqmax AS max_value, s.seqincrement AS increment_by, s.seqcycle AS cycle,
           s.seqcache AS cache_size, pg_sequence_last_value(c.oid::regclass) AS last_value
    FROM pg_catalog.pg_sequence s
    JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    """,
)

for _scope, _schemas in (
    ("all", "true"),
    ("user", "n.nspname NOT IN ('pg_catalog', 'information_schema')"),
    ("sys", "n.nspname IN ('pg_catalog', 'information_schema')"),
):
    sql_view(
        "pg_catalog",
        f"pg_stat_{_scope}_tables",
        f"""
        SELECT c.oid AS relid, n.nspname AS schemaname, c.relname, 0::int8 AS seq_scan,
               0::int8 AS seq_tup_read, 0::int8 AS idx_scan, 0::int8 AS idx_tup_fetch, 0::int8 AS n_tup_ins,
               0::int8 AS n_tup_upd, 0::int8 AS n_tup_del, 0::int8 AS n_tup_hot_upd,
               pg_stat_get_live_tuples(c.oid) AS n_live_tup, 0::int8 AS n_dead_tup,
               0::int8 AS n_mod_since_analyze, 0::int8 AS n_ins_since_vacuum,
               NULL::timestamptz AS last_vacuum, NULL::timestamptz AS last_autovacuum,
               NULL::timestamptz AS last_analyze, NULL::timestamptz AS last_autoanalyze,
               0::int8 AS vacuum_count, 0::int8 AS autovacuum_count, 0::int8 AS analyze_count,
               0::int8 AS autoanalyze_count
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND {_schemas}
        """,
    )

# rows that a table view of the standard shows: what the user can see, system relations included
_VISIBLE = "c.relkind IN ('r', 'v')"
# the modifier of a column's type, which a domain says for itself
_MODIFIER = "(CASE WHEN dt.typtype = 'd' THEN dt.typtypmod ELSE a.atttypmod END)"
_CHARACTER_SETS = """
           NULL::name AS character_set_catalog, NULL::name AS character_set_schema,
           NULL::name AS character_set_name, NULL::name AS collation_catalog,
           NULL::name AS collation_schema, NULL::name AS collation_name,
"""


def _lengths(modifier: str) -> str:
    """What the standard says of the length of a text type `t`, by the SQL of its modifier."""
    return f"""
           CASE WHEN t.typname IN ('varchar', 'bpchar') AND {modifier} > 0 THEN {modifier} - 4
                WHEN t.typname IN ('bit', 'varbit') AND {modifier} > 0 THEN {modifier}
                END::int4 AS character_maximum_length,
           CASE WHEN t.typname IN ('varchar', 'bpchar') AND {modifier} > 0 THEN 4 * ({modifier} - 4)
                WHEN t.typname IN ('text', 'varchar', 'bpchar') THEN 1073741824
                END::int4 AS character_octet_length,
    """


def _precisions(modifier: str) -> str:
    """What it says of the precision of a number, of a time, of an interval."""
    return f"""
           CASE t.typname WHEN 'int2' THEN 16 WHEN 'int4' THEN 32 WHEN 'int8' THEN 64
                WHEN 'float4' THEN 24 WHEN 'float8' THEN 53
                WHEN 'numeric' THEN CASE WHEN {modifier} > 0 THEN (({modifier} - 4) >> 16) & 65535 END
                END::int4 AS numeric_precision,
           CASE WHEN t.typname IN ('int2', 'int4', 'int8', 'float4', 'float8') THEN 2
                WHEN t.typname = 'numeric' THEN 10 END::int4 AS numeric_precision_radix,
           CASE WHEN t.typname IN ('int2', 'int4', 'int8') THEN 0
                WHEN t.typname = 'numeric' AND {modifier} > 0 THEN ({modifier} - 4) & 2047
                END::int4 AS numeric_scale,
           CASE WHEN t.typname = 'date' THEN 0
                WHEN t.typname IN ('time', 'timetz', 'timestamp', 'timestamptz', 'interval')
                THEN CASE WHEN {modifier} < 0 THEN 6 ELSE {modifier} END END::int4 AS datetime_precision,
           NULL::varchar AS interval_type, NULL::int4 AS interval_precision,
    """


sql_view(
    "information_schema",
    "information_schema_catalog_name",
    "SELECT current_database()::name AS catalog_name",
)

sql_view(
    "information_schema",
    "schemata",
    """
    SELECT current_database()::name AS catalog_name, n.nspname AS schema_name, u.rolname AS schema_owner,
           NULL::name AS default_character_set_catalog, NULL::name AS default_character_set_schema,
           NULL::name AS default_character_set_name, NULL::varchar AS sql_path
    FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles u ON u.oid = n.nspowner
    """,
)

sql_view(
    "information_schema",
    "tables",
    f"""
    SELECT current_database()::name AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
           CASE WHEN n.oid = pg_my_temp_schema() THEN 'LOCAL TEMPORARY'
                WHEN c.relkind = 'v' THEN 'VIEW' ELSE 'BASE TABLE' END::varchar AS table_type,
           NULL::name AS self_referencing_column_name, NULL::varchar AS reference_generation,
           NULL::name AS user_defined_type_catalog, NULL::name AS user_defined_type_schema,
           NULL::name AS user_defined_type_name,
           CASE WHEN pg_relation_is_updatable(c.oid, false) & 8 = 8 THEN 'YES' ELSE 'NO'
                END::varchar AS is_insertable_into,
           'NO'::varchar AS is_typed, NULL::varchar AS commit_action
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE {_VISIBLE}
    """,
)

sql_view(
    "information_schema",
    "views",
    """
    SELECT current_database()::name AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
           pg_get_viewdef(c.oid)::varchar AS view_definition,
           CASE WHEN 'check_option=cascaded' = ANY (c.reloptions) THEN 'CASCADED'
                WHEN 'check_option=local' = ANY (c.reloptions) THEN 'LOCAL'
                ELSE 'NONE' END::varchar AS check_option,
           CASE WHEN pg_relation_is_updatable(c.oid, false) & 20 = 20 THEN 'YES' ELSE 'NO'
                END::varchar AS is_updatable,
           CASE WHEN pg_relation_is_updatable(c.oid, false) & 8 = 8 THEN 'YES' ELSE 'NO'
                END::varchar AS is_insertable_into,
           'NO'::varchar AS is_trigger_updatable, 'NO'::varchar AS is_trigger_deletable,
           'NO'::varchar AS is_trigger_insertable_into
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'v'
    """,
)

sql_view(
    "information_schema",
    "columns",
    f"""
    SELECT current_database()::name AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
           a.attname AS column_name, a.attnum::int4 AS ordinal_position,
           CASE WHEN a.attidentity = '' AND a.attgenerated = ''
                THEN pg_get_expr(d.adbin, d.adrelid) END::varchar AS column_default,
           CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END::varchar AS is_nullable,
           CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A' THEN 'ARRAY'
                WHEN t.typnamespace = 11 THEN format_type(t.oid, NULL)
                ELSE 'USER-DEFINED' END::varchar AS data_type,
           {_lengths(_MODIFIER)}
           {_precisions(_MODIFIER)}
           {_CHARACTER_SETS}
           CASE WHEN dt.typtype = 'd' THEN current_database() END::name AS domain_catalog,
           CASE WHEN dt.typtype = 'd' THEN dn.nspname END::name AS domain_schema,
           CASE WHEN dt.typtype = 'd' THEN dt.typname END::name AS domain_name,
           current_database()::name AS udt_catalog, nt.nspname AS udt_schema, t.typname AS udt_name,
           NULL::name AS scope_catalog, NULL::name AS scope_schema, NULL::name AS scope_name,
           NULL::int4 AS maximum_cardinality, a.attnum::name AS dtd_identifier,
           'NO'::varchar AS is_self_referencing,
           CASE WHEN a.attidentity IN ('a', 'd') THEN 'YES' ELSE 'NO' END::varchar AS is_identity,
           CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT'
                END::varchar AS identity_generation,
           s.seqstart::varchar AS identity_start, s.seqincrement::varchar AS identity_increment,
           s.seqmax::varchar AS identity_maximum, s.seqmin::varchar AS identity_minimum,
           CASE WHEN s.seqcycle THEN 'YES' ELSE 'NO' END::varchar AS identity_cycle,
           CASE WHEN a.attgenerated = '' THEN 'NEVER' ELSE 'ALWAYS' END::varchar AS is_generated,
           CASE WHEN a.attgenerated <> ''
                THEN pg_get_expr(d.adbin, d.adrelid) END::varchar AS generation_expression,
           CASE WHEN c.relkind = 'r' OR pg_column_is_updatable(c.oid, a.attnum, false)
                THEN 'YES' ELSE 'NO' END::varchar AS is_updatable
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON a.attrelid = c.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_type dt ON dt.oid = a.atttypid
    JOIN pg_catalog.pg_namespace dn ON dn.oid = dt.typnamespace
    JOIN pg_catalog.pg_type t ON t.oid = coalesce(nullif(dt.typbasetype, 0), dt.oid)
    JOIN pg_catalog.pg_namespace nt ON nt.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_catalog.pg_depend dep
           ON dep.deptype = 'i' AND dep.refobjid = a.attrelid AND dep.refobjsubid = a.attnum
    LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = dep.objid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND {_VISIBLE}
    """,
)

sql_view(
    "information_schema",
    "attributes",
    f"""
    SELECT current_database()::name AS udt_catalog, nc.nspname AS udt_schema, c.relname AS udt_name,
           a.attname AS attribute_name, a.attnum::int4 AS ordinal_position,
           NULL::varchar AS attribute_default,
           CASE WHEN a.attnotnull OR (dt.typtype = 'd' AND dt.typnotnull) THEN 'NO' ELSE 'YES'
                END::varchar AS is_nullable,
           CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A' THEN 'ARRAY'
                WHEN t.typnamespace = 11 THEN format_type(t.oid, NULL)
                ELSE 'USER-DEFINED' END::varchar AS data_type,
           {_lengths(_MODIFIER)}
           {_CHARACTER_SETS}
           {_precisions(_MODIFIER)}
           current_database()::name AS attribute_udt_catalog, nt.nspname AS attribute_udt_schema,
           t.typname AS attribute_udt_name, NULL::name AS scope_catalog, NULL::name AS scope_schema,
           NULL::name AS scope_name, NULL::int4 AS maximum_cardinality, a.attnum::name AS dtd_identifier,
           'NO'::varchar AS is_derived_reference_attribute
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON a.attrelid = c.oid AND c.relkind = 'c'
    JOIN pg_catalog.pg_namespace nc ON nc.oid = c.relnamespace
    JOIN pg_catalog.pg_type dt ON dt.oid = a.atttypid
    JOIN pg_catalog.pg_type t ON t.oid = coalesce(nullif(dt.typbasetype, 0), dt.oid)
    JOIN pg_catalog.pg_namespace nt ON nt.oid = t.typnamespace
    WHERE a.attnum > 0 AND NOT a.attisdropped
    """,
)

sql_view(
    "information_schema",
    "domains",
    f"""
    SELECT current_database()::name AS domain_catalog, nd.nspname AS domain_schema, d.typname AS domain_name,
           CASE WHEN t.typnamespace = 11 THEN format_type(t.oid, NULL)
                ELSE 'USER-DEFINED' END::varchar AS data_type,
           {_lengths("d.typtypmod")}
           {_CHARACTER_SETS}
           {_precisions("d.typtypmod")}
           d.typdefault::varchar AS domain_default,
           current_database()::name AS udt_catalog, nt.nspname AS udt_schema, t.typname AS udt_name,
           NULL::name AS scope_catalog, NULL::name AS scope_schema, NULL::name AS scope_name,
           NULL::int4 AS maximum_cardinality, 1::name AS dtd_identifier
    FROM pg_catalog.pg_type d
    JOIN pg_catalog.pg_namespace nd ON nd.oid = d.typnamespace
    JOIN pg_catalog.pg_type t ON t.oid = d.typbasetype
    JOIN pg_catalog.pg_namespace nt ON nt.oid = t.typnamespace
    WHERE d.typtype = 'd'
    """,
)

sql_view(
    "information_schema",
    "domain_constraints",
    """
    SELECT current_database()::name AS constraint_catalog, n.nspname AS constraint_schema,
           c.conname AS constraint_name, current_database()::name AS domain_catalog,
           nd.nspname AS domain_schema, d.typname AS domain_name,
           'NO'::varchar AS is_deferrable, 'NO'::varchar AS initially_deferred
    FROM pg_catalog.pg_constraint c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
    JOIN pg_catalog.pg_type d ON d.oid = c.contypid
    JOIN pg_catalog.pg_namespace nd ON nd.oid = d.typnamespace
    """,
)

sql_view(
    "information_schema",
    "table_constraints",
    """
    SELECT current_database()::name AS constraint_catalog, n.nspname AS constraint_schema,
           x.conname AS constraint_name, current_database()::name AS table_catalog,
           n.nspname AS table_schema, c.relname AS table_name,
           CASE x.contype WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' WHEN 'c' THEN 'CHECK'
                WHEN 'f' THEN 'FOREIGN KEY' END::varchar AS constraint_type,
           CASE WHEN x.condeferrable THEN 'YES' ELSE 'NO' END::varchar AS is_deferrable,
           CASE WHEN x.condeferred THEN 'YES' ELSE 'NO' END::varchar AS initially_deferred,
           'YES'::varchar AS enforced,
           CASE WHEN x.contype = 'u' THEN 'YES' END::varchar AS nulls_distinct
    FROM pg_catalog.pg_constraint x
    JOIN pg_catalog.pg_class c ON c.oid = x.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    """,
)

sql_view(
    "information_schema",
    "referential_constraints",
    """
    SELECT current_database()::name AS constraint_catalog, n.nspname AS constraint_schema,
           x.conname AS constraint_name,
           CASE WHEN u.oid IS NOT NULL THEN current_database() END::name AS unique_constraint_catalog,
           m.nspname AS unique_constraint_schema, u.conname AS unique_constraint_name,
           CASE x.confmatchtype WHEN 'f' THEN 'FULL' WHEN 's' THEN 'NONE' END::varchar AS match_option,
           CASE x.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'NO ACTION' END::varchar AS update_rule,
           CASE x.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'NO ACTION' END::varchar AS delete_rule
    FROM pg_catalog.pg_constraint x
    JOIN pg_catalog.pg_namespace n ON n.oid = x.connamespace
    LEFT JOIN pg_catalog.pg_constraint u
      ON u.conindid = x.conindid AND u.contype IN ('p', 'u')
    LEFT JOIN pg_catalog.pg_namespace m ON m.oid = u.connamespace
    WHERE x.contype = 'f'
    """,
)

_KEY_COLUMNS = """
    FROM (SELECT oid, conname, conrelid, contype, conindid, unnest(conkey) AS attnum,
                 unnest(confkey) AS referenced, generate_subscripts(conkey, 1) AS position
          FROM pg_catalog.pg_constraint WHERE contype IN ('p', 'u', 'f')) x
    JOIN pg_catalog.pg_class c ON c.oid = x.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = x.conrelid AND a.attnum = x.attnum
"""

sql_view(
    "information_schema",
    "key_column_usage",
    f"""
    SELECT current_database()::name AS constraint_catalog, n.nspname AS constraint_schema,
           x.conname AS constraint_name, current_database()::name AS table_catalog,
           n.nspname AS table_schema, c.relname AS table_name, a.attname AS column_name,
           x.position::int4 AS ordinal_position,
           CASE x.contype WHEN 'f' THEN
               (SELECT k.number + 1
                FROM (SELECT indexrelid, unnest(indkey) AS attnum, generate_subscripts(indkey, 1) AS number
                      FROM pg_catalog.pg_index) k
                WHERE k.indexrelid = x.conindid AND k.attnum = x.referenced)
           END::int4 AS position_in_unique_constraint
    {_KEY_COLUMNS}
    """,
)

sql_view(
    "information_schema",
    "constraint_column_usage",
    """
    SELECT current_database()::name AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
           a.attname AS column_name, current_database()::name AS constraint_catalog,
           m.nspname AS constraint_schema, x.conname AS constraint_name
    FROM pg_catalog.pg_constraint x
    JOIN pg_catalog.pg_namespace m ON m.oid = x.connamespace
    JOIN pg_catalog.pg_class c ON c.oid = CASE x.contype WHEN 'f' THEN x.confrelid ELSE x.conrelid END
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
         AND a.attnum = ANY (CASE x.contype WHEN 'f' THEN x.confkey ELSE x.conkey END)
    WHERE x.contype IN ('c', 'f', 'p', 'u')
    """,
)

sql_view(
    "information_schema",
    "sequences",
    """
    SELECT current_database()::name AS sequence_catalog, n.nspname AS sequence_schema,
           c.relname AS sequence_name, format_type(s.seqtypid, NULL)::varchar AS data_type,
           CASE s.seqtypid WHEN 21 THEN 16 WHEN 23 THEN 32 ELSE 64 END::int4 AS numeric_precision,
           2 AS numeric_precision_radix, 0 AS numeric_scale, s.seqstart::varchar AS start_value,
           s.seqmin::varchar AS minimum_value, s.seqmax::varchar AS maximum_value,
           s.seqincrement::varchar AS increment,
           CASE WHEN s.seqcycle THEN 'YES' ELSE 'NO' END::varchar AS cycle_option
    FROM pg_catalog.pg_sequence s
    JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                      WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'i')
    """,
)

sql_view(
    "information_schema",
    "character_sets",
    """
    SELECT NULL::name AS character_set_catalog, NULL::name AS character_set_schema,
           'UTF8'::name AS character_set_name, 'UCS'::name AS character_repertoire,
           'UTF8'::name AS form_of_use, current_database()::name AS default_collate_catalog,
           'pg_catalog'::name AS default_collate_schema, 'C'::name AS default_collate_name
    """,
)

sql_view(
    "information_schema",
    "column_column_usage",
    """
    SELECT DISTINCT current_database()::name AS table_catalog, n.nspname AS table_schema,
           c.relname AS table_name, ac.attname AS column_name, ad.attname AS dependent_column
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute ac ON ac.attrelid = c.oid AND ac.attnum = d.refobjsubid
    JOIN pg_catalog.pg_attrdef atd ON atd.oid = d.objid AND atd.adrelid = c.oid
    JOIN pg_catalog.pg_attribute ad ON ad.attrelid = c.oid AND ad.attnum = atd.adnum
    WHERE d.classid = 2604 AND ad.attgenerated <> '' AND pg_has_role(c.relowner, 'USAGE')
    """,
)
