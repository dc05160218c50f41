from __future__ import annotations

import numpy as np
import pytest

from engine.learning import optimiser


@pytest.mark.parametrize("shape", [(24, 10), (10, 24), (5, 6, 16)])
def test_a_step_makes_all_singular_values_of_a_matrix_nearly_one(shape, rng):
    import keras

    kernel = keras.Variable(np.zeros(shape, np.float32))
    muon = optimiser.MatrixOptimiser(0.5, weight_decay=0.0, clipnorm=1.0)
    muon.build([kernel])
    gradient = rng.normal(size=shape).astype(np.float32)
    muon.apply([keras.ops.convert_to_tensor(gradient)], [kernel])

    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    step = np.array(kernel).reshape(rows, columns) / (0.5 * 0.2 * np.sqrt(max(rows, columns)))
    left, _, right = np.linalg.svd(gradient.reshape(rows, columns), full_matrices=False)
    aligned = left.T @ -step @ right.T  # diagonal where the step has the gradient's singular vectors
    assert np.abs(aligned - np.diag(np.diag(aligned))).max() < 1e-4
    found = np.diag(aligned)
    assert (found.min() > 0.6) & (found.max() < 1.3)  # as far as five iterations go


def test_a_matrix_is_updated_as_keras_does_and_a_vector_as_by_adam(rng):
    import keras

    def updated(rule, shape):
        variable = keras.Variable(np.ones(shape, np.float32))
        rule.build([variable])
        for gradient in gradients[shape]:
            rule.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        return np.array(variable)

    gradients = {shape: rng.normal(size=(3, *shape)).astype(np.float32) for shape in ((6, 4), (7,))}
    ours = {
        shape: updated(optimiser.MatrixOptimiser(0.1, weight_decay=0.3, clipnorm=1.0), shape) for shape in gradients
    }
    keras_muon = keras.optimizers.Muon(0.1, weight_decay=0.3, clipnorm=1.0)
    np.testing.assert_allclose(ours[6, 4], updated(keras_muon, (6, 4)), rtol=1e-6)
    np.testing.assert_allclose(ours[7,], updated(keras.optimizers.Adam(0.1, clipnorm=1.0), (7,)), rtol=1e-5)
