"""A planner whose writer is the stub language model of chat_server.py."""

from __future__ import annotations

from chat_server import Server

from kinema.channel.config import ChannelConfig, DirectorConfig
from kinema.channel.making.ledger import Ledger
from kinema.channel.making.planning import Planner
from kinema.channel.writing.breaker import SteadyWriter
from kinema.channel.writing.writer_grammar import GrammarWriter
from kinema.channel.writing.writer_llm import LanguageModelWriter


def direct_with(server: Server, ledger: Ledger) -> Planner:
    planner = Planner(ChannelConfig(theme="a storm at sea", director=DirectorConfig(shots=3)), ledger)
    model = LanguageModelWriter(server.chat(tries=2, pause_s=0), planner.moderation.episode)
    planner.writer = SteadyWriter(model, GrammarWriter())
    return planner
