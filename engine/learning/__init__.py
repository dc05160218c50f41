"""The network that learns distances, and its training. The only place that imports TensorFlow and Keras."""
