"""Transactions: snapshots, what an open one has changed, locks, and the values of sequences."""
