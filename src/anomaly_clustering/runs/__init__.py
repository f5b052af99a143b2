"""The result of a run in; what it leaves on disk, and what is done with that later, out."""
