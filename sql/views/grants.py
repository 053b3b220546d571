"""Views of what roles may do: memberships, default privileges, and the standard's views of lists."""

from __future__ import annotations

from collections.abc import Iterable

from engine.seams import SessionInfo
from sql.views.registry import Row, sql_view, view
from storage.catalog import Catalog
from storage.grants import DefaultAcl
from storage.rights import item_texts


@view("pg_catalog", "pg_auth_members")
def pg_auth_members(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for memberships in catalog.memberships.values():
        for membership in memberships:
            yield {
                "roleid": membership.role,
                "member": membership.member,
                "grantor": membership.grantor,
                "admin_option": membership.admin,
            }


@view("pg_catalog", "pg_default_acl")
def pg_default_acl(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for grant in catalog.grants.values():
        if isinstance(grant, DefaultAcl):
            yield {
                "oid": grant.oid,
                "defaclrole": grant.role,
                "defaclnamespace": grant.schema,
                "defaclobjtype": ord(grant.about),
                "defaclacl": item_texts(catalog, grant.items),
            }


@view("pg_catalog", "pg_group")
def pg_group(catalog: Catalog, session: SessionInfo) -> Iterable[Row]:
    for role in catalog.roles.values():
        if not role.login:
            members = [m.member for ms in catalog.memberships.values() for m in ms if m.role == role.oid]
            yield {"groname": role.name, "grosysid": role.oid, "grolist": members}


# Who grants whom: PUBLIC stands beside the roles. A role sees what it has granted, or been granted.
_PARTIES = """
    JOIN pg_catalog.pg_authid g ON g.oid = x.grantor
    JOIN (SELECT oid, rolname FROM pg_catalog.pg_authid
          UNION ALL SELECT 0::oid, 'PUBLIC') r ON r.oid = x.grantee
"""
_SEEN = """(pg_has_role(g.oid, 'USAGE') OR pg_has_role(r.oid, 'USAGE') OR r.rolname = 'PUBLIC')"""
_MINE = """(g.rolname IN (SELECT role_name FROM information_schema.enabled_roles)
    OR r.rolname IN (SELECT role_name FROM information_schema.enabled_roles))"""
_GRANTABLE = """CASE WHEN pg_has_role(x.grantee, {owner}, 'USAGE') OR x.is_grantable THEN 'YES'
    ELSE 'NO' END::varchar AS is_grantable"""
_GRANT = "g.rolname::name AS grantor, r.rolname::name AS grantee, current_database()::name"


def _tables(seen: str) -> str:
    return f"""
    SELECT {_GRANT} AS table_catalog, x.nspname AS table_schema, x.relname AS table_name,
           x.privilege_type::varchar AS privilege_type, {_GRANTABLE.format(owner="x.relowner")},
           CASE WHEN x.privilege_type = 'SELECT' THEN 'YES' ELSE 'NO' END::varchar AS with_hierarchy
    FROM (SELECT c.relname, n.nspname, c.relowner, e.*
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) e
          WHERE c.relkind IN ('r', 'v')) x
    {_PARTIES} WHERE {seen}
    """


def _columns(seen: str) -> str:
    return f"""
    SELECT {_GRANT} AS table_catalog, x.nspname AS table_schema, x.relname AS table_name,
           x.attname AS column_name, x.privilege_type::varchar AS privilege_type,
           {_GRANTABLE.format(owner="x.relowner")}
    FROM (SELECT c.relname, n.nspname, c.relowner, a.attname, e.*
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) e
          WHERE c.relkind IN ('r', 'v') AND e.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
          UNION
          SELECT c.relname, n.nspname, c.relowner, a.attname, e.*
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          CROSS JOIN LATERAL aclexplode(a.attacl) e
          WHERE c.relkind IN ('r', 'v') AND a.attacl IS NOT NULL) x
    {_PARTIES} WHERE {seen}
    """


def _routines(seen: str) -> str:
    return f"""
    SELECT {_GRANT} AS specific_catalog, x.nspname AS specific_schema,
           (x.proname || '_' || x.oid::text)::name AS specific_name,
           current_database()::name AS routine_catalog,
           x.nspname AS routine_schema, x.proname AS routine_name, 'EXECUTE'::varchar AS privilege_type,
           {_GRANTABLE.format(owner="x.proowner")}
    FROM (SELECT p.oid, p.proname, p.proowner, n.nspname, e.*
          FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
          CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) e) x
    {_PARTIES} WHERE {seen}
    """


def _usage(seen: str) -> str:
    return f"""
    SELECT {_GRANT} AS object_catalog, x.nspname AS object_schema, x.name AS object_name,
           x.kind::varchar AS object_type, 'USAGE'::varchar AS privilege_type,
           {_GRANTABLE.format(owner="x.owner")}
    FROM (SELECT c.relname AS name, n.nspname, c.relowner AS owner, 'SEQUENCE' AS kind, e.*
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('s', c.relowner))) e
          WHERE c.relkind = 'S' AND e.privilege_type = 'USAGE'
          UNION ALL
          SELECT t.typname, n.nspname, t.typowner, 'DOMAIN', e.*
          FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
          CROSS JOIN LATERAL aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) e
          WHERE t.typtype = 'd') x
    {_PARTIES} WHERE {seen}
    """


def _types(seen: str) -> str:
    return f"""
    SELECT {_GRANT} AS udt_catalog, x.nspname AS udt_schema, x.typname AS udt_name,
           'TYPE USAGE'::varchar AS privilege_type, {_GRANTABLE.format(owner="x.typowner")}
    FROM (SELECT t.typname, n.nspname, t.typowner, e.*
          FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
          CROSS JOIN LATERAL aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) e
          WHERE t.typtype = 'c') x
    {_PARTIES} WHERE {seen}
    """


for _name, _of_roles, _text in (
    ("table_privileges", "role_table_grants", _tables),
    ("column_privileges", "role_column_grants", _columns),
    ("routine_privileges", "role_routine_grants", _routines),
    ("usage_privileges", "role_usage_grants", _usage),
    ("udt_privileges", "role_udt_grants", _types),
):
    sql_view("information_schema", _name, _text(_SEEN))
    sql_view("information_schema", _of_roles, _text(_MINE))

sql_view(
    "information_schema",
    "enabled_roles",
    "SELECT a.rolname AS role_name FROM pg_catalog.pg_authid a WHERE pg_has_role(a.oid, 'USAGE')",
)

sql_view(
    "information_schema",
    "applicable_roles",
    """
    SELECT a.rolname AS grantee, b.rolname AS role_name,
           CASE WHEN m.admin_option THEN 'YES' ELSE 'NO' END::varchar AS is_grantable
    FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_authid a ON m.member = a.oid
    JOIN pg_catalog.pg_authid b ON m.roleid = b.oid
    WHERE pg_has_role(a.oid, 'USAGE')
    """,
)

sql_view(
    "information_schema",
    "administrable_role_authorizations",
    """
    SELECT grantee, role_name, is_grantable FROM information_schema.applicable_roles
    WHERE is_grantable = 'YES'
    """,
)
