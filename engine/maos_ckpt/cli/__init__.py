"""The command line; data goes to stdout, everything else to stderr."""
