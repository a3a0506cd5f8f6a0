"""Commands of the pipeline: each parses options, calls one function, and prints its result.

``help_sections``  command class: options in sections, one line for an invalid choice
``options``        options of several commands, and how they read a dataset
``shutdown``       end of commands that have threads
``extract``        clips -> cache
``bench``          speed of every step
``data``           check or show a dataset before extraction
``faces``          detect faces in single files
``cache``          inspect, verify, repair, relabel or export a cache
``weights``        list and fetch published weights

Large libraries are imported inside the commands that need them.
"""
