"""Invoke a built Lambda function twice; print the seconds of each as JSON."""

import json
import time

from lambda_wrapper import handler

# The function gets it, and has nothing to do.
BODY = json.dumps({"Records": [{"eventName": "ObjectRemoved:Delete"}]})


class Context:
    """The part of Lambda's context object that the wrapper uses."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left."""
        return 30_000


seconds = []
for number in range(2):
    event = {"Records": [{"messageId": str(number), "body": BODY}]}
    began = time.monotonic()
    answer = handler(event, Context())
    seconds.append(time.monotonic() - began)
    assert answer == {"batchItemFailures": []}, answer
print(json.dumps(seconds))
