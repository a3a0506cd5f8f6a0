"""Forms of output for results, by type. Results themselves are data.

``text``         lines for a terminal
``json_values``  values for JSON documents
``shown``        results that notebooks show like a terminal
``subjects``     search for the display module of a result, one of:

``bench``        speeds and goals
``cache``        contents of a cache; an export; changes of a relabelling
``count_table``  counts of clips, in columns of text
``doctor``       checks of a dataset
``extraction``   a run of `extract`: plan, estimate and result
``faces``        faces in images and videos; a contact sheet of a dataset
``verification`` checks and repair of a cache
``weights``      files of model weights
"""

SUBJECTS = {
    "pipeline.bench": "pipeline.display.bench",
    "pipeline.clip_model.listing": "pipeline.display.weights",
    "pipeline.doctor": "pipeline.display.doctor",
    "pipeline.preview_faces": "pipeline.display.faces",
    "pipeline.relabel": "pipeline.display.cache",
    "pipeline.repair": "pipeline.display.verification",
    "pipeline.runner": "pipeline.display.extraction",
    "pipeline.samples": "pipeline.display.faces",
    "pipeline.store.export": "pipeline.display.cache",
    "pipeline.store.summary": "pipeline.display.cache",
    "pipeline.verify": "pipeline.display.verification",
    "pipeline.weights": "pipeline.display.weights",
}
"""Module or package of a result -> display module that registers its forms."""
