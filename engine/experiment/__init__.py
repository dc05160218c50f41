"""An experiment from its configuration to its result: stages, their cache, their cost; sweeps of several."""
