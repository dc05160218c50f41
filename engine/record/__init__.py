"""Records of runs: their directories, their annotations, the catalogue of all runs."""
