"""What may leave a node, in which form, and what that gives away: seals, groups, subjects. No I/O, no chance."""
