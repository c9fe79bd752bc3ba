"""A node that runs on its own: a process with a control API on the loopback interface, and what speaks to it."""
