"""storage: types, columns, batches, kernels, encodings, segments, tables, versions, the log, the catalog.

The ground floor. It knows nothing of plans, SQL text or sockets; what it keeps of SQL (defaults,
checks) is text to it.

    kernels/       loops over arrays, in numpy and compiled
    encodings/     how a column lies in a segment
    segments/      rows at rest: blocks, segments and their files, the merger
    indexes/       keys: comparing, hashing, finding, uniqueness
    transactions/  snapshots, changes, locks, sequences
    durability/    files, the log, checkpoints, the manifest, backups
    database.py    all of it as one folder
"""
