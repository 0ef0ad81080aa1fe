"""The command line: one command an entry point of MLproject."""
