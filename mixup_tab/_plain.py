"""NumPy scalars and arrays among parameters, converted to plain Python values."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np


def as_python(value: Any) -> Any:
    """Convert NumPy scalars and arrays to Python values, also inside lists, tuples and dicts.

    A list or tuple without any is returned itself, because ``clone`` checks identity.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab._plain import as_python
    >>> as_python({"alpha": np.float64(0.5), "sizes": np.array([8, 4])})
    {'alpha': 0.5, 'sizes': [8, 4]}
    """
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if type(value) in (list, tuple):
        parts = [as_python(part) for part in value]
        same = all(part is given for part, given in zip(parts, value, strict=True))
        return value if same else type(value)(parts)
    if type(value) is dict:
        return {key: as_python(part) for key, part in value.items()}
    return value


def check_limit(name: str, limit: float) -> None:
    """Raise TypeError or ValueError unless a limit is a positive number."""
    if not isinstance(limit, Real) or isinstance(limit, bool):
        raise TypeError(f"{name}={limit!r} must be a positive number.")
    if not limit > 0:
        raise ValueError(f"{name}={limit!r} must be a positive number.")


def shown(value: Any) -> str:
    """Return ``repr(value)`` for a message, without the names of NumPy's scalar types.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab._plain import shown
    >>> shown((np.float64(-0.5), np.str_("a"), np.True_))
    "(-0.5, 'a', True)"
    """
    return repr(as_python(value))


class PythonParams:
    """Mixin for scikit-learn estimators: parameters are validated as plain Python values."""

    def _validate_params(self: Any) -> None:
        # Imported here, because mixing rules use this module without scikit-learn.
        from sklearn.utils._param_validation import validate_parameter_constraints

        params = as_python(self.get_params(deep=False))
        name = type(self).__name__
        validate_parameter_constraints(self._parameter_constraints, params, caller_name=name)
