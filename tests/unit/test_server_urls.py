"""A Postgres URL that `psql` takes either works in every role or is refused in one line that names the parameter."""

from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.server_urls import database_address
from shared.settings import Settings

URL = "postgresql://u:p%2Bw@h1:5432,h2:5433/kessai"


@pytest.mark.parametrize(
    "parameter",
    [
        "keepalives=1",
        "keepalives_idle=30",
        "channel_binding=prefer",
        "gssencmode=disable",
        "application_name=shop",
        "client_encoding=UTF8",
        "tcp_user_timeout=1000",
    ],
)
def test_what_asyncpg_does_not_know_and_does_not_need_is_left_out(parameter: str) -> None:
    address = database_address(f"{URL}?{parameter}&target_session_attrs=read-write")
    assert address.url == f"{URL}?target_session_attrs=read-write"
    assert database_address(f"{URL}?{parameter}").url == URL


def test_what_asyncpg_and_postgres_know_is_kept_as_it_is() -> None:
    query = "sslmode=require&options=-c%20search_path%3Da%2Bb"
    assert database_address(f"{URL}?{query}").url == f"{URL}?{query}"
    assert database_address(URL).url == URL


@pytest.mark.parametrize(("text", "seconds"), [("5", 5.0), ("0", None)])
def test_the_connect_timeout_becomes_that_of_the_driver(text: str, seconds: float | None) -> None:
    address = database_address(f"{URL}?connect_timeout={text}")
    assert (address.url, address.timeout) == (URL, seconds)


def test_the_certificates_of_the_system_verify_the_server() -> None:
    address = database_address(f"{URL}?sslmode=verify-full&sslrootcert=system")
    assert address.verify_by_system
    assert "system" not in address.url


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("channel_binding=require", "channel_binding=require"),
        ("gssencmode=require", "gssencmode=require"),
        ("search_path=kessai", "search_path"),
        ("connect_timeout=soon", "connect_timeout"),
        ("sslmode", "sslmode"),
        ("sslmode=require&sslrootcert=system", "sslmode=verify-full"),
        ("sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "/nowhere/ca.pem"),
        ("sslmode=verify-full&sslrootcert=system&sslcert=/dev/null", "sslcert"),
        ("sslrootcert=system&ssl_min_protocol_version=TLSv1.3", "ssl_min_protocol_version"),
    ],
)
def test_the_rest_is_refused_by_name(query: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({"KESSAI_DATABASE_URL": f"{URL}?{query}"}).require_database_url()
    assert "KESSAI_DATABASE_URL" in str(refused.value)
    assert says in str(refused.value)
    assert "p%2Bw" not in str(refused.value)


def test_a_certificate_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("certificate")
    query = f"sslmode=verify-full&sslrootcert={tmp_path / 'ca.pem'}"
    assert database_address(f"{URL}?{query}").url.startswith(f"{URL}?sslmode=verify-full&sslrootcert=")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://u:p@h1:5672,h2:5672/", "one host"),
        ("amqp://u:p@h1:70000/", "65535"),
        ("amqp://u:p@h1:0/", "65535"),
    ],
)
def test_an_amqp_url_that_can_never_connect_is_refused(url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Settings.from_env({"KESSAI_AMQP_URL": url}).require_amqp_url()
