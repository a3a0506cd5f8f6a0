"""Trained runs and sweeps -> one page, with the paper's numbers and the origin of every number.

In the order of the data:

``inputs``        directories     -> runs and sweeps
``runs``          a run directory -> predictions, metrics, curves, origin
``comparability``  a run           -> facts that runs of one mean share
``rows``          runs            -> groups of one dataset and setting, over folds and seeds
``paper``         Tables I and II, as printed
``baselines``     a sweep         -> Tables I and II with its rows, if it has baselines
``tables``        groups          -> tables with the paper's rows
``sweeps``        sweeps          -> sections with the tables of `ablate`
``scene``         face-only, full -> effect of the scene, clip by clip
``sheet``         a pair          -> contact sheets of clips won and lost, by the pipeline
``stages``        a measured run  -> Fig. 4: t-SNE of its features at four stages
``sections``      groups          -> the sections of the page
``write_report``  the whole report, written by `trainer.pages`
"""

from trainer.report.write_report import Report, report

__all__ = ["Report", "report"]
