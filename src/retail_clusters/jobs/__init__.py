"""One module an entry point: read, compute, write, in that order."""
