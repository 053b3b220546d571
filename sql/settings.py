"""Settings: one row each, and what a session has set.

A value is text, checked and brought into its shown form when it is set. Three layers: what the session
began with, what SET put above it, what SET LOCAL put above that until the transaction ends. The layers
are values that a change replaces, so a transaction or savepoint keeps them and puts them back for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from engine.forms.timezones import zone_named
from engine.tiers import MODES
from sql.planning import SWITCHES
from storage.errors import (
    CantChangeRuntimeParameter,
    FeatureNotSupported,
    InvalidName,
    InvalidParameterValue,
    UndefinedObject,
)

SERVER_VERSION = "15.0"
SERVER_VERSION_NUM = "150000"

Check = Callable[["Setting", str], str]


@dataclass(frozen=True)
class Setting:
    """A setting. `reported`: clients are told by ParameterStatus. `check` gives the shown form of a value.

    `context`: 'user', 'superuser', 'internal' (never changes) or 'postmaster' (not while the server runs).
    """

    name: str
    default: str
    check: Check
    description: str
    reported: bool = False
    context: str = "user"
    kind: str = "string"
    unit: str = ""
    least: str = ""
    most: str = ""
    choices: tuple[str, ...] = ()


# Checks: a value as given to the value as shown.


def _text(setting: Setting, value: str) -> str:
    return value


_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def truth(value: str) -> bool | None:
    """A Boolean in any of PostgreSQL's spellings, which may be cut; None for what is none."""
    given = value.lower()
    if given in ("", "o"):
        return None
    for words, meant in ((_TRUE, True), (_FALSE, False)):
        if any(word.startswith(given) for word in words):
            return meant
    return None


def plain_number(value: str) -> float | None:
    """A number without a unit, as settings and parameters may have it; None for what is none."""
    found = _QUANTITY.match(value)
    return None if found is None or found[2] else _number(found[1])


def _switch(setting: Setting, value: str) -> str:
    meant = truth(value.strip())
    if meant is None:
        raise InvalidParameterValue(f'parameter "{setting.name}" requires a Boolean value')
    return "on" if meant else "off"


def _choice(setting: Setting, value: str) -> str:
    given = value.lower()
    if given in setting.choices:
        return given
    # 'on' of an enumeration is also 'true' and '1', as PostgreSQL has it.
    for word, others in (("on", _TRUE), ("off", _FALSE)):
        if word in setting.choices and given in others:
            return word
    raise InvalidParameterValue(
        f'invalid value for parameter "{setting.name}": "{value}"',
        hint=f"Available values: {', '.join(c for c in setting.choices)}.",
    )


_UNITS = {
    "ms": {"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000},
    "s": {"us": 1e-6, "ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400},
    "kB": {"B": 1 / 1024, "kB": 1, "MB": 1024, "GB": 1024**2, "TB": 1024**3},
    "8kB": {"B": 1 / 8192, "kB": 1 / 8, "MB": 128, "GB": 128 * 1024, "TB": 128 * 1024**2},
}
_QUANTITY = re.compile(
    r"\s*([-+]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+))\s*([a-zA-Z]*)\s*\Z"
)


def _number(digits: str) -> float:
    return float(int(digits, 16)) if "x" in digits.lower() else float(digits)


def _quantity(setting: Setting, value: str) -> float:
    """The number that a value means, in the setting's unit."""
    found = _QUANTITY.match(value)
    wrong = InvalidParameterValue(f'invalid value for parameter "{setting.name}": "{value}"')
    if found is None:
        raise wrong
    given = _number(found[1])
    if not found[2]:
        return given
    units = _UNITS.get(setting.unit)
    if units is None or found[2] not in units:
        if units is not None:
            *names, last = (f'"{name}"' for name in units)
            wrong.hint = f"Valid units for this parameter are {', '.join(names)}, and {last}."
        raise wrong
    return given * units[found[2]]


def _outside(setting: Setting, shown: str) -> InvalidParameterValue:
    unit = f" {setting.unit}" if setting.unit else ""
    return InvalidParameterValue(
        f'{shown}{unit} is outside the valid range for parameter "{setting.name}"'
        f" ({setting.least} .. {setting.most})"
    )


def _whole(setting: Setting, value: str) -> str:
    number = round(_quantity(setting, value))
    if not int(setting.least) <= number <= int(setting.most):
        raise _outside(setting, str(number))
    return _in_best_unit(number, setting.unit)


def _in_best_unit(number: int, unit: str) -> str:
    """The number in the largest unit that leaves it whole, as SHOW prints it."""
    best = ""
    for name, size in _UNITS.get(unit, {}).items():
        if number and size >= 1 and number % size == 0:
            best = f"{int(number // size)}{name}"
    if not best and unit and number:
        best = f"{number}{unit}"
    return best or str(number)


def _real(setting: Setting, value: str) -> str:
    number = _quantity(setting, value)
    if not float(setting.least) <= number <= float(setting.most):
        raise _outside(setting, f"{number:g}")
    return f"{number:g}"


_DAY_HOURS = 24


def _zone(setting: Setting, value: str) -> str:
    wrong = InvalidParameterValue(f'invalid value for parameter "{setting.name}": "{value}"')
    try:
        hours = float(value)
    except ValueError:
        pass
    else:
        if not abs(hours) < _DAY_HOURS:
            raise FeatureNotSupported("time zones a day or more from UTC are not supported")
        return _offset(round(hours * 3600))
    try:
        return zone_named(value)[0]
    except LookupError:
        raise wrong from None


def _offset(seconds: int) -> str:
    """A fixed offset east of UTC, as PostgreSQL names it: <+05:30>-05:30."""
    if not seconds:
        return "UTC"
    sign, opposite = ("+", "-") if seconds > 0 else ("-", "+")
    minutes, rest = divmod(abs(seconds), 60)
    shown = f"{minutes // 60:02}" + (f":{minutes % 60:02}" if minutes % 60 or rest else "")
    shown += f":{rest:02}" if rest else ""
    return f"<{sign}{shown}>{opposite}{shown}"


_ORDERS = {"mdy": "MDY", "us": "MDY", "noneuro": "MDY", "nonuro": "MDY", "dmy": "DMY", "ymd": "YMD"}
_STYLES = {"iso": "ISO", "sql": "SQL", "german": "German"}
_ORDERS |= {"euro": "DMY", "european": "DMY"}


def _date_style(setting: Setting, value: str) -> str:
    """The style and the order of fields; what is not said is blank, for Settings to keep it as it was."""
    style = order = ""
    conflict = InvalidParameterValue(
        f'invalid value for parameter "{setting.name}": "{value}"',
        detail='Conflicting "datestyle" specifications.',
    )
    for word in (part.strip() for part in value.split(",")):
        key = word.lower()
        if key == "default":
            style, order = style or "ISO", order or "MDY"
            continue
        if key in _STYLES or key.startswith("postgres"):
            named = _STYLES.get(key, "Postgres")
            if style and style != named:
                raise conflict
            style = named
            continue
        if key not in _ORDERS:
            raise InvalidParameterValue(
                f'invalid value for parameter "{setting.name}": "{value}"',
                detail=f'Unrecognized key word: "{word}".',
            )
        if order and order != _ORDERS[key]:
            raise conflict
        order = _ORDERS[key]
    if style == "German":
        order = order or "DMY"
    return f"{style}, {order}"


def _encoding(setting: Setting, value: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", value.lower())
    if plain in ("utf8", "unicode"):
        return "UTF8"
    if plain == "sqlascii":
        return "SQL_ASCII"
    if re.fullmatch(r"latin\d+|iso8859\d+|win\d+|koi8[ru]?|euc\w+|sjis|big5|gbk|gb18030|uhc|johab", plain):
        raise FeatureNotSupported(f"client_encoding {value} is not supported", hint="Use UTF8.")
    raise InvalidParameterValue(f'invalid value for parameter "{setting.name}": "{value}"')


def _only_on(setting: Setting, value: str) -> str:
    if _switch(setting, value) == "off":
        raise FeatureNotSupported(f"{setting.name} = off is not supported")
    return "on"


ISOLATION = ("serializable", "repeatable read", "read committed", "read uncommitted")
_LEVELS = ("debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error")
_FOREVER = "2147483647"


def _rows() -> Iterator[Setting]:
    """All settings."""
    whole = partial(Setting, check=_whole, kind="integer")
    switch = partial(Setting, check=_switch, kind="bool")
    text = partial(Setting, check=_text)
    choice = partial(Setting, check=_choice, kind="enum")
    real = partial(Setting, check=_real, kind="real")
    # fmt: off
    yield text("application_name", "", description="The application's name, for statistics and logs.", reported=True)
    yield switch("array_nulls", "on", description="Reads NULL in arrays as null.")
    yield choice("backslash_quote", "safe_encoding", description="Whether \\' is read in strings.", choices=("safe_encoding", "on", "off"))
    yield whole("block_size", "8192", description="The size of a disk block.", context="internal", least="8192", most="8192")
    yield choice("bytea_output", "hex", description="The text form of bytea.", choices=("escape", "hex"))
    yield switch("check_function_bodies", "on", description="Checks bodies of functions.")
    yield whole("checkpoint_timeout", "5min", description="The longest time between two checkpoints.", unit="s", context="postmaster", least="1", most="86400")
    yield Setting("client_encoding", "UTF8", _encoding, "The client's character set.", reported=True)
    yield choice("client_min_messages", "notice", description="The least level of messages that are sent.", choices=_LEVELS)
    yield whole("columnstore_segment_rows", "1024000", description="The most rows of a new table's segments.", least="1", most=_FOREVER)
    yield choice("constraint_exclusion", "partition", description="Uses constraints in planning.", choices=("partition", "on", "off"))
    yield real("cursor_tuple_fraction", "0.1", description="The share of a cursor's rows that is expected to be read.", least="0", most="1")
    yield switch("data_checksums", "on", description="Whether blocks carry checksums.", context="internal")
    yield Setting("DateStyle", "ISO, MDY", _date_style, "The text form of dates, and the order in which they are read.", reported=True)
    yield whole("deadlock_timeout", "1s", description="How long a wait for a lock goes on before deadlocks are looked for.", unit="ms", context="superuser", least="1", most=_FOREVER)
    yield whole("default_statistics_target", "100", description="How much ANALYZE looks at.", least="1", most="10000")
    yield text("default_table_access_method", "heap", description="How new tables are kept.")
    yield text("default_tablespace", "", description="Where new tables are kept.")
    yield switch("default_transaction_deferrable", "off", description="Whether new transactions are deferrable.")
    yield Setting("default_transaction_isolation", "read committed", _choice, "The isolation of new transactions.", kind="enum", choices=ISOLATION)
    yield switch("default_transaction_read_only", "off", description="Whether new transactions only read.", reported=True)
    for name, description in SWITCHES.items():
        yield switch(f"enable_{name}", "on", description=description)
    for method in ("bitmapscan", "certified_scan", "hashagg", "hashjoin", "indexonlyscan", "indexscan", "material", "mergejoin", "nestloop", "seqscan", "sort"):
        yield switch(f"enable_{method}", "on", description=f"Lets the planner use {method}.")
    yield switch("escape_string_warning", "on", description="Warns of backslashes in plain strings.")
    yield whole("extra_float_digits", "1", description="Digits of floats in text forms.", least="-15", most="3")
    yield whole("from_collapse_limit", "8", description="The planner's limit for joining FROM lists.", least="1", most=_FOREVER)
    yield switch("geqo", "on", description="Genetic search for join orders.")
    yield real("hash_mem_multiplier", "256", description="How many times work_mem an operator takes before it writes temporary files.", least="1", most="1000")
    yield switch("hot_standby", "on", description="Whether a standby answers queries.", context="postmaster")
    yield whole("hnsw.ef_search", "40", description="pgvector's list of candidates; answers are exact.", least="1", most="1000")
    yield choice("hnsw.iterative_scan", "off", description="pgvector's iterative scans; answers are exact.", choices=("off", "relaxed_order", "strict_order"))
    yield whole("hnsw.max_scan_tuples", "20000", description="pgvector's bound of iterative scans; answers are exact.", least="1", most=_FOREVER)
    yield real("hnsw.scan_mem_multiplier", "1", description="pgvector's memory of iterative scans; answers are exact.", least="1", most="1000")
    yield whole("idle_in_transaction_session_timeout", "0", description="How long a transaction may be idle.", unit="ms", least="0", most=_FOREVER)
    yield whole("idle_session_timeout", "0", description="How long a session may be idle.", unit="ms", least="0", most=_FOREVER)
    yield switch("in_hot_standby", "off", description="Whether this is a standby.", reported=True, context="internal")
    yield switch("integer_datetimes", "on", description="Whether times are integers.", reported=True, context="internal")
    yield choice("interpreter_mode", MODES[0], description="Whether expressions are run by an interpreter, and when as machine code of their own.", choices=MODES)
    yield choice("IntervalStyle", "postgres", description="The text form of intervals.", reported=True, choices=("postgres", "postgres_verbose", "sql_standard", "iso_8601"))
    yield switch("is_superuser", "off", description="Whether the user is a superuser.", reported=True, context="internal")
    yield choice("ivfflat.iterative_scan", "off", description="pgvector's iterative scans; answers are exact.", choices=("off", "relaxed_order"))
    yield whole("ivfflat.max_probes", "32768", description="pgvector's bound of probes; answers are exact.", least="1", most="32768")
    yield whole("ivfflat.probes", "1", description="pgvector's lists that are searched; answers are exact.", least="1", most="32768")
    yield switch("jit", "on", description="Compiles expressions.")
    yield whole("join_collapse_limit", "8", description="The planner's limit for reordering joins.", least="1", most=_FOREVER)
    for name, default, context in (("collate", "C", "internal"), ("ctype", "C", "internal"), ("messages", "C", "superuser"), ("monetary", "C", "user"), ("numeric", "C", "user"), ("time", "C", "user")):
        yield text(f"lc_{name}", default, description=f"The locale for {name}.", context=context)
    yield whole("lock_timeout", "0", description="How long a statement waits for a lock.", unit="ms", least="0", most=_FOREVER)
    yield switch("lo_compat_privileges", "off", description="Old rights on large objects.", context="superuser")
    yield whole("log_min_duration_statement", "-1", description="Statements that take longer are logged.", unit="ms", context="superuser", least="-1", most=_FOREVER)
    yield choice("log_statement", "none", description="The statements that are logged.", context="superuser", choices=("none", "ddl", "mod", "all"))
    yield whole("maintenance_work_mem", "64MB", description="Memory of maintenance.", unit="kB", least="1024", most=_FOREVER)
    yield whole("max_query_memory", "1GB", description="The most memory that all running statements take.", unit="kB", context="postmaster", least="1024", most=_FOREVER)
    yield whole("max_wal_size", "256MB", description="The size of the log that begins a checkpoint.", unit="kB", context="postmaster", least="64", most=_FOREVER)
    yield whole("max_connections", "100", description="The most connections at a time.", context="postmaster", least="1", most="262143")
    yield whole("max_function_args", "100", description="The most arguments of a function.", context="internal", least="100", most="100")
    yield whole("max_identifier_length", "63", description="The longest name.", context="internal", least="63", most="63")
    yield whole("max_index_keys", "32", description="The most columns of a key.", context="internal", least="32", most="32")
    yield whole("max_parallel_workers", "8", description="The most parallel workers.", least="0", most="1024")
    yield whole("max_parallel_workers_per_gather", "2", description="The most parallel workers of a node.", least="0", most="1024")
    yield whole("max_prepared_transactions", "0", description="The most prepared transactions.", context="postmaster", least="0", most="262143")
    yield choice("password_encryption", "scram-sha-256", description="How passwords are kept.", choices=("scram-sha-256",))
    yield choice("plan_cache_mode", "auto", description="Whether plans of prepared statements are kept.", choices=("auto", "force_generic_plan", "force_custom_plan"))
    yield whole("port", "5432", description="The port that is listened on.", context="postmaster", least="1", most="65535")
    yield switch("quote_all_identifiers", "off", description="Quotes every name in generated SQL.")
    yield real("random_page_cost", "4", description="The planner's cost of a page.", least="0", most="1.79769e+308")
    yield text("role", "none", description="The role whose rights count.")
    yield switch("row_security", "on", description="Row security.")
    yield text("search_path", '"$user", public', description="The schemas that are searched.")
    yield real("seq_page_cost", "1", description="The planner's cost of a page in order.", least="0", most="1.79769e+308")
    yield text("server_encoding", "UTF8", description="The database's character set.", reported=True, context="internal")
    yield text("server_version", SERVER_VERSION, description="The PostgreSQL version that is spoken.", reported=True, context="internal")
    yield whole("server_version_num", SERVER_VERSION_NUM, description="The PostgreSQL version that is spoken, as a number.", context="internal", least="0", most=_FOREVER)
    yield text("session_authorization", "", description="The session's user.", reported=True)
    yield choice("session_replication_role", "origin", description="Which triggers fire.", context="superuser", choices=("origin", "replica", "local"))
    yield whole("shared_buffers", "128MB", description="The size of the buffer cache.", unit="8kB", context="postmaster", least="16", most="1073741823")
    yield switch("ssl", "off", description="Whether TLS is offered.", context="postmaster")
    yield Setting("standard_conforming_strings", "on", _only_on, "Backslashes in strings are plain.", reported=True, kind="bool")
    yield whole("statement_timeout", "0", description="How long a statement may run.", unit="ms", least="0", most=_FOREVER)
    yield switch("synchronize_seqscans", "on", description="Shares scans.")
    yield choice("synchronous_commit", "on", description="Whether COMMIT waits for the disk.", choices=("local", "remote_write", "remote_apply", "on", "off"))
    yield whole("temp_file_limit", "-1", description="The most that a statement writes to temporary files.", unit="kB", context="superuser", least="-1", most=_FOREVER)
    yield text("temp_tablespaces", "", description="Where temporary tables are kept.")
    yield Setting("TimeZone", "Etc/UTC", _zone, "The time zone of text forms.", reported=True)
    yield text("timezone_abbreviations", "Default", description="The short names of time zones.")
    yield switch("transaction_deferrable", "off", description="Whether this transaction is deferrable.")
    yield choice("transaction_isolation", "read committed", description="This transaction's isolation.", choices=ISOLATION)
    yield switch("transaction_read_only", "off", description="Whether this transaction only reads.")
    yield switch("transform_null_equals", "off", description="Reads x = NULL as x IS NULL.")
    yield choice("wal_level", "replica", description="What the log holds.", context="postmaster", choices=("minimal", "replica", "logical"))
    yield whole("work_mem", "4MB", description="Memory of an operator, times hash_mem_multiplier, before it writes temporary files.", unit="kB", least="64", most=_FOREVER)
    yield choice("xmlbinary", "base64", description="The form of bytes in XML.", choices=("base64", "hex"))
    yield choice("xmloption", "content", description="How XML is read.", choices=("content", "document"))
    # fmt: on


SETTINGS: dict[str, Setting] = {row.name.lower(): row for row in _rows()}
"""Every setting by its name in lower case."""

# Of these only the transaction's beginning, or a role, says what they are: see sql.state.
OF_TRANSACTION = frozenset(("transaction_isolation", "transaction_read_only", "transaction_deferrable"))
_CUSTOM = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)+\Z")
_RESERVED = frozenset(("hnsw", "ivfflat"))
Layers = tuple[Mapping[str, str], Mapping[str, str]]


def find(name: str) -> Setting:
    """The setting of this name, any case; a.b is everybody's own. Raises UndefinedObject (42704)."""
    setting = SETTINGS.get(name.lower())
    if setting is not None:
        return setting
    if "." in name:
        if not _CUSTOM.match(name):
            raise InvalidName(
                f'invalid configuration parameter name "{name}"',
                detail="Custom parameter names must be two or more simple identifiers separated by dots.",
            )
        prefix = name.partition(".")[0]
        if prefix.lower() in _RESERVED:
            raise InvalidName(
                f'invalid configuration parameter name "{name}"', detail=f'"{prefix}" is a reserved prefix.'
            )
        return Setting(name, "", _text, "")
    raise UndefinedObject(f'unrecognized configuration parameter "{name}"')


def number(name: str, value: str) -> int:
    """What a value of a whole setting means, in the setting's unit. Raises InvalidParameterValue."""
    setting = find(name)
    setting.check(setting, value)
    return round(_quantity(setting, value))


def bare(setting: Setting, value: str) -> str:
    """A value as pg_settings has it: in the setting's unit, without its name."""
    return str(round(_quantity(setting, value))) if setting.unit else value


def shown(name: str, number: int) -> str:
    """A number in the setting's unit as SHOW prints it."""
    return _in_best_unit(number, find(name).unit)


class Settings:
    """The settings of one session. Values are kept under names in lower case."""

    def __init__(self, given: Mapping[str, str]) -> None:
        first = {name: setting.default for name, setting in SETTINGS.items()}
        self._first = first
        self._session: Mapping[str, str] = {}
        self._local: Mapping[str, str] = {}
        self.values: Mapping[str, str] = first
        self.off: frozenset[str] = frozenset()
        """The planner's switches that are off, without enable_."""
        for name, value in given.items():
            key, shown = self.checked(name, value, startup=True)
            first[key] = shown
        self._merge()

    def _merge(self) -> None:
        self.values = {**self._first, **self._session, **self._local}
        self.off = frozenset(switch for name, switch in _SWITCHES if self.values[name] == "off")

    def get(self, name: str) -> str | None:
        """The value as shown; None where there is no such setting."""
        return self.values.get(name.lower())

    def checked(self, name: str, value: str, startup: bool = False) -> tuple[str, str]:
        """(key, shown form). Raises what SET raises."""
        setting = find(name)
        if setting.context == "internal":
            raise CantChangeRuntimeParameter(f'parameter "{setting.name}" cannot be changed')
        if setting.context == "postmaster":
            raise CantChangeRuntimeParameter(
                f'parameter "{setting.name}" cannot be changed without restarting the server'
            )
        # PostgreSQL calls a setting what the statement calls it, but for those with a check of their own
        named = setting if setting.kind == "string" else replace(setting, name=name)
        shown = named.check(named, value)
        key = setting.name.lower()
        if key == "datestyle":
            said, before = shown.split(", "), self.values[key].split(", ")
            shown = ", ".join(new or old for new, old in zip(said, before, strict=True))
        return key, shown

    def set(self, name: str, value: str, local: bool = False) -> str:
        """SET [LOCAL]; returns the value as shown."""
        key, shown = self.checked(name, value)
        self.put(key, shown, local)
        return shown

    def put(self, key: str, shown: str, local: bool = False) -> None:
        """Set what is checked, or what no user may set."""
        if local:
            self._local = {**self._local, key: shown}
        else:
            self._session = {**self._session, key: shown}
            self._local = {k: v for k, v in self._local.items() if k != key}
        self._merge()

    def reset(self, name: str, local: bool = False) -> None:
        """RESET, SET ... TO DEFAULT."""
        setting = find(name)
        key = setting.name.lower()
        if setting.context in ("internal", "postmaster"):
            self.checked(name, "")
        if local:
            self._local = {**self._local, key: self._first.get(key, "")}
        else:
            self._session = {k: v for k, v in self._session.items() if k != key}
            self._local = {k: v for k, v in self._local.items() if k != key}
        self._merge()

    def reset_all(self, keep: frozenset[str] = frozenset()) -> None:
        """RESET ALL: everything but `keep`."""
        self._session = {k: v for k, v in self._session.items() if k in keep}
        self._local = {k: v for k, v in self._local.items() if k in keep}
        self._merge()

    def begin_with(self, key: str, value: str) -> None:
        """Say what RESET goes back to: the login's own values."""
        self._first[key] = value
        self._merge()

    @property
    def layers(self) -> Layers:
        """What a transaction or savepoint keeps."""
        return self._session, self._local

    def restore(self, layers: Layers) -> None:
        """Go back to what `layers` was: ROLLBACK."""
        if layers != (self._session, self._local):
            self._session, self._local = layers
            self._merge()

    def end_local(self) -> None:
        """COMMIT: SET LOCAL is over."""
        if self._local:
            self._local = {}
            self._merge()

    def milliseconds(self, name: str) -> int:
        """The value of a time limit."""
        return _milliseconds(name, self.values[name])

    def reported(self) -> dict[str, str]:
        """What ParameterStatus tells."""
        return {s.name: self.values[key] for key, s in _REPORTED}


_ENABLE = "enable_"
_SWITCHES = tuple((key, key.removeprefix(_ENABLE)) for key in SETTINGS if key.startswith(_ENABLE))


@lru_cache
def _milliseconds(name: str, value: str) -> int:
    return round(_quantity(SETTINGS[name], value))


_REPORTED = tuple((key, setting) for key, setting in SETTINGS.items() if setting.reported)
