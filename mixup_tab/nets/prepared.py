"""Nets that do something to their inputs before these are mixed."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn


class PreparedNet(nn.Module):
    """A net in two parts, between which :class:`~mixup_tab.MixupNet` mixes.

    In training, raw inputs go through :meth:`prepare`, are mixed, and go on through
    :meth:`body`; in prediction nothing is mixed in between. Both parts run on the device,
    batch by batch. Raw inputs come as they are stored, 16-bit integers as well, so that a
    large data set takes no more memory than it must.

    A subclass sets ``augments`` if :meth:`prepare` changes inputs at random in training mode.
    Everything random in there comes from torch's functions and is drawn from the seed of the
    estimator. Where nothing is random, a small data set is prepared only once, for all members
    of an ensemble. What :meth:`prepare` computes with is not trained: no gradient gets there.

    Estimators hand 16-bit integers on as they are where ``module`` is the subclass or a
    ``functools.partial`` of it; a function that returns one is given floats.

    Attributes
    ----------
    augments : bool
        Whether :meth:`prepare` draws random numbers in training mode.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import PreparedNet
    >>> class Halves(PreparedNet):
    ...     def __init__(self, in_features, out_features):
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(in_features, out_features)
    ...     def prepare(self, x):
    ...         return x.float() / 2
    ...     def body(self, x):
    ...         return self.layer(x)
    >>> Halves(4, 3)(torch.ones(2, 4, dtype=torch.int16)).shape
    torch.Size([2, 3])
    """

    augments = False

    @abstractmethod
    def prepare(self, x: Tensor) -> Tensor:
        """Turn raw inputs into what is mixed.

        Parameters
        ----------
        x : Tensor, shape (batch, *features)
            Raw inputs.

        Returns
        -------
        Tensor of a floating point type, shape (batch, *prepared)
        """

    @abstractmethod
    def body(self, x: Tensor) -> Tensor:
        """Return outputs for prepared, perhaps mixed, inputs.

        Parameters
        ----------
        x : Tensor, shape (batch, *prepared)
            What :meth:`prepare` returns.

        Returns
        -------
        Tensor, shape (batch, outputs)
        """

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs for raw inputs.

        Parameters
        ----------
        x : Tensor, shape (batch, *features)
            Raw inputs.

        Returns
        -------
        Tensor, shape (batch, outputs)
        """
        return self.body(self.prepare(x))
