"""A feature cache in, a trained and measured OUS model out.

In the order of the data:

``caches``           where a run's cache is      -> the cache, or what to do where it was moved
``known_caches``     caches on object storage that this user has trained on
``folds``            a cache and a fold          -> the rows that train, validate and test
``holdout``          the rows that train         -> a share of them, by clip or by group, to validate
``leaks``            clips measured, clips seen  -> those that share footage: rejected, or marked
``training_clips``   a run's own clips           -> kept beside it, compared with those to be measured
``training_set``     a run and a cache           -> the clips that trained it; whether the cache has more now
``batches``          these rows                  -> their features in memory, batches of them
``finite``           features as they are read   -> clips whose features are NaN or infinite: rejected
``layers``           frame features              -> LSTM, Frame Encoder, alignment, Polarity Encoder
``fusion``           face, scene, polarity       -> the Type Fusion Encoder, or their average
``model``            a batch                     -> one output feature per clip, and its logits
``precision``        settings and a device       -> fp32, tf32 or bf16, of training and of measuring
``prompts``          class names                 -> text features, through CLIP's frozen text tower
``losses``           outputs and labels          -> every loss of eq. 4 by name, and the gate
``scalars``          named scalars of a step     -> a table of an epoch's steps
``optim``            gradients                   -> steps: Adam, warm-up, plateau, the rules for stopping
``steps``            a batch                     -> one step, part by part or as a CUDA graph
``profile``          steps                       -> where their time goes
``metrics``          labels and predictions      -> confusion matrix, WAR, UAR, intervals
``intervals``        right clips by class, group -> 95% intervals
``run_statistics``   metrics of many runs        -> spread over folds and seeds, mean of folds, pooled folds
``run_info``         a cache, a fold, a config   -> what a run was made from, and how it went
``run_directory``    config and origin           -> a run directory, and back
``checkpoint``       a model                     -> the weights in a run directory, and back
``weights_file``     tensors                     -> bytes of a safetensors file, and back
``board``            an epoch's numbers          -> TensorBoard's event file
``training``         a cache                     -> a run directory
``epochs``           the parts of a run          -> its epochs, until a rule for stopping holds
``training_result``  epochs                      -> how the run went
``measurement``      a run directory             -> its answers on every clip of a split
``evaluation``       a run directory             -> WAR, UAR, per-class recall, confusion
``scene_effect``     the answers of two models   -> what the scene changes, clip by clip
``report``           runs and grids              -> one page: HTML, Markdown, JSON
``pages``            texts, tables, figures      -> HTML, Markdown, terminal
``display``          results                     -> lines for a terminal, values for JSON documents
``plots``            records and metrics         -> figures
``ablate``           a table of settings         -> runs on workers, beside the paper's numbers
``load_speed``       a cache                     -> how fast it is loaded; for `bench`
``commands``         the command line's part: train, evaluate, ablate, demo

``config`` holds every setting, the readings of the paper among them; ``presets`` are sets of settings, and
``config_file`` is a config as TOML.

Letters used in all these files: B clips of a batch; N clips in memory; V views; T frames;
F joint embedding width; D encoder width; C classes; P polarities (3); M prompt vectors;
L fusion blocks; Q learnable queries; S tokens or text positions; W text tower width.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.evaluation import evaluate
    from trainer.training import train

__all__ = ["evaluate", "train"]

_MODULES = {"evaluate": "trainer.evaluation", "train": "trainer.training"}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used, because torch takes seconds."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    msg = f"module 'trainer' has no attribute '{name}'"
    raise AttributeError(msg)
