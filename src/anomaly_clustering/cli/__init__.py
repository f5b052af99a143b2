"""Words of a user in; a command is run: main knows the commands, options what each takes, one file does each."""
