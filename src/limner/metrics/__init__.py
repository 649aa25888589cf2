"""Scores over pictures, and the report made of them."""
