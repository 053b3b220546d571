"""bench: ratios against something measured in the same run, as tables. `python -m bench [NAME ...]`."""
