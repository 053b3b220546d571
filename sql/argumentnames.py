"""The names of built-in functions' arguments, of those that have some, with the defaults of the last ones."""

from __future__ import annotations

_SET = ("jsonb_in", "path", "replacement")
_PATH = ("target", "path", "vars", "silent")
_PATH_DEFAULTS = ("'{}'::jsonb", "false")
_STAMP = ("year", "month", "mday", "hour", "min", "sec")
_JSON = ("from_json",)
_SPAN = ("years", "months", "weeks", "days", "hours", "mins", "secs")

ARGUMENT_NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "json_array_element": (("from_json", "element_index"), ()),
    "json_array_element_text": (("from_json", "element_index"), ()),
    "json_object_field": (("from_json", "field_name"), ()),
    "json_object_field_text": (("from_json", "field_name"), ()),
    **{
        f"{type}_{name}": (_JSON, ())
        for type in ("json", "jsonb")
        for name in ("array_elements", "array_elements_text", "each", "each_text")
    },
    "json_populate_record": (("base", "from_json", "use_json_as_text"), ("false",)),
    "json_populate_recordset": (("base", "from_json", "use_json_as_text"), ("false",)),
    "jsonb_array_element": (("from_json", "element_index"), ()),
    "jsonb_array_element_text": (("from_json", "element_index"), ()),
    "jsonb_insert": ((*_SET, "insert_after"), ("false",)),
    "jsonb_object_field": (("from_json", "field_name"), ()),
    "jsonb_object_field_text": (("from_json", "field_name"), ()),
    "jsonb_path_exists": (_PATH, _PATH_DEFAULTS),
    "jsonb_path_match": (_PATH, _PATH_DEFAULTS),
    "jsonb_path_exists_tz": (_PATH, _PATH_DEFAULTS),
    "jsonb_path_match_tz": (_PATH, _PATH_DEFAULTS),
    "jsonb_path_query_array_tz": (_PATH, _PATH_DEFAULTS),
    "jsonb_path_query_first_tz": (_PATH, _PATH_DEFAULTS),
    "jsonb_path_query_tz": (_PATH, _PATH_DEFAULTS),
    "jsonb_path_query": (_PATH, _PATH_DEFAULTS),
    "jsonb_path_query_array": (_PATH, _PATH_DEFAULTS),
    "jsonb_path_query_first": (_PATH, _PATH_DEFAULTS),
    "jsonb_set": ((*_SET, "create_if_missing"), ("true",)),
    "jsonb_set_lax": ((*_SET, "create_if_missing", "null_value_treatment"), ("true", "'use_json_null'")),
    "make_date": (("year", "month", "day"), ()),
    "make_interval": (_SPAN, ("0",) * 6 + ("0.0",)),
    "make_time": (("hour", "min", "sec"), ()),
    "make_timestamp": (_STAMP, ()),
    "make_timestamptz": ((*_STAMP, "timezone"), ()),
    "parse_ident": (("str", "strict"), ("true",)),
    "pg_terminate_backend": (("pid", "timeout"), ("0",)),
}
