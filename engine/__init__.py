"""PoseLab's engine: learned pose recovery for single-particle cryo-EM, from a density to an angle-error histogram.

The way through it, one module a step, each a set of plain functions from arrays to arrays::

    config          one experiment, frozen and validated               TOML <-> Config
    volume          load_volume            source                   -> Volume (density, Å per voxel, centre)
    rotations       sample_orientations    coverage, sampling, rng  -> poses (n, 3, 3)
    projection      project                volume, poses            -> clean images (n, size, size)
    imaging         shift, noise, crop     images                   -> images
    simulation      simulate               volume, settings, rng    -> test projections; training projections
    pairs           which pairs of projections are looked at
    siamese         train, embed           images                   -> features (n, dim)      [the network]
                    [polar: images on circles;  harmonics: what features are, with and without symmetry]
    training        train_network          volume or others, seeds  -> trained network, also from a checkpoint
    distance        exact, perturbed, ...  images, features, poses  -> estimated distance of each pair
    neighbourhood   who is near whom, by pose and by estimate;  manifold: distances as points, for the eye and to start
    recovery        recover_poses          distances                -> poses (n, 3, 3), up to O(4)  [start: embedding]
    symmetry        group                  C1, Cn, Dn, T, O, I      -> rotations; symmetric_recovery: poses modulo it
                    [symmetric_start: some placed by annealing]
    alignment       align_poses            recovered, true poses    -> recovered poses in the true frame
    metrics         ...                                             -> L_DE, L_OR, E_OR
    reconstruction  reconstruct            images, aligned poses    -> densities; Fourier shell correlation
    refinement      refine_poses           images, poses, density   -> poses that match best; beyond the two steps

    pipeline        run_experiment         the only place that calls them in order
    stagecache      results of stages, kept by what they were made from
    runlog          writes the record that a run leaves in its directory;  artefacts: the arrays in it;  runrecord reads
    annotations     what people note about a run: name, tags, star, note, archived;  deletes archived runs
    catalogue       DuckDB over all records;  launch: experiments in processes of their own
    sweep           several experiments of one, the published studies;  estimate: their time and memory beforehand
    runqueue        the runs that wait for their turn (queuefiles: on disk);  worker: starts them
    training_volumes    several proteins to train on (resampling: brought to one voxel size);  proteins: random ones,
                    sources: their names;  checkpoints: how far a training had got
    generate        the seed's generator of projections;  console: what the command line shows

``python -m engine`` is the command line; the app in ``app.py`` and ``pages/`` starts the same command and reads the
same record. The engine knows no streamlit. Each heavy library has one door: TensorFlow ``siamese``, FINUFFT
``fourier``, ASTRA ``astra_gpu``, DuckDB ``catalogue``, mrcfile ``maps``, gemmi ``coordinates``, starfile ``particles``.

Every convention (frames, signs, order, units) is stated once, in :mod:`engine.rotations`. Whatever a user gives wrongly
ends in one line, an :class:`engine.errors.InputError`.
"""
