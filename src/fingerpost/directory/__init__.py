"""Who may hold a cell; import ``fingerpost.directory.base`` for the port."""
