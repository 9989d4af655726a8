"""The whole service by one command: a private broker, one worker, the steward and the gateway,
supervised. With ``MMML_REDIS_URL`` set no broker is started; everything else is the same.
"""

from app.local.broker import BROKER_MEMORY, broker_at, broker_command, wait_for_socket
from app.local.errors import EmbeddedError
from app.local.serve import serve
from app.local.state import default_state_dir, socket_path, state_lock
from app.local.supervisor import Child, Supervisor

__all__ = [
    "BROKER_MEMORY",
    "Child",
    "EmbeddedError",
    "Supervisor",
    "broker_at",
    "broker_command",
    "default_state_dir",
    "serve",
    "socket_path",
    "state_lock",
    "wait_for_socket",
]
