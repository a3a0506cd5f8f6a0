"""Measurement of face tracks on trial clips with a truth.

Modules, in the order of the data:

``scenes``      the trial clips of this package: paths, sizes and layers of people
``clips``       draws these clips and writes their truth
``truth``       reads the truth of a directory of trial clips
``detections``  detects faces on every frame once, and stores them in one file per directory
``trackers``    the interface of a tracker, and the trackers that are compared
``measures``    IDF1, switches and fragmentations of all tracks, and the measures of the subject's track
``__main__``    command line and table
"""
