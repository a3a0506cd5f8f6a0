"""Trained runs and grids as one page: beside the paper's numbers, each by itself, and where all comes from.

In the order of the data:

``inputs``        directories     -> which are runs, which are grids
``runs``          a run directory -> its answers clip by clip, its numbers, its curves, its origin
``identity``      a run           -> what it must share with another for one mean of both
``groups``        runs            -> by data set and setting, over folds and seeds
``paper``         Tables I and II, as printed
``tables``        groups          -> tables beside the paper's rows
``grids``         grids           -> sections with the tables of `ablate`
``scene``         face-only, full -> what the scene contributes, clip by clip
``sheet``         a pair          -> contact sheets of the clips won and lost; a bridge
``stages``        a measured run  -> Fig. 4: t-SNE of its features at four stages
``sections``      groups          -> the sections of the page
``write_report``  all of it, written by `trainer.pages`
"""

from trainer.report.write_report import Report, report

__all__ = ["Report", "report"]
