"""The command line of a user in; options, or one line that says what is wrong with them, out."""

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says what is wrong without the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)
