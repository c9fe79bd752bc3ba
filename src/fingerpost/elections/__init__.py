"""Elections: whom to hire, which calculation to trust, which outcome survives. Pure: evidence in, weights out."""
