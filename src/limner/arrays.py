"""Names of the kinds of numpy arrays that functions take and give, by their dtype.

Shapes and ranges are in the docstring of what takes or gives an array.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Colour values in [0, 255], of one picture ``(H, W, 3)`` or of several, unless said otherwise."""
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
"""What holds of each pixel, ``(H, W)``, unless said otherwise."""
Indices = NDArray[np.int64]
"""Numbers of rows."""
