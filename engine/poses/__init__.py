"""Distances from images or features, poses from distances, and the accuracy of both."""
