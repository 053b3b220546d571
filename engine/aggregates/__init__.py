"""Aggregates, one file a family. Importing this package fills their registry."""

from engine.aggregates import collect, extremes, statistics, sums

__all__ = ["collect", "extremes", "statistics", "sums"]
