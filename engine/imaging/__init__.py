"""Densities, their projections, and reconstruction: the image formation of the microscope and its inverse."""
