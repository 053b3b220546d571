"""What survives: files, the log and its replay, checkpoints and the manifest, backups, and their check."""
