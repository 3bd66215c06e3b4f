"""The ground under the tests: every test gets an empty PostgreSQL database of its own."""

import psycopg


def test_a_test_gets_an_empty_database(postgres: str) -> None:
    with psycopg.connect(postgres) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        connection.execute("CREATE TABLE left_behind (id int)")
        assert tables == (0,)


def test_the_next_test_does_not_see_what_the_last_one_left(postgres: str) -> None:
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT to_regclass('left_behind')").fetchone() == (None,)


def test_the_server_speaks_utf8_and_utc(postgres: str) -> None:
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
