"""What imbalanced-learn wants to know of a sampler, without importing it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from sklearn.utils import InputTags, Tags


@dataclass
class SamplerTags:
    """Tags of a sampler.

    Attributes
    ----------
    sample_indices : bool
        Whether ``sample_indices_`` says where rows come from.
    """

    sample_indices: bool = True


@dataclass
class TableTags(InputTags):
    """Tags of an input.

    Attributes
    ----------
    dataframe : bool
        Whether a DataFrame goes in and comes out.
    """

    dataframe: bool = True


@dataclass
class ImbalancedTags(Tags):
    """scikit-learn's tags with those that imbalanced-learn adds.

    Attributes
    ----------
    sampler_tags : SamplerTags
        Tags of the sampler.
    """

    sampler_tags: SamplerTags = field(default_factory=SamplerTags)


def as_sampler(tags: Tags) -> ImbalancedTags:
    """Return the tags of an estimator as those of a sampler of labelled tables.

    Parameters
    ----------
    tags : Tags
        scikit-learn's.

    Returns
    -------
    ImbalancedTags
    """
    given = {one.name: getattr(tags, one.name) for one in fields(tags)}
    inputs = {one.name: getattr(tags.input_tags, one.name) for one in fields(tags.input_tags)}
    result = ImbalancedTags(**{**given, "input_tags": TableTags(**inputs)})
    result.estimator_type = "sampler"
    result.input_tags.sparse = True
    result.target_tags.required = True
    return result
