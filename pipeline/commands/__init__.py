"""Commands of the pipeline: each parses options, calls one function, and prints its result.

``help_sections``  command class: options in sections, one line for a wrong choice
``options``        options that several commands share, and a dataset read by them
``shutdown``       end of commands that have threads
``extract``        clips -> cache
``bench``          speed of every step
``data``           a dataset, checked and shown before extraction
``faces``          faces in single files
``cache``          a cache, inspected, verified, repaired, relabelled, exported
``weights``        published weights

Nothing heavy is imported before a command needs it.
"""
