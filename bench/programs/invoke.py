"""Invokes a built Lambda function twice; prints the seconds of each, as JSON."""

import json
import time

from lambda_wrapper import handler

BODY = json.dumps({"Event": "s3:TestEvent"})


class Context:
    """What AWS tells a function of its invocation, as far as it is asked."""

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
