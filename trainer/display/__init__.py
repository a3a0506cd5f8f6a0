"""Results of training and measuring -> lines for a terminal and JSON values; see `pipeline.display`.

``training``      a run, and its profile
``evaluation``    metrics of a split, and warnings
``scene_effect``  effect of the scene, clip by clip
``sweep``         rows of many runs
``search``        candidates of a search
``ensemble``      the mean of runs
``transfer``      runs of several datasets, measured on all
``prediction``    predictions of videos
``clip_prediction`` predictions of lists of clips
``export``        exported models
``prediction_progress`` progress bars of predictions
``report``        runs and sweeps
``demo``          the two models of the demo

`trainer.pages` makes HTML and Markdown pages.
"""

SUBJECTS = {
    "trainer.ablate": "trainer.display.sweep",
    "trainer.ablate.search_result": "trainer.display.search",
    "trainer.demo": "trainer.display.demo",
    "trainer.evaluation": "trainer.display.evaluation",
    "trainer.export": "trainer.display.export",
    "trainer.leaks": "trainer.display.evaluation",
    "trainer.metrics": "trainer.display.evaluation",
    "trainer.prediction": "trainer.display.prediction",
    "trainer.prediction.clip_results": "trainer.display.clip_prediction",
    "trainer.profile": "trainer.display.training",
    "trainer.report": "trainer.display.report",
    "trainer.scene_effect": "trainer.display.scene_effect",
    "trainer.run_ensemble": "trainer.display.ensemble",
    "trainer.run_statistics": "trainer.display.sweep",
    "trainer.transfer_table": "trainer.display.transfer",
    "trainer.training_result": "trainer.display.training",
    "trainer.training_set": "trainer.display.evaluation",
}
"""Module or package of a result -> the module that registers its forms."""
