"""The error that a target reports as one sentence."""


class UserError(Exception):
    """The request cannot be met; the message says why and what to do instead.

    The message is a sentence without its full stop. The command line prints it without
    a traceback and exits with 1.
    """
