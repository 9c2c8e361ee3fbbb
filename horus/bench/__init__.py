"""The workloads behind ``horus bench`` and the comparison with other projects.

Everything here but :mod:`horus.bench.ours` uses the standard library only and imports nothing
else of HORUS, so that the same measuring code also runs in the environment of another project.
"""
