"""The command line: parsing, output and one module of commands per area. Only what a command needs is imported."""
