"""The process that serves: `python -m tests.llama.process MODEL PARENT`. It prints `serving URL`.

llama.cpp runs in threads of the process that loads it and cannot be stopped there; in a process of its own it can be
killed, and a crash of native code does not take the test run with it.
"""

from __future__ import annotations

import os
import sys
import time

from tests.llama.model import CONTEXT_TOKENS

SLOTS = 4  # calls at once; more of them queue


def main(model: str, parent: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"tiny"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the system picks a free one, and listening_address tells
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT_TOKENS
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.embedding = True  # beside chat, which goes on working
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    sys.stdout.write(f"serving {server.listening_address}\n")
    sys.stdout.flush()
    while os.getppid() == int(parent):  # a test run that was killed leaves no server behind
        time.sleep(0.2)


if __name__ == "__main__":
    main(*sys.argv[1:])
