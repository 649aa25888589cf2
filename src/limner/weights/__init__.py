"""The shipped default model and its card."""
