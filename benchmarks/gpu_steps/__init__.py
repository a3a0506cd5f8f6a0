"""The steps of `benchmarks.gpu`, each a process of its own, and what runs and reports them.

How a run works:

``arguments`` the command line
``options``   which device, which clips, how long, where the results go
``plan``      the steps, their order and their time limits
``runner``    starts each step, ends it at its limit, lists what happened
``child``     the process of one step
``context``   what a step receives: its options, its device, a clock, a recorder
``records``   the rows of results.jsonl
``same_run``  whether earlier results are of the same machine, code and options
``work_dir``  the directory where the steps write and delete files
``summary``   the rows as a table and as one JSON document

What a step measures with:

``inputs``    clips and models
``cli``       commands of the product in processes of their own
``products``  matrix products, the ceiling of the encoder's speed
``passes``    the encoder's own work on one batch
``fp8``       linear layers as fp8 products
``kernels``   the time of a device's kernels, by torch's profiler
``graphs``    a call as a CUDA graph
``compiling`` how the steps compile with torch
``monitor``   utilisation, memory and power of the GPU during a run
``changes``   single changes of the extraction, for comparison

The steps, in the order in which they run: ``setup``, ``environment``, ``gpu_tests``, ``encoder``,
``extraction``, ``detector``, ``agreement``, ``training``, ``decoding``, ``encoder_changes``,
``command_line``, ``sweep``, ``bench``.
"""
