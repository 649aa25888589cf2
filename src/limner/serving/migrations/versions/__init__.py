"""One step of the tables a file, each naming the one before."""
