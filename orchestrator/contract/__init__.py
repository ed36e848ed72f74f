"""The wire between coordinator, agents and pages: data only, no behaviour beyond validation.

Imports the standard library and Pydantic, so that an agent loads neither FastAPI nor SQLAlchemy.
"""
