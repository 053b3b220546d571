"""Certified codes of vectors: bounds of every row's score from a thirtieth of its bytes.

`Codes` are those of one vector column of one segment: a sign and three small factors a row, in cells that
share a centroid. From them a query knows which rows certainly meet a condition, which certainly do not, and
which have to be looked at in full: see storage.codes.bounds for the proof. Arrays only: no SQL, no files.
"""

from storage.codes.cells import LAYOUT, LEAST_DIMENSIONS
from storage.codes.codes import Codes
from storage.codes.limit import Limit
from storage.codes.metric import Metric, Question
from storage.codes.search import Nearest, Pairs, Promise, Verdict
from storage.codes.together import Request

__all__ = [
    "LAYOUT",
    "LEAST_DIMENSIONS",
    "Codes",
    "Limit",
    "Metric",
    "Nearest",
    "Pairs",
    "Promise",
    "Question",
    "Request",
    "Verdict",
]
