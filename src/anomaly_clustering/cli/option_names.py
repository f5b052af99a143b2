"""What Python code says of its parameters in; the same with the names of the options that the user wrote, out."""

import re

from anomaly_clustering.system.messages import QUOTED

# Those that stand for one thing wherever they are in a sentence.
PARAMETERS = {
    "num_clusters": "--clusters",
    "num_references": "--references",
    "image_size": "--image-size",
    "num_nodes": "--num-nodes",
    "false_alarms": "--false-alarms",
    "min_score": "--min-score",
    "val_fraction": "--val",
}
# Words of plain English, which are parameters where a sentence begins with them and goes on with 'must'.
WORDS = ("tau", "views", "bits", "seed", "layer", "backbone", "checkpoint", "aspect", "decoding", "copies", "layout")
# In quotes stands what the user wrote, such as the name of a file.
PARAMETER = rf"(?<![\w.-])(?P<parameter>{'|'.join(PARAMETERS)})(?!\w)"
WORD = rf"\A(?P<word>{'|'.join(WORDS)})(?= must )"
NAMED = re.compile(f"{QUOTED.pattern}|{PARAMETER}|{WORD}", re.DOTALL)


def by_options(message: str) -> str:
    """A message about parameters, as one about options of the commands for a folder of images.

    Args:
        message: of an error.

    Example:
        >>> by_options("num_clusters must be between 2 and 12 (the number of images), got 100")
        '--clusters must be between 2 and 12 (the number of images), got 100'
        >>> by_options("'num_clusters' is damaged; tau is another word here")
        "'num_clusters' is damaged; tau is another word here"
    """
    return NAMED.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    if found["parameter"]:
        return PARAMETERS[found["parameter"]]
    return f"--{found['word']}" if found["word"] else found[0]
