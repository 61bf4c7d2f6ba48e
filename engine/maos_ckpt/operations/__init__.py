"""One function for each command, on a `Workspace`; command line, engine and worker process all call these."""
