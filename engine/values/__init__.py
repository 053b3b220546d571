"""What functions, casts and aggregates know of values alike: numeric's digits, the calendar, JSON, patterns.

Nothing here knows functions, casts or expressions: those import it.
"""
