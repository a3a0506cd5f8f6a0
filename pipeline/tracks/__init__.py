"""Track of one subject: its box on every sampled frame. Pure numpy.

Two methods choose and follow the subject (`TrackConfig.method`, decision 0026):

``motion``   the person with the largest weight over all shots, of the people of `pipeline.people`
``nearest``  detections linked to the nearest box of the frame before, without shots: the method of caches of
             earlier versions

``config``   settings
``subject``  the first method
``nearest``  the second one
``named``    search for the person that the dataset names as the subject, for the first method
``boxes``    boxes where the face was not detected; smoothing
"""

from pipeline.tracks.boxes import track_of_crops
from pipeline.tracks.config import EARLIER_METHOD, METHODS, ONLY_OF, TrackConfig
from pipeline.tracks.named import Chosen, find_named
from pipeline.tracks.nearest import nearest_track
from pipeline.tracks.subject import subject_track

__all__ = [
    "EARLIER_METHOD",
    "METHODS",
    "ONLY_OF",
    "Chosen",
    "TrackConfig",
    "find_named",
    "nearest_track",
    "subject_track",
    "track_of_crops",
]
