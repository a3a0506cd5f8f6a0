"""Results of training and measuring -> what a user reads; see `pipeline.display`.

``training``      a run, and where its time went
``evaluation``    metrics of a split, with what must stand beside them
``scene_effect``  what the scene changes, clip by clip
``sweep``         rows of many runs
``report``        runs and grids side by side
``demo``          the two models of the demo

The HTML and Markdown form of a report is `trainer.pages`.
"""

SUBJECTS = {
    "trainer.ablate": "trainer.display.sweep",
    "trainer.demo": "trainer.display.demo",
    "trainer.evaluation": "trainer.display.evaluation",
    "trainer.leaks": "trainer.display.evaluation",
    "trainer.metrics": "trainer.display.evaluation",
    "trainer.profile": "trainer.display.training",
    "trainer.report": "trainer.display.report",
    "trainer.scene_effect": "trainer.display.scene_effect",
    "trainer.run_statistics": "trainer.display.sweep",
    "trainer.training_result": "trainer.display.training",
    "trainer.training_set": "trainer.display.evaluation",
}
"""Module or package of a result -> the module that registers its forms."""
