"""Compare the package's MemNet with the straightforward float32 port, and nothing else.

    python benchmarks/reference_memnet.py --weights memnet-m6r6-jpeg --size 256

The port is ``memnet_cli/evaluation/straightforward.py``, in the package because ``memnet speed``
measures it too. Prints the largest difference of the two results and the seconds of both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="a MemNet weights file, or its name")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", help="of the package; the port is float32")
    parser.add_argument("--size", default="256", help="HEIGHTxWIDTH or one side")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(arguments)

    from memnet_cli.evaluation.speed_plan import SpeedConfig, parse_size, plan_speed
    from memnet_cli.evaluation.speed_subjects import inside_call, load, port_call
    from memnet_cli.evaluation.speed_timing import interleaved

    config = SpeedConfig(
        (given.weights,), None, given.device, precisions=(given.precision,), repeats=given.repeats
    )
    (planned,) = plan_speed(config)
    size = parse_size(given.size)
    engine = load(planned, config.device, given.precision).engine
    own, pixels = inside_call(engine, *size)
    port = port_call(planned, engine.runtime.device, *size)
    if port is None or pixels != size[0] * size[1]:
        parser.error("expected the weights of a whole MemNet, and a size that fits into memory")
    difference = float((own().float() - port()).abs().max())
    seconds = interleaved({"package": own, "port": port}, config.repeats, engine.runtime.device)
    for name, spread in seconds.items():
        sys.stdout.write(f"{name:8}{spread.median:9.3f} s ({spread.low:.3f}-{spread.high:.3f})\n")
    faster = seconds["port"].median / seconds["package"].median
    sys.stdout.write(f"{faster:.2f} times faster; the results differ by {difference:.2e} at most\n")


if __name__ == "__main__":
    main()
