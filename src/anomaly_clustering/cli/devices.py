"""What Lightning says of devices that are not there in; an error that says what to do about it, out."""

import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from anomaly_clustering.system.messages import counted

# How Lightning says that there is none, and that there are fewer.
NONE, FEWER = ("can not run on your system", "No supported gpu"), "But your machine only has"


def about_devices(error: MisconfigurationException, *, prefix: str = "") -> ValueError:
    """The error of a Trainer, in words of its user where it is about a GPU.

    Args:
        error: as Lightning raises it.
        prefix: of the options of the command, such as 'trainer.'.

    Example:
        >>> error = MisconfigurationException("`CUDAAccelerator` can not run on your system since ...")
        >>> str(about_devices(error)).endswith("leave --accelerator out, or give --accelerator cpu")
        True
    """
    said = str(error)
    if any(sign in said for sign in NONE):
        why = (
            "this PyTorch is built without CUDA: install one that is built with it"
            if torch.version.cuda is None
            else "PyTorch finds none: see whether `nvidia-smi` lists it"
        )
        return ValueError(
            f"there is no GPU to compute on, since {why}; or leave --{prefix}accelerator out, or give "
            f"--{prefix}accelerator cpu"
        )
    if FEWER in said:
        there = counted(torch.cuda.device_count(), "GPU")
        return ValueError(f"this machine has {there}, fewer than --{prefix}devices asks for; ask for no more")
    return ValueError(said)
