"""What networks are turned into for CPUs, and how their processes are started."""
