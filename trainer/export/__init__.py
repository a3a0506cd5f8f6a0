"""A run -> a directory that others can use: weights, settings, preprocessing, model card, example.

``model_files``    a run                    -> all files of the directory
``preprocessing``  how features were made   -> preprocessing.json
``measured``       confusion.json           -> the results that the card shows
``card``           a run and its results    -> README.md, the model card
``example``        a run                    -> inputs and outputs, so that a port can be checked
``push``           the directory            -> a repository of a model hub
``onnx_file``      a run                    -> head.onnx, compared with torch

`trainer.load_run` and `predict --run` read the directory like a run (`trainer.model_directory`).
"""

from trainer.export.model_files import ExportedModel, export_model

__all__ = ["ExportedModel", "export_model"]
