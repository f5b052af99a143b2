"""The paper's tables and figures, ours beside theirs: `python -m experiments table1 --data-root DIR`."""
