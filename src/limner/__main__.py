"""``python -m limner`` is the ``limner`` command."""

from limner.cli import main

if __name__ == "__main__":
    main()
