"""Pictures in: what a network sees in them."""
