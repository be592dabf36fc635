"""A black-box run of the wire contract against any deployment; `scripts/conformance` starts it.

What is asked here is asked with nothing but the standard library, of nothing but URLs: the modules of this package
import nothing of WebEDT, so that a mistake of the server cannot be made here too. (The tests beside them may.)
"""
