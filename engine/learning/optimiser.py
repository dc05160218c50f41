"""The optimiser of the network: Muon for every matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from .libraries import keras


class MatrixOptimiser(keras.optimizers.Muon):
    """Muon for every matrix of a network; a convolution's kernel (width, in, out) counts as one of (width * in, out).

    The momentum's singular values are all made (nearly) one before a step, so that directions with small gradients are
    learned as fast as others (Jordan et al., kellerjordan.github.io/posts/muon, 2024; scaled as in Liu et al.,
    arXiv:2502.16982). Measured on 5J0N when it replaced Adam: after 900 steps without noise a mean distance error of
    0.0065 rad instead of 0.031; after 1,000 with a noise variance of 16, 0.068 instead of 0.117. Vectors (biases) are
    updated by Adam.
    """

    def __init__(self, learning_rate: float, weight_decay: float, clipnorm: float) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, adam_weight_decay=None, clipnorm=clipnorm)

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) < 2

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """The nearest matrix with singular values one, nearly; Keras calls this for every update."""
        orthogonal = super().zeropower_via_newtonschulz5(keras.ops.reshape(x, (-1, x.shape[-1])), steps)
        return keras.ops.reshape(orthogonal, x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """The update scaled to the size of Adam's, as Keras does for matrices."""
        return x * (max(int(np.prod(x.shape[:-1])), x.shape[-1]) ** 0.5 * self.rms_rate)
