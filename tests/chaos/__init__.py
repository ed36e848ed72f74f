"""Two thousand runs while everything that can break is broken, and a look at what is left: `make chaos`.

Real: two coordinator processes on one PostgreSQL, of which one dispatches and the other stands by; a Valkey; HTTP;
Celery messages; SIGKILL. Simulated: the devices (tests/bench/fleet).
"""
