"""`millis serve`: artifacts behind HTTP."""

from omegaconf import DictConfig

from millis.cli.plain import plain
from millis.cli.signals import Ending
from millis.report.text import wide_console
from millis.server.logs import set_up
from millis.server.settings import SECRET, Settings
from millis.server.supervisor import Server

OWN = ("artifact", "hydra")


def run(cfg: DictConfig, ending: Ending) -> None:
    """Answer requests until interrupted or terminated; what is being answered then is answered."""
    given = [cfg.artifact] if isinstance(cfg.artifact, str) else plain(cfg.artifact)
    settings = Settings(tuple(given), **{key: value for key, value in plain(cfg).items() if key not in OWN})
    token = SECRET.find()
    SECRET.forget()
    ending.take_time()
    set_up()
    with Server(settings, token) as server:
        console = wide_console()
        if not settings.is_private:
            console.print("this is unencrypted: put a proxy with TLS before it; see docs/serving.md")
        names = ", ".join(settings.folders)
        server.serve(lambda: console.print(f"serving {names} at {server.address}", soft_wrap=True, highlight=False))
