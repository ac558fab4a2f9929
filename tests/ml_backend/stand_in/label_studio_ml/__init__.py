"""A stand-in for label-studio-ml 2.x, which is not on the package index: its public contract, as its page says.

https://github.com/HumanSignal/label-studio-ml-backend. It is used where that package is not installed.
"""
