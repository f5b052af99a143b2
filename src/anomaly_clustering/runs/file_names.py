"""The names of the files that a run or a training leaves in its folder."""

ASSIGNMENTS = "assignments.csv"
# The same for tools that read large tables.
ASSIGNMENTS_PARQUET = "assignments.parquet"
CONFIG = "config.yaml"
METRICS = "metrics.json"
STORE = "run.safetensors"
PAGE = "report.html"
# Of images that were assigned later.
ASSIGNED = "assigned.csv"
LATER = "assigned.safetensors"
DECISIONS = "decisions.json"
WATCHED = "watched.jsonl"
# Of all images, as the report shows them.
PICTURES = "pictures.tar"
# Of a training.
CHECKPOINTS = "checkpoints"
EPOCHS = "epochs.csv"
# The mark of either: which files are its own.
MARK = "run.json"
# What was given with the images of a run, and what became of their defects over time.
METADATA = "metadata.csv"
TRENDS, TRENDS_PAGE = "trends.csv", "trends.html"
