"""Pictures in: readers, cleaning and the packed store."""
