"""Files and archives: maps, coordinates, tables of particles. One module per format."""
