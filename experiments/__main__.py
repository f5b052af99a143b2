"""`python -m experiments table1 --data-root DIR`: computes what is missing of a table, then prints ours and theirs.

What takes seconds to import is imported when it is needed, so that a signal in these seconds is heeded too.
"""

import sys

from anomaly_clustering.cli.lasting_output import outlast_readers
from anomaly_clustering.cli.stopping import status_of, stop_on_signals
from anomaly_clustering.system.ending import end_after_all
from anomaly_clustering.system.messages import sentence_of, shortened

INTERRUPTED = "interrupted; finished cells are kept"


def main(argv: list[str] | None = None) -> int:
    """Run the command; 1 if cells failed, 2 if the user has to mend something, 130 or 143 if it was interrupted.

    Args:
        argv: words of the user; None for those that this program was started with, which then Ctrl-C and SIGTERM end
            within a second, whatever it computes.
    """
    try:
        if argv is None:
            outlast_readers()
            stop_on_signals(lambda: INTERRUPTED)
        from experiments.command import make
        from experiments.options import command_of

        return make(command_of(sys.argv[1:] if argv is None else argv))
    except (KeyboardInterrupt, SystemExit) as stop:
        status = status_of(stop)
        if status is None:
            raise
        if argv is None:
            end_after_all(status, INTERRUPTED)
        print(INTERRUPTED, file=sys.stderr)
        return status
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {shortened(sentence_of(error))}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
