"""Where genres are kept: SQLite through SQLAlchemy. Its exceptions stop here."""
