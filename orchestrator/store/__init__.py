"""The database: rows, repositories, migrations."""
