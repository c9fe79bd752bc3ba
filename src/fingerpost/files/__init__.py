"""Files of data owners: tables, templates, and writing without leaving half a file behind."""

from fingerpost.files._atomic import open_atomically, write_atomically
from fingerpost.files._tables import Table, read_table
from fingerpost.files._templates import load_template

__all__ = ["Table", "load_template", "open_atomically", "read_table", "write_atomically"]
