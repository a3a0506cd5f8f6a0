"""Names for the arrays of this program, by their type of number."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Halves: TypeAlias = npt.NDArray[np.float16]
Bools: TypeAlias = npt.NDArray[np.bool_]
