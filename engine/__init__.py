"""PoseLab's engine: learned pose recovery for single-particle cryo-EM, from a density to an angle-error histogram.

The way through it, one module a step, each a set of plain functions from arrays to arrays::

    config          one experiment, frozen and validated               TOML <-> Config
    volume          load_volume            source                   -> Volume (density, Å per voxel, centre)
    rotations       sample_orientations    coverage, sampling, rng  -> poses (n, 3, 3)
    projection      project                volume, poses            -> clean images (n, size, size)
    imaging         corrupt                clean images, rng        -> shifted, noisy, standardised images
    siamese         train, embed           images                   -> features (n, dim)      [the network]
    distance        exact, perturbed, ...  images or poses          -> estimated distance of each pair
    recovery        recover_poses          distances                -> poses (n, 3, 3), up to O(4)
    alignment       align_poses            recovered, true poses    -> recovered poses in the true frame
    metrics         ...                                             -> L_DE, L_OR, E_OR, FSC
    reconstruction  reconstruct            images, aligned poses    -> density

    pipeline        run_experiment         the only place that calls them in order
    runlog          the record that a run leaves in its directory;  catalogue: DuckDB over all of them

``python -m engine`` is the command line; the app in ``app.py`` and ``pages/`` starts the same command and reads the
same record. The engine knows no streamlit. Each heavy library has one door: TensorFlow ``siamese``, FINUFFT
``fourier``, ASTRA ``astra_gpu``, DuckDB ``catalogue``, mrcfile ``maps``, gemmi ``coordinates``, starfile ``particles``.

Every convention (frames, signs, order, units) is stated once, in :mod:`engine.rotations`.
"""
