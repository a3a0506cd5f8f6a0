"""Other programs for the same kind of task, which `benchmarks.peers` runs beside this one.

environment   environments with the packages of another program beside this one's torch and numpy
clips         the clips and weights that all programs get
programs      commands of the encoding programs, and measurement of their processes
detectors     face detectors on the same frames, each in a process of its own
run_counted   the script that runs a program and counts its processor time
run_mtcnn     the script that runs facenet-pytorch's detector in its environment
"""
