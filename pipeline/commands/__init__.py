"""The pipeline's commands: each parses, calls one function of the pipeline, and prints what it gives.

``options``   what several commands take, and a data set by it; ``shutdown`` how long ones end
``extract``   clips -> cache; ``bench`` how fast
``data``      a data set looked at before; ``faces`` single files
``cache``     a cache looked at, mended, relabelled, exported
``weights``   published weights

Nothing heavy is imported before a command needs it.
"""
