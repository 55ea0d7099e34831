"""An agent that is only asked to edit while the climb holds its device."""

from cairn.agents.protocol import Agent, EditOutcome, EditTask
from cairn.errors import TryAgain
from cairn.execution.leases import Lease


class LeasedAgent:
    """Gets a lost device back before each edit; the rest is the agent's."""

    def __init__(self, agent: Agent, lease: Lease) -> None:
        self.name = agent.name
        self._agent = agent
        self._lease = lease

    def edit(self, task: EditTask) -> EditOutcome:
        """Edit, unless the device is required and cannot be had: that is nobody's fault, and passes."""
        try:
            self._lease.ensure()
        except TryAgain as error:
            return EditOutcome("failed", reason="infra", detail=str(error))
        return self._agent.edit(task)
