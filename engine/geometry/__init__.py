"""Rotations, symmetry groups, functions on them: arrays in, arrays out."""
