"""Experiments: data, arms and figures; needs the ``lab`` extra."""
