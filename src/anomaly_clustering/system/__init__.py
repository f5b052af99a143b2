"""What the system, Lightning and PyTorch are asked for: files written whole, locks, threads, the end of a process.

Below all other rooms.
"""
