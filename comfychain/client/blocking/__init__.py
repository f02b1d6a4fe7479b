"""The same client for code that does not await: each call is the asynchronous one, run in a loop of its own.

A test holds both surfaces equal: names, parameters and annotations. What a method does stands there.
"""
