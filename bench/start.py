"""How long `import bursar` takes, and until a client stands: medians of fresh interpreters, in milliseconds.

python -m bench.start [--json]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from bench.report import arguments, show

IMPORT = "import time; a = time.perf_counter(); import bursar; print(time.perf_counter() - a)"
CLIENT = (
    "import time; a = time.perf_counter(); import bursar\n"
    "with bursar.Client(budget_usd=5, books='memory:', api_keys={'openai': 'sk-x'}): print(time.perf_counter() - a)"
)
HELP = "import time; a = time.perf_counter(); import bursar.cli; print(time.perf_counter() - a)"


def median_ms(code: str, times: int) -> float:
    environment = {**os.environ, "BURSAR_CONFIG": ""}
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment).stdout)
        for _ in range(times)
    ]
    return round(statistics.median(runs) * 1000, 1)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--times", type=int, default=9)
    asked = parser.parse_args()
    figures = {
        "import_bursar_ms": median_ms(IMPORT, asked.times),
        "import_and_open_client_ms": median_ms(CLIENT, asked.times),
        "import_command_line_ms": median_ms(HELP, asked.times),
    }
    show("start", figures, as_json=asked.json)


if __name__ == "__main__":
    main()
