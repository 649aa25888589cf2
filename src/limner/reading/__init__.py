"""Reading pictures: aligners, captions and search."""
