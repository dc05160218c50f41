"""What recorded runs say: comparisons, factors, figures as data."""
