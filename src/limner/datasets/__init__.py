"""Makers of packed stores: icons, emoji, clothes, scenes."""
