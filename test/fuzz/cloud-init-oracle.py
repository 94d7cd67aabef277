"""Reads user data as cloud-init does: one base64 text a line in, one JSON list of [type, base64 of the content] a line out.

`#ecs-node` is registered as one more first line, as if cloud-init had a handler for it. `null`: cloud-init refuses the text.
"""

import base64
import json
import logging
import sys

from cloudinit import handlers, helpers, user_data

logging.disable(logging.CRITICAL)
handlers.INCLUSION_TYPES_MAP["#ecs-node"] = "application/x-ecs-node"
handlers.INCLUSION_SRCH.append("#ecs-node")
handlers.INCLUSION_SRCH.sort(key=lambda each: -len(each))


class Processor(user_data.UserDataProcessor):
    def _do_include(self, content, append_msg):
        """Fetches nothing."""


def parts(blob):
    found = []

    def note(_data, _filename, payload, headers):
        content = payload or b""
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogateescape")
        found.append([headers["Content-Type"], base64.b64encode(content).decode()])

    message = Processor(helpers.Paths({})).process(blob)
    handlers.walk(message, note, {})
    return found


for line in sys.stdin:
    try:
        answer = parts(base64.b64decode(line))
    except Exception:
        answer = None
    print(json.dumps(answer), flush=True)
