"""Steps of `benchmarks.gpu`, each a process of its own, with their runner and reports.

Modules of a run:

``arguments`` the command line
``options``   device, clips and directories of a run
``plan``      the steps, their order and their time limits
``runner``    starts each step, ends it at its limit, records outcomes
``child``     the process of one step
``context``   options, device, clock and recorder of a step
``records``   the rows of results.jsonl
``same_run``  comparison of earlier results with this machine, code and options
``work_dir``  the directory where the steps write and delete files
``summary``   the rows as a table and as one JSON document

Modules for measurements:

``inputs``    clips and models
``cli``       commands of the product in processes of their own
``products``  matrix products, the ceiling of the encoder's speed
``passes``    the encoder's own work on one batch
``fp8``       linear layers as fp8 products
``kernels``   the time of a device's kernels, by torch's profiler
``graphs``    a call as a CUDA graph
``compiling`` backend for `torch.compile`
``monitor``   utilisation, memory and power of the GPU during a run
``changes``   single changes of the extraction, for comparison

The steps, in the order in which they run: ``setup``, ``environment``, ``gpu_tests``, ``encoder``,
``extraction``, ``detector``, ``agreement``, ``training``, ``decoding``, ``encoder_changes``,
``command_line``, ``sweep``, ``bench``.
"""
