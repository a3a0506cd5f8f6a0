"""Baselines on the features of a cache, with the folds, the holdout and the metrics of a trained run.

In the order of the data:

``settings``       texts                     -> settings of the baselines
``clip_means``     rows of a cache           -> one feature per clip: the mean over its valid frames
``majority``       training labels           -> the most frequent class, for every clip
``zero_shot``      mean features, class texts -> cosines
``linear_probe``   mean features             -> logistic regression
``run``            a cache, a fold, a seed   -> metrics of the test split, with the facts to show beside them

The temporal transformer, another baseline, is `model.architecture=temporal`: it is trained, measured and
used as every run. docs/baselines.md describes all of them with their sources.

Letters: N clips; C classes; F width of a feature.
"""
