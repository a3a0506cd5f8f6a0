"""A feature cache -> a trained and measured OUS model.

In the order of the data:

``caches``           the location of a cache     -> the cache, or an error with the command to use
``known_caches``     caches on object storage that this user has trained on
``folds``            a cache and a fold          -> the rows of training, validation and test
``holdout``          training rows               -> validation rows, by clip or by group
``leaks``            measured and seen clips     -> clips that share footage: rejected or marked
``seen_clips``       a fold, further caches      -> clips that a run sees, and shared footage
``training_clips``   a run's clips               -> stored with the run, compared with measured clips
``training_set``     a run and a cache           -> the clips that trained it; whether the cache has more now
``block_reading``    a block of a cache          -> features of its clips
``clip_loading``     rows of caches              -> their features in memory
``streamed_clips``   rows of caches              -> batches of features that stay there (``pool_memory``)
``block_shuffle``    clips by block              -> a random order that uses few blocks at a time
``batches``          features of clips           -> batches of them
``added_clips``      further caches              -> clips that they add (``added_cache``: their record)
``added_polarities`` these clips                 -> their polarities, of their classes if they have none
``frame_means``      frames of a clip            -> those that a stream uses, means of features over them
``feature_batch``    features of windows         -> a batch, as if a cache held them
``clip_lengths``     training clips              -> quartiles of their lengths in seconds
``finite``           features                    -> an error for clips with NaN or infinity
``mixup``            a batch                     -> a batch of mixed clips
``layers``           frame features              -> LSTM, Frame Encoder, alignment, Polarity Encoder
``fusion``           face, scene, polarity       -> the Type Fusion Encoder
``model``            a batch                     -> one output feature per clip, and its logits
``temporal``         a batch                     -> the same of a baseline: a transformer with a class token
``model_choice``     settings                    -> the model
``precision``        settings and a device       -> fp32, tf32 or bf16, of training and of measuring
``prompts``          class names                 -> class features, through CLIP's frozen text encoder
``class_balance``    labels by cache             -> drawing of clips; weight and prior of each class
``targets``          votes, weights, a prior     -> the contrastive loss of training, if it is not plain
``losses``           outputs and labels          -> every loss of eq. 4 by name, and the gate
``scalars``          named scalars of a step     -> a table of an epoch's steps
``optim``            gradients                   -> Adam, warm-up, plateau, stopping rules
``steps``            a batch                     -> one step, part by part or as a CUDA graph
``profile``          steps                       -> time of each part
``metrics``          labels and predictions      -> confusion matrix, WAR, UAR, intervals
``intervals``        right clips by class, group -> 95% confidence intervals
``run_statistics``   metrics of many runs        -> spread over folds and seeds, mean of folds, pooled folds
``run_info``         a cache, a fold, a config   -> origin and progress of a run
``run_values``       values of run.json          -> an error for one of another type
``run_directory``    config and origin           -> a run directory, and back
``checkpoint``       a model                     -> the weights in a run directory, and back
``weights_file``     tensors                     -> bytes of a safetensors file, and back
``runs``             a run directory             -> the run, which answers batches
``board``            an epoch's numbers          -> TensorBoard's event file
``training``         one or several caches       -> a run directory
``resumed_run``      an interrupted run          -> the state from which it continues
``epochs``           the parts of a run          -> its epochs, until a stopping rule holds
``training_result``  epochs                      -> result of the run
``scene_sample``     training clips              -> scenes beside the run, for answers with other scenes
``calibration``      logits of validation clips  -> a temperature; calibration error of probabilities
``measured_clips``   a run and a split           -> clips to measure, or why they cannot be measured
``measurement``      a run directory             -> predictions for every clip of a split
``doubtful_tracks``  predictions, cache rows     -> metrics without clips whose face may be another person's
``clips_without_face`` predictions, cache rows   -> number of clips without a face, metrics of the others
``evaluation``       a run directory             -> WAR, UAR, per-class recall, confusion matrix
``clip_predictions`` a measured split            -> predictions.csv, a clip each, and back
``run_ensemble``     runs of folds and seeds     -> the mean of their probabilities, measured like a run
``class_map``        classes of another cache    -> those of a run
``transfer_table``   runs of several datasets    -> their metrics on all of them
``paired_statistics`` differences of two methods -> intervals and tests over runs and over clips
``scene_effect``     predictions of two models   -> effect of the scene, clip by clip
``report``           runs and sweeps             -> one page: HTML, Markdown, JSON
``pages``            texts, tables, figures      -> HTML, Markdown, terminal
``display``          results                     -> lines for a terminal, values for JSON documents
``plots``            records and metrics         -> figures
``ablate``           a table of settings         -> runs on workers, with the paper's numbers
``load_speed``       a cache                     -> speed of loading it; for `bench`
``prediction``       a run and a video           -> answers per person over time, and their files
``model_directory``  an exported model           -> the settings of its run
``export``           a run                       -> a model for others: weights, settings, card, example
``train_command``    the commands train and demo
``commands``         the commands evaluate, report, ablate
``predict_command``  the command predict; ``export_command`` the command export
``ensemble_command`` the command ensemble; ``transfer_command`` the command transfer
``csv_text``         cells                       -> lines of a CSV file, and back
``predict_list_command`` the command predict for a list of clips

``config`` has every setting, including the readings of the paper (``training_config``: those of losses,
optimizer and schedule; ``data_config``: those of clips). ``presets`` are sets of settings,
``config_file`` is a config as TOML, and ``config_choice`` finds the settings that a user names.

Letters of shapes: A positions ahead of a class name; B clips of a batch; C classes; D width of the image
encoder; E positions from a class name to the end of the prompt; F embedding width; G groups of clips;
H heads; I width of a head; J kept tokens of an image; K contexts of the prompts; L fusion blocks; M context
vectors; N clips (steps in `scalars`); P polarities (3); Q learnable queries; R replicates of a bootstrap;
S tokens; T frames; V views; W width of the text encoder; Y tokens of all prompts; Z positions of a prompt.
X is another axis, which each file names. 4 and 3 are early blocks and their statistics. Frames have the
letters of `pipeline.types`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.evaluation import evaluate
    from trainer.prediction.api import predict
    from trainer.prediction.stream import predict_stream
    from trainer.run_ensemble import ensemble
    from trainer.runs import load_run
    from trainer.training import resume, train
    from trainer.transfer_table import transfer

__all__ = ["ensemble", "evaluate", "load_run", "predict", "predict_stream", "resume", "train", "transfer"]

_MODULES = {
    "ensemble": "trainer.run_ensemble",
    "evaluate": "trainer.evaluation",
    "load_run": "trainer.runs",
    "predict": "trainer.prediction.api",
    "predict_stream": "trainer.prediction.stream",
    "resume": "trainer.training",
    "train": "trainer.training",
    "transfer": "trainer.transfer_table",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used, because torch takes seconds."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    msg = f"module 'trainer' has no attribute '{name}'"
    raise AttributeError(msg)
