"""How the gallery's tables came to be what they are; alembic runs what a database lacks."""
