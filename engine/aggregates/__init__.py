"""Aggregates, one file a family. Importing this package fills their registry."""

from engine.aggregates import collect, extremes, orderedsets, ranges, statistics, sums

__all__ = ["collect", "extremes", "orderedsets", "ranges", "statistics", "sums"]
