"""Kernels by name: work on arrays, without types, plans or nulls of their own.

`plain/<family>.py` is the meaning of each kernel, in numpy; `compiled/<family>.py` has the twin of the
same name. Callers say `kernels.dot(...)`, so that the twin can take the place of the plain one while
the server runs: nothing compiles on a statement's thread (see storage.kernels.choice). The table of all
kernels, one a line:
"""

from storage.kernels import choice
from storage.kernels.plain.buckets import bucket_rows as bucket_rows
from storage.kernels.plain.buckets import chain_words as chain_words
from storage.kernels.plain.buckets import probe_buckets as probe_buckets
from storage.kernels.plain.buckets import probe_chains as probe_chains
from storage.kernels.plain.checksums import checksum_rows as checksum_rows
from storage.kernels.plain.dealing import deal_words as deal_words
from storage.kernels.plain.dot import cosine as cosine
from storage.kernels.plain.dot import dot as dot
from storage.kernels.plain.dot import l1 as l1
from storage.kernels.plain.dot import l2 as l2
from storage.kernels.plain.dot import norms as norms
from storage.kernels.plain.fields import parse_dates as parse_dates
from storage.kernels.plain.fields import parse_decimals as parse_decimals
from storage.kernels.plain.fields import parse_floats as parse_floats
from storage.kernels.plain.fields import parse_integers as parse_integers
from storage.kernels.plain.fields import parse_stamps as parse_stamps
from storage.kernels.plain.floats import unpack_floats as unpack_floats
from storage.kernels.plain.frames import find_tuples as find_tuples
from storage.kernels.plain.frames import gather_bytes as gather_bytes
from storage.kernels.plain.frames import put_fields as put_fields
from storage.kernels.plain.frames import put_int32 as put_int32
from storage.kernels.plain.frames import scatter_bytes as scatter_bytes
from storage.kernels.plain.group import find_words as find_words
from storage.kernels.plain.group import group_codes as group_codes
from storage.kernels.plain.group import group_words as group_words
from storage.kernels.plain.group import hash_bytes as hash_bytes
from storage.kernels.plain.group import mix_words as mix_words
from storage.kernels.plain.group import order_codes as order_codes
from storage.kernels.plain.group import place_words as place_words
from storage.kernels.plain.leaders import lead_rows as lead_rows
from storage.kernels.plain.leaders import lead_words as lead_words
from storage.kernels.plain.lines import count_byte as count_byte
from storage.kernels.plain.lines import split_lines as split_lines
from storage.kernels.plain.members import among_bits as among_bits
from storage.kernels.plain.members import among_bloom as among_bloom
from storage.kernels.plain.members import count_bits as count_bits
from storage.kernels.plain.members import rank_bits as rank_bits
from storage.kernels.plain.members import set_bits as set_bits
from storage.kernels.plain.members import set_bloom as set_bloom
from storage.kernels.plain.moments import mean_words as mean_words
from storage.kernels.plain.moments import sum_squares as sum_squares
from storage.kernels.plain.moments import variance_words as variance_words
from storage.kernels.plain.packing import block_offsets as block_offsets
from storage.kernels.plain.packing import pack_blocks as pack_blocks
from storage.kernels.plain.packing import total_blocks as total_blocks
from storage.kernels.plain.packing import undelta_at as undelta_at
from storage.kernels.plain.packing import undelta_blocks as undelta_blocks
from storage.kernels.plain.packing import unpack_at as unpack_at
from storage.kernels.plain.packing import unpack_blocks as unpack_blocks
from storage.kernels.plain.packing import unpack_table as unpack_table
from storage.kernels.plain.partners import find_partners as find_partners
from storage.kernels.plain.partners import look_up_partners as look_up_partners
from storage.kernels.plain.planes import deepen_signs as deepen_signs
from storage.kernels.plain.planes import quantise as quantise
from storage.kernels.plain.programs import run_program as run_program
from storage.kernels.plain.promises import promise_signs as promise_signs
from storage.kernels.plain.reading import expect_rows as expect_rows
from storage.kernels.plain.reading import read_rows as read_rows
from storage.kernels.plain.rotation import encode_signs as encode_signs
from storage.kernels.plain.rotation import rotate_rows as rotate_rows
from storage.kernels.plain.runs import repeat_runs as repeat_runs
from storage.kernels.plain.selection import select_places as select_places
from storage.kernels.plain.signs import count_signs as count_signs
from storage.kernels.plain.signs import scan_signs as scan_signs
from storage.kernels.plain.slides import slide_digits as slide_digits
from storage.kernels.plain.slides import slide_squares as slide_squares
from storage.kernels.plain.slides import slide_sums as slide_sums
from storage.kernels.plain.spreads import near_variances as near_variances
from storage.kernels.plain.stamps import stamp_texts as stamp_texts
from storage.kernels.plain.sums import count_groups as count_groups
from storage.kernels.plain.sums import float_digits as float_digits
from storage.kernels.plain.sums import largest as largest
from storage.kernels.plain.sums import smallest as smallest
from storage.kernels.plain.sums import sum_floats as sum_floats
from storage.kernels.plain.sums import sum_integers as sum_integers
from storage.kernels.plain.terms import count_terms as count_terms
from storage.kernels.plain.terms import select_terms as select_terms
from storage.kernels.plain.terms import true_rows as true_rows
from storage.kernels.plain.texts import match_parts as match_parts
from storage.kernels.plain.texts import same_texts as same_texts
from storage.kernels.plain.texts import take_texts as take_texts
from storage.kernels.plain.totals import add_totals as add_totals
from storage.kernels.plain.units import parse_fields as parse_fields
from storage.kernels.plain.units import unit_fields as unit_fields
from storage.kernels.plain.units import unit_texts as unit_texts
from storage.kernels.plain.values import number_fields as number_fields
from storage.kernels.plain.words import word_fields as word_fields
from storage.kernels.plain.words import word_texts as word_texts


def warm(wait: bool = False) -> None:
    """Have the compiled twins take over, in the background unless `wait`; once a process."""
    choice.warm(globals(), wait)


if choice.mode() == "compiled":
    choice.warm(globals(), wait=True)
