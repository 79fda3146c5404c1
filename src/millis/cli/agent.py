"""`millis agent`: measure, on this machine, what training machines send. They name it with `benchmark.where=`."""

import signal

from omegaconf import DictConfig

from millis.benchmark.agent.server import Agent
from millis.benchmark.agent.token import take_token
from millis.cli.signals import Ending
from millis.report.text import wide_console
from millis.server.access import LOOPBACK


def run(cfg: DictConfig, ending: Ending) -> None:
    """Serve until interrupted or terminated; what is being measured is finished, and nothing that was sent is left."""
    ending.take_time()
    with Agent(cfg.host, cfg.port, take_token(), cfg.max_file_bytes, cfg.max_kept_bytes) as agent:
        signal.signal(signal.SIGTERM, lambda *_: agent.stop())
        address = f"http://{cfg.host}:{agent.port}"
        console = wide_console(stderr=True)
        console.print(f"measuring for benchmark.where={address}", soft_wrap=True, highlight=False)
        if cfg.host not in LOOPBACK:
            console.print("this is unencrypted: whoever taps the network learns the token; see conf/agent.yaml")
        agent.serve()
