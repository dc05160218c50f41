"""Densities, their projections and back: what a microscope does to an object, and its inverse."""
