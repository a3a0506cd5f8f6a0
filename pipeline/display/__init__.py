"""Results -> what a user reads: forms of output by type. Results themselves are data.

``text``         lines for a terminal
``json_values``  values for JSON documents
``subjects``     which of these modules shows which results:

``bench``        speeds and goals
``cache``        what a cache holds; an export; what relabelling changes
``checks``       a dataset or a cache, checked; a cache, repaired
``count_table``  clips counted, in columns of text
``extraction``   a run of `extract`: planned, timed and done
``faces``        faces in pictures and videos; a contact sheet of a dataset
``weights``      files of model weights
"""

SUBJECTS = {
    "pipeline.bench": "pipeline.display.bench",
    "pipeline.clip_model.listing": "pipeline.display.weights",
    "pipeline.doctor": "pipeline.display.checks",
    "pipeline.preview_faces": "pipeline.display.faces",
    "pipeline.relabel": "pipeline.display.cache",
    "pipeline.repair": "pipeline.display.checks",
    "pipeline.runner": "pipeline.display.extraction",
    "pipeline.samples": "pipeline.display.faces",
    "pipeline.store.export": "pipeline.display.cache",
    "pipeline.store.summary": "pipeline.display.cache",
    "pipeline.verify": "pipeline.display.checks",
    "pipeline.weights": "pipeline.display.weights",
}
"""Module or package of a result -> the module that registers its forms."""
