"""A message in; the same, with what names of thousands of characters have in the middle left out, out."""

import re

from anomaly_clustering.system.replacing import is_open_elsewhere

# Characters of a name, and of a whole message. Windows knows no longer paths by default; hostile ones have thousands.
LONGEST_NAME, LONGEST_MESSAGE = 260, 2_000
# Names as `repr` writes them; an apostrophe stands beside a letter.
QUOTED = re.compile(r"""(?<!\w)(['"])((?:\\.|(?!\1)[^\\])*+)\1(?!\w)""", re.DOTALL)
# Words without quotes, as other libraries show paths.
WORD = re.compile(rf"[^\s'\"]{{{LONGEST_NAME + 1},}}")
# How the lines of jsonargparse begin that tell nobody what to mend.
TYPES = ("Does not validate", "Subtypes:", "Errors:", "- Expected a <class 'NoneType'>", "Given value type:")


def shortened(message: str, most: int = LONGEST_MESSAGE) -> str:
    """A message whose names, and which itself, fit on a screen.

    Args:
        message: with names in quotes, as `repr` writes them.
        most: characters of the whole.

    Returns:
        The same; of what is too long both ends, and how long it is.

    Example:
        >>> len(shortened(f"image {'x' * 100_000!r} is not there"))
        174
    """
    named = QUOTED.sub(lambda name: _ends_of_name(name[1], name[2]), message)
    return _ends(WORD.sub(lambda word: _ends(word[0], LONGEST_NAME // 2), named), most)


def without_types(message: str, *others: str) -> str:
    """What jsonargparse says is wrong, in one line, without the types that it lists around it.

    Args:
        message: its lines, or any others.
        others: how further lines begin that are left out.

    Example:
        >>> without_types("Parser key 'lr':\\n  Errors:\\n    - Expected a <class 'float'>\\n  Given value: a", "Given")
        "Parser key 'lr': Expected a <class 'float'>"
    """
    lines = [line.strip() for line in message.splitlines()]
    kept = (line.removeprefix("- ") for line in lines if line and not line.startswith((*TYPES, *others)))
    return " ".join(kept)


def counted(number: int, one: str, several: str = "") -> str:
    """A number and the word for what there are so many of.

    Args:
        number: of them.
        one: the word for a single one.
        several: the word for any other number; by default that for one with an s.

    Example:
        >>> counted(1, "image"), counted(2, "image"), counted(0, "copy", "copies")
        ('1 image', '2 images', '0 copies')
    """
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def _ends_of_name(quote: str, name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return f"{quote}{name}{quote}"
    return f"{quote}{_ends(name, LONGEST_NAME // 2)}{quote} ({len(name)} characters)"


def _ends(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def sentence_of(error: Exception) -> str:
    """What an error says, as a sentence about a file where the system says it by a number.

    Args:
        error: any.

    Example:
        >>> sentence_of(OSError(36, "File name too long", "x"))
        "'x': file name too long"
        >>> sentence_of(OSError(18, "Invalid cross-device link", "x", None, "y"))
        "'x' to 'y': invalid cross-device link"
        >>> sentence_of(ValueError("tau must be positive"))
        'tau must be positive'
    """
    said = str(error)
    # Windows has numbers of its own.
    if not (isinstance(error, OSError) and error.filename is not None and said.startswith(("[Errno ", "[WinError "))):
        return said
    # What is moved has two names.
    names = " to ".join(repr(str(name)) for name in (error.filename, error.filename2) if name is not None)
    why = str(error.strerror)
    way_out = "; if it is open in another program, close it there"
    return f"{names}: {why[:1].lower()}{why[1:]}{way_out if is_open_elsewhere(error) else ''}"
