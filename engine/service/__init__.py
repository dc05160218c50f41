"""All actions that change something: one call per action, each with the actor who takes it.

Pages and command line change data only through here, so that permissions and logging of actions have one place.
"""
