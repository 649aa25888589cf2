"""Data sets of captioned pictures: readers, cleaning and the packed store."""
