"""A synthetic set that tests the method's claim: the scene decides where the face cannot.

In the order of the work:

``cues``         a split of version combined -> cues of its clips, which determine their classes
``plan``         config                      -> list of clips, and the face-only bound
``bounds``       list of clips, a reading    -> best accuracy of the reading, for version combined
``expressions``  a class, or two             -> positions of a face's muscles over time
``brush``        anti-aliased shapes
``appearance``   random numbers              -> appearance of a person
``canvas``       units of a face             -> pixels
``heads``        a person and an expression  -> a drawn head; ``parts`` draws its moving parts
``figure``       a head and a torso          -> a person on a frame
``scenes``       a kind of scene             -> a moving one; ``scene_parts`` and the settings in
                 ``positive_scenes``, ``neutral_scenes`` and ``negative_scenes``
``cue_scenes``   cues                        -> a moving scene that shows them
``compose``      person, backdrop, scene     -> frames; keeps the scene out of the face's crop
``write``        frames                      -> mp4 files, manifest and truth
"""

from pipeline.datasets.synthetic.bounds import READINGS, additive_accuracy, all_bounds, best_accuracy
from pipeline.datasets.synthetic.plan import (
    CLASSES,
    PlannedClip,
    SyntheticConfig,
    chance_accuracy,
    face_only_bound,
    plan_clips,
)
from pipeline.datasets.synthetic.write import DESCRIPTION, write_synthetic

__all__ = [
    "CLASSES",
    "DESCRIPTION",
    "READINGS",
    "PlannedClip",
    "SyntheticConfig",
    "additive_accuracy",
    "all_bounds",
    "best_accuracy",
    "chance_accuracy",
    "face_only_bound",
    "plan_clips",
    "write_synthetic",
]
