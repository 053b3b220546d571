"""Aggregates, one file a family. Importing this package fills their registry."""

from engine.aggregates import bitstrings, collect, extremes, orderedsets, ranges, statistics, sums

__all__ = ["bitstrings", "collect", "extremes", "orderedsets", "ranges", "statistics", "sums"]
