"""Rows at rest: the write segment's blocks, sealed segments and their files, and the merger between them."""
