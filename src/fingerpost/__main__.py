"""``python -m fingerpost`` is the command ``fingerpost``."""

from __future__ import annotations

from fingerpost.cli import main

if __name__ == "__main__":
    main()
