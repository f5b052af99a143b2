"""Words of a user in; a command is run: main knows the commands, options their options, one file does the work of each."""
