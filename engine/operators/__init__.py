"""Physical operators: one a file, each a frozen dataclass whose run is a generator of batches."""

from engine.operators.aggregate import Aggregate
from engine.operators.append import Append
from engine.operators.base import Operator, Pipelined, Task
from engine.operators.bounds import Bound
from engine.operators.certified import CertifiedScan
from engine.operators.constraints import Check, Generated, Invariants
from engine.operators.delete import Delete
from engine.operators.distinct import Distinct
from engine.operators.filter import Filter
from engine.operators.functionscan import FunctionScan
from engine.operators.hashjoin import HashJoin
from engine.operators.indexscan import Among, IndexScan
from engine.operators.insert import Insert
from engine.operators.lateral import Lateral
from engine.operators.limit import Limit
from engine.operators.lockrows import LockRows, LockTarget
from engine.operators.loopjoin import LoopJoin
from engine.operators.merge import Action, Merge
from engine.operators.nearest import Nearest
from engine.operators.nothing import Nothing
from engine.operators.onerow import OneRow
from engine.operators.partitiontop import PartitionTop
from engine.operators.project import Project
from engine.operators.projectsets import ProjectSets
from engine.operators.recursiveunion import RecursiveUnion
from engine.operators.references import ForeignKey, Rules, TableRules
from engine.operators.routinescan import RoutineScan
from engine.operators.rowsfrom import RowsFrom
from engine.operators.scan import Scan
from engine.operators.setoperation import SetOperation
from engine.operators.shared import Shared
from engine.operators.similarjoin import SimilarityJoin, Way
from engine.operators.sort import Sort
from engine.operators.sortkeys import SortKey
from engine.operators.targets import Beside
from engine.operators.top import Top
from engine.operators.update import Update
from engine.operators.upsert import SetRow, Upsert
from engine.operators.values import Values
from engine.operators.window import Window
from engine.operators.windowcalls import WindowCall, WindowFrame
from engine.operators.windowframes import FrameBound
from engine.operators.withwrites import WithWrites
from engine.operators.worktable import WorkTable

__all__ = [
    "Action",
    "Aggregate",
    "Among",
    "Append",
    "Beside",
    "Bound",
    "CertifiedScan",
    "Check",
    "Delete",
    "Distinct",
    "Filter",
    "ForeignKey",
    "FrameBound",
    "FunctionScan",
    "Generated",
    "HashJoin",
    "IndexScan",
    "Insert",
    "Invariants",
    "Lateral",
    "Limit",
    "LockRows",
    "LockTarget",
    "LoopJoin",
    "Merge",
    "Nearest",
    "Nothing",
    "OneRow",
    "Operator",
    "PartitionTop",
    "Pipelined",
    "Project",
    "ProjectSets",
    "RecursiveUnion",
    "RoutineScan",
    "RowsFrom",
    "Rules",
    "Scan",
    "SetOperation",
    "SetRow",
    "Shared",
    "SimilarityJoin",
    "Sort",
    "SortKey",
    "TableRules",
    "Task",
    "Top",
    "Update",
    "Upsert",
    "Values",
    "Way",
    "Window",
    "WindowCall",
    "WindowFrame",
    "WithWrites",
    "WorkTable",
]
