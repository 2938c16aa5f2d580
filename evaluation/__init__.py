"""Measuring what compression costs: data set x method x rate x reader, to tables with intervals.

`elision eval` is its command. It may import `elision.compressors` and `elision.config`; nothing but
the command line imports it, and nothing of it runs while requests are served.
"""
