"""The doctor: what is wrong with a data set, and what to do about it. It never changes the data.

``finding_kinds``  every kind of finding, with its remedy
``finding``        one of them, with the clips concerned
``load``           a data set read, also where extraction would refuse it
``inputs``         what the checks are made on
``counts``         clips counted, compared with the published numbers and every order of labels
``list_checks``    lists, line by line
``labels``         labels of a user's own clips
``groups``         groups of clips in two splits of a fold
``scan``           files and folders at the paths of clips, without opening any
``missing_files``  those compared with the lists
``duplicates``     clips of one file, in one split or in several
``decoding``       every clip decoded, under --deep
``decode_checks``  what became of them
``frame_counts``   frames asked for, claimed and there
``all_checks``     all of it
``report``         the outcome
``split_counts``   clips by fold, split and class
``page``           docs/checking-data.md's table of kinds
"""

from pipeline.doctor.all_checks import CheckOptions, check
from pipeline.doctor.report import DoctorReport

__all__ = ["CheckOptions", "DoctorReport", "check"]
