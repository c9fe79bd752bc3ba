"""`fingerpost assess`: what sharing outcomes would bring on a table of your own, beside federated learning."""
