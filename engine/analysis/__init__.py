"""Analysis of recorded runs: comparisons, factors, figures as data."""
