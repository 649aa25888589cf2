"""The image server: HTTP, batching of requests, and what clients of the Images API expect."""
