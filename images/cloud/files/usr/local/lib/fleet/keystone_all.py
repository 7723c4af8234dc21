"""Keystone's API as a WSGI application."""

import sqlite_threads  # noqa: F401  for its effect
from keystone.wsgi.api import application  # noqa: F401
