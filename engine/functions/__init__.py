"""Functions and operators, one file a family. Importing this package fills the registry."""

from engine.functions import arithmetic, compare

__all__ = ["arithmetic", "compare"]
