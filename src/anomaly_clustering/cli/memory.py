"""An error in; whether too little memory is what it comes from, and if so what takes less, out."""

import errno
import re
from collections.abc import Mapping

# As PyTorch, CUDA, the C++ library, the system's loader and DataLoader's processes say it; Windows says what its number
# means in the language of the user.
SAID = (
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "bad_alloc",
    "unable to mmap",
    "failed to map segment",
    "killed by signal: killed",
    "killed by signal: bus error",
    "not enough memory",
    "winerror 1455",
)
# As PyTorch says that a process which loads images ended by itself. Windows does not tell whether it was killed.
ENDED = re.compile(r"dataloader worker \(pid(?:\(s\))? [\d, ]+\) exited unexpectedly")
OF_RESEARCH = "lower data.batch_size, data.image_size or data.num_workers, or for MIC set model.num_references to 64"
LESS: Mapping[str, str] = {
    "cluster": "give a smaller --image-size, or fewer images at a time",
    "assign": "give fewer images at a time",
    "update": "give fewer images at a time",
    **dict.fromkeys(("test", "validate", "predict", "fit"), OF_RESEARCH),
}
OTHERWISE = "close other programs"


def out_of_memory(error: BaseException, command: str) -> str:
    """What to do where memory ran out, or may have; empty where the error comes from something else.

    Args:
        error: that ended the command.
        command: its name.

    Example:
        >>> out_of_memory(MemoryError(), "assign")
        'memory ran out: give fewer images at a time'
        >>> out_of_memory(ValueError("tau must be positive"), "cluster")
        ''
    """
    text = str(error).lower()
    less = LESS.get(command, OTHERWISE)
    if isinstance(error, RuntimeError) and ENDED.search(text):
        return (
            f"a process that reads images has ended, most often because memory ran out: {less}; if it said above why, "
            "mend that"
        )
    known = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    if not (known or (isinstance(error, RuntimeError | ImportError | OSError) and any(said in text for said in SAID))):
        return ""
    whose = "the memory of the GPU" if "cuda" in text else "memory"
    return f"{whose} ran out: {less}"
