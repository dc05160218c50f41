"""The Siamese network that learns distances between poses.

One network is applied to every projection of a batch; a distance is computed from two feature vectors (see
:func:`poses.distance.learned_distances`), and the loss compares the distances of all pairs of the batch with the
true ones. So a batch of 64 gives 2,016 pairs from 64 passes through the network.

The network is equivariant to in-plane rotation: rotating an image in its plane multiplies its pose by ``Rz(psi)`` from
the right, which leaves the third column of R (the viewing direction) unchanged and rotates the other two like a vector.
The image is therefore sampled on a polar grid, where an in-plane rotation is a circular shift; convolutions run around
the circle (with all radii as channels) and commute with that shift; and the features are computed from the mean around
the circle and the power of the first angular harmonics (invariant, like the third column) and from the first harmonic
itself (rotating, like the first two). What remains to be learned is a function of the viewing direction alone: on a
sphere, not on all of SO(3). Nothing else is prescribed: the features enter the loss only through the distances of
pairs.

It can be equivariant to mirroring, too: an image mirrored about its x axis is the projection from the opposite
direction, its pose multiplied by ``diag(1, -1, -1)`` from the right. Where the training's viewing directions come with
their opposites, the network uses this, so that each image serves as two: it applies the same kernels to the image and
to the mirrored one, its channels come in pairs that mirroring swaps, and the read-outs are odd, or conjugate, under the
swap. (Views from half of the sphere do not need this: such a network would have to learn, in addition, to distinguish a
direction from the opposite one.)

The idea of a Siamese network for pose distances is that of Banjac, Donati & Defferrard, arXiv:2104.06237. Harmonic
read-out after circular convolutions: Worrall et al., Harmonic Networks, CVPR 2017. Channels that a symmetry swaps:
Cohen & Welling, Group equivariant convolutional networks, ICML 2016.

The model consists of Keras' own layers only, so a saved one loads anywhere in safe mode, without custom code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.harmonics import Degree
from .libraries import keras, layers, own_settings
from .polar import circular_harmonic, polar_sampling

Images = NDArray[np.float32]

_ANGLES = 64  # samples around the circle
_CHANNELS = 128
_POWERS = 3  # angular harmonics whose power is used
_MOST_ORDERS = 8


@own_settings()
def build_network(
    image_size: int,
    radius: float,
    degrees: Sequence[Degree],
    head: str,
    rng: np.random.Generator,
    mirrored: bool = False,
) -> Any:
    """A Keras model from images (n, image_size, image_size) to the features of some degrees, one after the other.

    ``radius`` in pixels bounds the disc that the network sees. ``mirrored`` makes features equivariant to mirroring:
    those that are invariant to in-plane rotation change their sign if their degree is odd.
    """
    orders = max(degree.orders for degree in degrees)
    radii = max(4, round(radius))

    def seeded() -> Any:
        return keras.initializers.GlorotUniform(seed=int(rng.integers(2**31)))

    def fixed(x: Any, matrix: NDArray[np.floating]) -> Any:
        layer = layers.Dense(matrix.shape[1], use_bias=False, trainable=False)
        y = layer(x)
        layer.set_weights([matrix.astype(np.float32)])
        return y

    def convolved(views: list[Any], width: int) -> list[Any]:
        layer = layers.Conv1D(_CHANNELS // len(views), width, activation="gelu", kernel_initializer=seeded())
        return [layer(_closed(view, width // 2)) for view in views]

    def mixed(views: list[Any], width: int) -> list[Any]:
        """A convolution over the channels of each view and of the other one."""
        pairs = zip(views, reversed(views), strict=True) if mirrored else ()
        both = [layers.Concatenate()([own, _reversed(other)]) for own, other in pairs]
        return convolved(both or views, width)

    image = keras.Input((image_size, image_size), name="image")
    x = fixed(layers.Reshape((image_size**2,))(image), polar_sampling(image_size, radius, radii, _ANGLES))
    x = layers.Reshape((_ANGLES, radii))(x)
    views = [x, _reversed(x)] if mirrored else [x]
    views = mixed(convolved(views, 5), 5)
    views = [layers.AveragePooling1D(2)(view) for view in views]
    views = mixed(mixed(views, 5), 5)
    if 2 * orders < _ANGLES // 4:  # so that the highest harmonic stays below Nyquist's
        views = [layers.AveragePooling1D(2)(view) for view in views]
    views = mixed(mixed(views, 5), 3)

    harmonics = [
        [fixed(layers.Permute((2, 1))(view), circular_harmonic(order, view.shape[1])) for view in views]
        for order in range(1, max(_POWERS, orders) + 1)
    ]  # each (channels, 2)
    unturned = [
        [layers.GlobalAveragePooling1D()(view), *(_power(harmonic[number]) for harmonic in harmonics[:_POWERS])]
        for number, view in enumerate(views)
    ]
    hidden = layers.Dense(_CHANNELS, activation="gelu", kernel_initializer=seeded())
    orders_of_views = ([0, 1], [1, 0]) if mirrored else ([0],)
    seen = [hidden(layers.Concatenate()([x for n in order for x in unturned[n]])) for order in orders_of_views]
    even, odd = (layers.Add()(seen), layers.Subtract()(seen)) if mirrored else (seen[0], seen[0])
    own = [harmonic[0] for harmonic in harmonics[:orders]]
    if mirrored:
        conjugate = np.diag([1.0, -1.0])
        own = [layers.Add()([one, fixed(other, conjugate)]) for one, other in harmonics[:orders]]

    features = []
    for degree in degrees:
        sign_changes = mirrored and degree.degree % 2 == 1
        zeroth = layers.Dense(degree.zeroth, use_bias=not sign_changes, kernel_initializer=seeded())
        parts = [zeroth(odd if sign_changes else even)]
        for harmonic in own[: degree.orders]:
            turned = layers.Permute((2, 1))(harmonic)  # (2, channels); both parts go through one map
            turned = layers.Dense(degree.turning, use_bias=False, kernel_initializer=seeded())(turned)
            parts.append(layers.Flatten()(turned))
        features.append(layers.Concatenate()(parts))
        if head == "cosine":
            features[-1] = layers.UnitNormalization()(features[-1])
    together = features[0] if len(features) == 1 else layers.Concatenate()(features)
    return keras.Model(image, together, name="siamese_branch")


def _closed(x: Any, margin: int) -> Any:
    """Samples on a circle (n, length, channels) padded circularly by ``margin`` on either side."""
    length = x.shape[1]
    return layers.Concatenate(axis=1)(
        [layers.Cropping1D((length - margin, 0))(x), x, layers.Cropping1D((0, length - margin))(x)]
    )


def _reversed(x: Any) -> Any:
    """Samples on a circle (n, length, channels) as they are in the mirrored image."""
    return keras.ops.flip(x, axis=1)


def _power(harmonic: Any) -> Any:
    # Not the product of the harmonic with itself: that gives it two gradients, with those of its other uses three or
    # more, and TensorFlow adds those in the order in which their buffers become free. The order of two does not matter.
    return layers.GlobalAveragePooling1D(data_format="channels_first")(keras.ops.square(harmonic))


def embed(model: Any, images: Images, batch_size: int = 256, on_gpu: bool = False) -> NDArray[np.float32]:
    """Features (n, dim) of images (n, size, size), standardised, at the network's size."""
    with own_settings(on_gpu):
        parts = [
            np.asarray(model(images[start : start + batch_size], training=False))
            for start in range(0, len(images), batch_size)
        ]
    return np.concatenate(parts)


@own_settings()
def save_model(model: Any, path: Path) -> None:
    """Save as ``.keras``."""
    model.save(path)


def load_model(path: Path, on_gpu: bool = False) -> Any:
    """Load a saved network in Keras' safe mode: no code in the file is run."""
    with own_settings(on_gpu):
        return keras.saving.load_model(path, compile=False, safe_mode=True)
