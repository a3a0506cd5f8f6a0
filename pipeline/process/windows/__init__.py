"""From a long source to every person's features in every window, in bounded memory.

``plan``      windows, from the times of frames and the cuts (pure)
``tracks``    tracks of everyone, while frames are read in order
``seen``      a frame with its faces, as long as windows need it
``samples``   one person in one window, and the conditions of an answer
``pictures``  stream images, each encoded once
``engine``    from frames in order to samples
"""
