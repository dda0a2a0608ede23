"""What the command line reads and prints; the commands themselves are in :mod:`kvmviz.__main__`."""
