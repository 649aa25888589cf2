"""One way to draw: settings, generator, scenes put together, pictures and their files."""
