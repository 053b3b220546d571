"""Storage parameters: what (name = value) of WITH and SET may say of a table, an index or a view.

They are PostgreSQL's, checked as it checks them, kept as they were written and shown in pg_class.reloptions.
Views do what theirs say, and columnstore_segment_rows, ours, is how long the segments of a table become; the
others change nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sql.settings import plain_number, truth
from storage.errors import FeatureNotSupported, InvalidParameterValue, SqlSyntaxError

Options = tuple[tuple[str, str], ...]
Check = Callable[[str, str], None]
"""f(name, value) raises InvalidParameterValue."""

CHECK_OPTION, SECURITY_BARRIER, SECURITY_INVOKER = "check_option", "security_barrier", "security_invoker"
SEGMENT_ROWS = "columnstore_segment_rows"
_MOST = 2**31 - 1
_TOAST = "toast"


def _boolean(name: str, value: str) -> None:
    if truth(value) is None:
        raise InvalidParameterValue(f'invalid value for boolean option "{name}": {value}')


def _whole(least: int, most: int, name: str, value: str) -> None:
    given = plain_number(value)
    if given is None or not -_MOST <= round(given) <= _MOST:
        raise InvalidParameterValue(f'invalid value for integer option "{name}": {value}')
    if not least <= round(given) <= most:
        raise _outside(name, value, str(least), str(most))


def _real(least: float, most: float, name: str, value: str) -> None:
    given = plain_number(value)
    if given is None:
        raise InvalidParameterValue(f'invalid value for floating point option "{name}": {value}')
    if not least <= given <= most:
        raise _outside(name, value, f"{least:f}", f"{most:f}")


def _outside(name: str, value: str, least: str, most: str) -> InvalidParameterValue:
    return InvalidParameterValue(
        f'value {value} out of bounds for option "{name}"',
        detail=f'Valid values are between "{least}" and "{most}".',
    )


def _choice(choices: Sequence[str], valid: str, name: str, value: str) -> None:
    if value.lower() not in choices:
        raise InvalidParameterValue(
            f'invalid value for enum option "{name}": {value}', detail=f"Valid values are {valid}."
        )


_share = partial(_real, 0, 100)
_count = partial(_whole, 0, _MOST)
_fill = partial(_whole, 10, 100)
_CLEANUP = ("auto", "on", "off", "true", "false", "yes", "no", "1", "0")
_TOASTED: dict[str, Check] = {
    "autovacuum_enabled": _boolean,
    "autovacuum_freeze_max_age": partial(_whole, 100_000, 2_000_000_000),
    "autovacuum_freeze_min_age": partial(_whole, 0, 1_000_000_000),
    "autovacuum_freeze_table_age": partial(_whole, 0, 2_000_000_000),
    "autovacuum_multixact_freeze_max_age": partial(_whole, 10_000, 2_000_000_000),
    "autovacuum_multixact_freeze_min_age": partial(_whole, 0, 1_000_000_000),
    "autovacuum_multixact_freeze_table_age": partial(_whole, 0, 2_000_000_000),
    "autovacuum_vacuum_cost_delay": _share,
    "autovacuum_vacuum_cost_limit": partial(_whole, 1, 10_000),
    "autovacuum_vacuum_insert_scale_factor": _share,
    "autovacuum_vacuum_insert_threshold": partial(_whole, -1, _MOST),
    "autovacuum_vacuum_scale_factor": _share,
    "autovacuum_vacuum_threshold": _count,
    "log_autovacuum_min_duration": partial(_whole, -1, _MOST),
    "vacuum_index_cleanup": partial(_choice, _CLEANUP, '"on", "off", and "auto"'),
    "vacuum_truncate": _boolean,
}
TABLE: dict[str, Check] = {
    **_TOASTED,
    "autovacuum_analyze_scale_factor": _share,
    "autovacuum_analyze_threshold": _count,
    "fillfactor": _fill,
    "parallel_workers": partial(_whole, 0, 1024),
    "toast_tuple_target": partial(_whole, 128, 8160),
    "user_catalog_table": _boolean,
    SEGMENT_ROWS: partial(_whole, 1, _MOST),
}
VIEW: dict[str, Check] = {
    CHECK_OPTION: partial(_choice, ("local", "cascaded"), '"local" and "cascaded"'),
    SECURITY_BARRIER: _boolean,
    SECURITY_INVOKER: _boolean,
}
INDEX: dict[str, dict[str, Check]] = {
    "btree": {
        "deduplicate_items": _boolean,
        "fillfactor": _fill,
        "vacuum_cleanup_index_scale_factor": partial(_real, 0, 1e10),
    },
    "hash": {"fillfactor": _fill},
    "hnsw": {"ef_construction": partial(_whole, 4, 1000), "m": partial(_whole, 2, 100)},
    "ivfflat": {"lists": partial(_whole, 1, 32_768)},
}
"""By access method: the last two are pgvector's."""


def checked(parameters: Mapping[str, Check], given: Options) -> Options:
    """What is kept of parameters of a new relation.

    Raises InvalidParameterValue for one that is not there, comes twice, or has a value that cannot be, and
    FeatureNotSupported for rows with OIDs.
    """
    return _checked(parameters, _without_oids(given) if parameters is TABLE else given)


def _without_oids(given: Options) -> Options:
    """The parameters but for oids = false, which older dumps have."""
    for name, value in given:
        if name == "oids" and (meant := truth(value)) is not False:
            if meant is None:
                raise SqlSyntaxError("oids requires a Boolean value")
            raise FeatureNotSupported("tables declared WITH OIDS are not supported")
    return tuple(each for each in given if each[0] != "oids")


def _checked(parameters: Mapping[str, Check], given: Options) -> Options:
    for name, _ in given:
        space, dot, _ = name.partition(".")
        if dot and (space != _TOAST or parameters is not TABLE):
            raise InvalidParameterValue(f'unrecognized parameter namespace "{space}"')
    kept = []
    seen = set()
    for name, value in given:
        toast, _, own = name.rpartition(".")
        known = _TOASTED if toast else parameters
        if own not in known:
            raise InvalidParameterValue(f'unrecognized parameter "{own}"')
        if name in seen:
            raise InvalidParameterValue(f'parameter "{own}" specified more than once')
        seen.add(name)
        known[own](own, value)
        if not toast:  # those are of a table of its own, which is not there
            kept.append((name, value))
    return tuple(kept)


def is_on(options: Options, name: str) -> bool:
    """Whether a parameter that is a Boolean is there, and true."""
    return truth(dict(options).get(name, "off")) is True


def whole_of(options: Options, name: str, otherwise: int) -> int:
    """What a parameter says that is a whole number."""
    given = plain_number(dict(options).get(name, ""))
    return otherwise if given is None else round(given)


def changed(
    parameters: Mapping[str, Check], known: Options, changes: Sequence[tuple[str, str | None]]
) -> Options:
    """Parameters after SET, and after RESET, whose values are None. Raises as `checked` does."""
    named = {name for name, _ in changes}
    kept = tuple(each for each in known if each[0] not in named)
    new = tuple((name, value) for name, value in changes if value is not None)
    return (*kept, *_checked(parameters, new))
