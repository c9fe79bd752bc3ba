"""The command ``fingerpost``: one module a command or group of commands.

Modules here import nothing heavy at the top (a test holds them to it), so that help and errors come at once; numpy,
pyarrow and faiss are imported inside the commands that need them.
"""

from __future__ import annotations

from fingerpost.cli._main import main

__all__ = ["main"]
