"""From images or features to distances, from distances to poses, and how good both are."""
