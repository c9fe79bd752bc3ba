"""Durable packets and the search over them; import ``fingerpost.store.base`` for the port."""
