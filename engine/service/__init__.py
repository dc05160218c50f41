"""Everything that changes something: one call an action, each with the actor whose action it is.

Pages and command line change nothing but through here, so that who may do what, and what was done, has one place.
"""
