"""The doctor: problems of a dataset, with remedies. It never changes the data.

``finding_kinds``  every kind of finding, with its remedy
``finding``        one finding, with the clips concerned
``load``           reader of the inputs, also of datasets that extraction would reject
``inputs``         inputs of the checks
``counts``         counts of clips, compared with the published counts and every order of labels
``list_checks``    checks of lists, line by line
``labels``         checks of the labels of a user's own clips
``groups``         groups of clips in two splits of a fold
``scan``           files and directories at the paths of clips, without opening any
``missing_files``  comparison of these with the lists
``duplicates``     clips of one file, in one split or in several
``decoding``       decoding of every clip, for --deep
``decode_checks``  checks of decoded clips
``frame_counts``   numbers of frames: requested, listed and on disk
``all_checks``     all of these checks
``report``         result of the checks
``split_counts``   numbers of clips by fold, split and class
``page``           table of kinds in docs/checking-data.md
"""

from pipeline.doctor.all_checks import CheckOptions, check
from pipeline.doctor.report import DoctorReport

__all__ = ["CheckOptions", "DoctorReport", "check"]
