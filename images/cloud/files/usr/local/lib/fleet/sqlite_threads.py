"""Lets many threads share SQLite files through oslo.db. Imported for its effect, before the first transaction.

oslo.db has SQLite for tests with few threads, and is changed in two ways here:

A transaction begins as a reader. One that reads first and then writes is refused at once ("database is locked", without
any waiting) if another has written meanwhile, which under load is most of them. The services say beforehand which
transactions are going to write, so those take their turn at the beginning instead.

A connection is opened for each transaction, and SQLite then reads the whole schema again. They are kept open instead,
which halves the time of a request.
"""

import types

from oslo_db.sqlalchemy import enginefacade, engines
from sqlalchemy import event, pool
from sqlalchemy.engine import Engine

FACTORY = enginefacade._TransactionFactory
_create_session, _create_connection = FACTORY._create_session, FACTORY._create_connection


def create_session(self, mode, bind=None):
    if mode is enginefacade._WRITER and bind is None:
        if not self._started:
            self._start()
        bind = self._writer_engine.execution_options(takes_turn=True)
    return _create_session(self, mode, bind)


def create_connection(self, mode):
    connection = _create_connection(self, mode)
    if mode is enginefacade._WRITER:
        connection = connection.execution_options(takes_turn=True)
    return connection


FACTORY._create_session, FACTORY._create_connection = create_session, create_connection


@event.listens_for(Engine, "begin")
def begin(connection):
    if connection.get_execution_options().get("takes_turn"):
        if connection.info.get("in_transaction"):  # oslo.db's own listener came first
            connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.info["in_transaction"] = True


class KeptOpen(pool.QueuePool):
    def __init__(self, creator, **options):
        super().__init__(creator, **options | {"pool_size": 40, "max_overflow": 100})


engines.pool = types.SimpleNamespace(**vars(pool) | {"NullPool": KeptOpen})
