"""Generator families, one file each, under one contract."""
