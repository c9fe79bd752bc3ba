"""Elections: which nodes an asker believes, and why."""
