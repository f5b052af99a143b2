"""What the system is asked for: files written whole, tables, locks, and the end of a process. Below all other rooms."""
