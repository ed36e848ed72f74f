"""Delivery: the broker, the Celery application, and the thread that dispatches and reaps."""
