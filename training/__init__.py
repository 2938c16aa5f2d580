"""Making compressors: pairs and labels from data, training, export of weights.

`elision train` is its command. It may import `elision.evaluation`, `elision.compressors` and
`elision.config`; nothing but the command line imports it, and nothing of it runs while requests are
served. torch and transformers are imported inside functions: they are the extra `train`'s.
"""
