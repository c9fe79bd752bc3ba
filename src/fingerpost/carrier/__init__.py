"""Moving opaque frames between nodes; import ``fingerpost.carrier.base`` for the port."""
