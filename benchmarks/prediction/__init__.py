"""Acceptance of `predict`: its numbers on real and drawn videos, by `python -m benchmarks.prediction`.

Modules, in the order in which they are used:

- `settings`: detector, encoder and options of the measurements
- `videos`: stand-in videos, drawn or looped
- `parity`: features of windows against those of `extract`
- `speed`: shared images, and the time beside that of encoder and detector alone
- `kills`: predictions that are killed and resumed
- `memory`: memory of all processes during a long prediction
- `drawn`: a drawn film whose scene decides, and the clips of the demo as windows
- `scenes`: people and shots in clips with a known truth
- `files`: agreement of the written formats
"""
