"""What Kessai may be told, and how it refuses what it was told wrongly: in one line that names the variable."""

from datetime import datetime
from pathlib import Path

import pytest

from shared.endpoints import DEFAULT_ENDPOINT, Endpoint
from shared.errors import SettingsError
from shared.ledger.books import Shop
from shared.ledger.roles import Role
from shared.sdrp.signature import SigningSecret
from shared.settings import SECRET_NAMES, Settings, TopologyMode

SECRET = "whsec_from_the_environment"


def env(**changed: str) -> dict[str, str]:
    return {"SIGLUME_WEBHOOK_SECRET": SECRET} | changed


def fingerprints(endpoint: Endpoint) -> list[str]:
    return [secret.fingerprint for secret in endpoint.secrets]


def fingerprint(text: str) -> str:
    return SigningSecret.from_text(text).fingerprint


def read_all(environ: dict[str, str]) -> None:
    settings = Settings.from_env(environ)
    settings.shops()
    settings.endpoints()


def refusal(**environ: str) -> str:
    """The one line with which the settings, the doors or the shops are refused."""
    with pytest.raises(SettingsError) as refused:
        read_all(environ)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def toml(folder: Path, text: str) -> str:
    path = folder / "kessai.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_one_secret_in_the_environment_is_enough_for_one_door() -> None:
    doors = Settings.from_env(env()).endpoints()
    assert list(doors) == [DEFAULT_ENDPOINT]
    assert fingerprints(doors[DEFAULT_ENDPOINT]) == [fingerprint(SECRET)]


def test_the_names_that_merchants_already_set_are_honoured() -> None:
    shop = Settings.from_env(env(SIGLUME_DIRECT_PAYMENT_MERCHANT=" Shop_JP ")).shops()[DEFAULT_ENDPOINT]
    assert (shop.merchant, shop.allow_metered_payments) == ("shop_jp", False)


def test_metered_payments_are_an_explicit_choice() -> None:
    shops = Settings.from_env(env(KESSAI_ALLOW_METERED_PAYMENTS="true")).shops()
    assert shops[DEFAULT_ENDPOINT].allow_metered_payments is True


def test_numbers_and_modes_are_read_by_their_variable() -> None:
    settings = Settings.from_env(env(KESSAI_MAX_BODY="1024", KESSAI_BODY_DEADLINE="2.5", KESSAI_TOPOLOGY="verify"))
    assert (settings.max_body, settings.body_deadline, settings.topology) == (1024, 2.5, TopologyMode.VERIFY)
    assert Settings.from_env(env()).max_body == 256 * 1024


def test_only_the_given_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KESSAI_MAX_BODY", "1")
    monkeypatch.setenv("SIGLUME_WEBHOOK_SECRET", SECRET)
    assert Settings.from_env({}).max_body == 256 * 1024
    assert Settings.from_env({}).webhook_secret is None
    assert Settings.from_env().max_body == 1


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_secret_may_be_in_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret"
    path.write_text("kept-in-a-file\n", encoding="utf-8")
    settings = Settings.from_env({f"{name}_FILE": str(path)})
    held = {
        "SIGLUME_WEBHOOK_SECRET": settings.webhook_secret,
        "KESSAI_DATABASE_URL": settings.database_url,
        "KESSAI_AMQP_URL": settings.amqp_url,
        "SIGLUME_MERCHANT_AUTH_TOKEN": settings.merchant_auth_token,
        "SIGLUME_AUTH_TOKEN": settings.auth_token,
        "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET": settings.challenge_secret,
    }[name]
    assert held is not None
    assert held.get_secret_value() == "kept-in-a-file"


def test_a_secret_file_that_cannot_be_read_is_named_by_its_variable(tmp_path: Path) -> None:
    line = refusal(SIGLUME_WEBHOOK_SECRET_FILE=str(tmp_path / "nowhere"))
    assert "SIGLUME_WEBHOOK_SECRET_FILE" in line
    assert str(tmp_path / "nowhere") in line
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "SIGLUME_WEBHOOK_SECRET_FILE" in refusal(SIGLUME_WEBHOOK_SECRET_FILE=str(tmp_path / "binary"))


def test_each_line_of_the_webhook_secret_file_is_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("\n whsec_new \r\n\nwhsec_old\nwhsec_new\n\n", encoding="utf-8")
    endpoint = Settings.from_env({"SIGLUME_WEBHOOK_SECRET_FILE": str(path)}).endpoints()[DEFAULT_ENDPOINT]
    assert fingerprints(endpoint) == [fingerprint("whsec_new"), fingerprint("whsec_old")]
    assert {key.given_by for key in endpoint.keys} == {str(path)}


@pytest.mark.parametrize("note", ["# until December", "whsec_old until December", "#old"])
def test_a_note_in_the_webhook_secret_file_never_becomes_a_secret(tmp_path: Path, note: str) -> None:
    path = tmp_path / "secret"
    path.write_text(f"whsec_new\n{note}\n", encoding="utf-8")
    line = refusal(SIGLUME_WEBHOOK_SECRET_FILE=str(path))
    assert f"SIGLUME_WEBHOOK_SECRET_FILE: line 2 of {path}" in line
    assert "December" not in line


def test_secrets_in_the_webhook_secret_file_and_in_the_toml_file_are_refused_by_both_names(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("whsec_new\n", encoding="utf-8")
    config = toml(tmp_path, '[endpoints.siglume]\nsecrets = ["whsec_old"]\n')
    line = refusal(SIGLUME_WEBHOOK_SECRET_FILE=str(tmp_path / "secret"), KESSAI_CONFIG=config)
    assert "both SIGLUME_WEBHOOK_SECRET_FILE and [endpoints.siglume]" in line


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("whsec_other", encoding="utf-8")
    line = refusal(**env(SIGLUME_WEBHOOK_SECRET_FILE=str(tmp_path / "secret")))
    assert "SIGLUME_WEBHOOK_SECRET and SIGLUME_WEBHOOK_SECRET_FILE" in line


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u3000"])
def test_a_blank_secret_is_refused(tmp_path: Path, blank: str) -> None:
    line = refusal(SIGLUME_WEBHOOK_SECRET=blank)
    assert "SIGLUME_WEBHOOK_SECRET" in line
    assert "blank" in line
    (tmp_path / "secret").write_text(blank, encoding="utf-8")
    assert "blank" in refusal(SIGLUME_WEBHOOK_SECRET_FILE=str(tmp_path / "secret"))


def test_a_secret_that_is_no_text_is_refused_by_name() -> None:
    assert "SIGLUME_WEBHOOK_SECRET" in refusal(SIGLUME_WEBHOOK_SECRET="whsec_\udcff")


def test_without_any_secret_the_line_says_what_to_set() -> None:
    line = refusal()
    assert "SIGLUME_WEBHOOK_SECRET" in line
    assert "KESSAI_CONFIG" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KESSAI_MAX_BODY", "many"),
        ("KESSAI_MAX_BODY", "0"),
        ("KESSAI_BODY_DEADLINE", "-1"),
        ("KESSAI_LOG_LEVEL", "loud"),
        ("KESSAI_TOPOLOGY", "guess"),
        ("KESSAI_ALLOW_METERED_PAYMENTS", "perhaps"),
        ("SIGLUME_DIRECT_PAYMENT_MERCHANT", "-shop"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(name: str, value: str) -> None:
    assert name in refusal(**env(**{name: value}))


@pytest.mark.parametrize("value", ["inf", "nan", "1e9", "0.0001", "0"])
@pytest.mark.parametrize(
    "name",
    [
        "KESSAI_BODY_DEADLINE",
        "KESSAI_CHECKOUT_DEADLINE",
        "KESSAI_DRAIN_TIMEOUT",
        "KESSAI_PUBLISH_TIMEOUT",
        "KESSAI_RECONCILE_EVERY",
        "KESSAI_STATEMENT_TIMEOUT",
        "KESSAI_SWEEP_AFTER",
    ],
)
def test_a_time_that_is_no_time_is_refused(name: str, value: str) -> None:
    assert name in refusal(**env(**{name: value}))


def test_a_name_that_is_no_setting_is_reported_with_the_nearest_one() -> None:
    settings = Settings.from_env(env(KESSAI_BATCHSIZE="5", KESSAI_ZZZ="1"))
    assert settings.unknown == (
        "KESSAI_BATCHSIZE is not a setting of Kessai and is ignored: the nearest name is KESSAI_BATCH_SIZE",
        "KESSAI_ZZZ is not a setting of Kessai and is ignored: no setting has a similar name",
    )


def test_settings_secret_files_and_names_of_kubernetes_are_not_reported(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("amqp://h/")
    kubernetes = {
        "KESSAI_CONSOLE_SERVICE_HOST": "10.0.0.1",
        "KESSAI_CONSOLE_SERVICE_PORT_HTTP": "80",
        "KESSAI_CONSOLE_PORT": "tcp://10.0.0.1:80",
        "KESSAI_CONSOLE_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    kept = env(KESSAI_AMQP_URL_FILE=str(tmp_path / "url"), KESSAI_MAX_BODY="1024", KESSAI_LOCAL_DIR="/tmp")  # noqa: S108
    assert Settings.from_env(kept | kubernetes).unknown == ()


def test_two_wrong_values_are_both_named_in_the_one_line() -> None:
    line = refusal(**env(KESSAI_MAX_BODY="many", KESSAI_LOG_LEVEL="loud"))
    assert "KESSAI_MAX_BODY" in line
    assert "KESSAI_LOG_LEVEL" in line


@pytest.mark.parametrize("name", ["KESSAI_DATABASE_URL", "KESSAI_AMQP_URL"])
def test_what_a_command_needs_is_asked_for_by_name(name: str) -> None:
    settings = Settings.from_env(env())
    with pytest.raises(SettingsError, match=name):
        settings.require_database_url() if "DATABASE" in name else settings.require_amqp_url()


def test_a_file_names_several_shops_each_with_secrets_and_choices(tmp_path: Path) -> None:
    (tmp_path / "next").write_text("whsec_next\n", encoding="utf-8")
    config = toml(
        tmp_path,
        """
        [endpoints.books]
        secrets = ["whsec_old"]
        secret_files = ["next"]
        merchant = "Books"

        [endpoints.games-2]
        secrets = ["whsec_games"]
        allow_metered_payments = true
        """,
    )
    settings = Settings.from_env(env(KESSAI_CONFIG=config))
    doors, shops = settings.endpoints(), settings.shops()
    assert set(doors) == {DEFAULT_ENDPOINT, "books", "games-2"}
    assert fingerprints(doors["books"]) == [fingerprint("whsec_old"), fingerprint("whsec_next")]
    assert (shops["books"].merchant, shops["books"].allow_metered_payments) == ("books", False)
    assert (shops["games-2"].merchant, shops["games-2"].allow_metered_payments) == (None, True)


def test_a_file_alone_is_enough(tmp_path: Path) -> None:
    config = toml(tmp_path, '[endpoints.books]\nsecrets = ["whsec_books"]\n')
    assert list(Settings.from_env({"KESSAI_CONFIG": config}).endpoints()) == ["books"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[endpoints.books]\nsecrets = [" "]', "blank"),
        ("[endpoints.books]\nsecrets = [7]", "blank"),
        ("[endpoints.books]\nsecrets = []", "no secret"),
        ('[endpoints.books]\nmerchant = "books"', "no secret"),
        ('[endpoints.books]\nsecrets = "whsec_books"', "lists"),
        ('[endpoints.books]\nsecret_files = ["nowhere"]', "nowhere"),
        ('[endpoints.books]\nsecrets = ["s"]\nmerchant = "a b"', "merchant"),
        ('[endpoints.books]\nsecrets = ["s"]\nmerchant = 7', "merchant"),
        ('[endpoints.books]\nsecrets = ["s"]\nallow_metered_payments = "yes"', "allow_metered_payments"),
        ('[endpoints.books]\nsecret = "s"', "unknown settings secret"),
        ("[endpoints]\nbooks = 1", "table"),
    ],
)
def test_a_wrong_table_is_named_with_its_file(tmp_path: Path, text: str, named: str) -> None:
    line = refusal(KESSAI_CONFIG=toml(tmp_path, text))
    assert "endpoints.books" in line
    assert "kessai.toml" in line
    assert named in line


@pytest.mark.parametrize("name", ["Books", "-books", '"a/b"', '"本"', '""', "b" * 65])
def test_a_name_that_is_no_path_segment_is_refused(tmp_path: Path, name: str) -> None:
    assert "a name is 1 to 64" in refusal(KESSAI_CONFIG=toml(tmp_path, f'[endpoints.{name}]\nsecrets = ["s"]\n'))


@pytest.mark.parametrize("text", ["[endpoints", "endpoints = 3", "\ufeff["])
def test_a_file_that_is_no_such_file_is_named_by_its_variable(tmp_path: Path, text: str) -> None:
    assert "KESSAI_CONFIG" in refusal(KESSAI_CONFIG=toml(tmp_path, text))


def test_a_file_that_is_not_there_is_named_by_its_variable(tmp_path: Path) -> None:
    assert "KESSAI_CONFIG" in refusal(KESSAI_CONFIG=str(tmp_path / "nowhere.toml"))


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    config = toml(tmp_path, '[endpoints.books]\nsecrets = ["whsec_of_books"]\n')
    settings = Settings.from_env(env(KESSAI_CONFIG=config, KESSAI_DATABASE_URL="postgresql://u:pass_word@h/d"))
    shown = f"{settings!r} {settings} {settings.endpoints()!r} {settings.shops()!r}"
    assert "whsec_" not in shown
    assert "pass_word" not in shown


def test_a_refusal_never_shows_the_secret() -> None:
    assert SECRET not in refusal(**env(KESSAI_MAX_BODY="many"))
    assert "whsec_" not in refusal(SIGLUME_WEBHOOK_SECRET="whsec_\udcff").replace("whsec_...", "")


def test_the_environment_still_speaks_for_a_default_endpoint_whose_secrets_are_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "kessai.toml"
    file.write_text('[endpoints.siglume]\nsecrets = ["whsec_a", "whsec_b"]\n[endpoints.other]\nsecrets = ["whsec_c"]\n')
    settings = Settings.from_env(
        {
            "KESSAI_CONFIG": str(file),
            "SIGLUME_DIRECT_PAYMENT_MERCHANT": "tea_house",
            "KESSAI_ALLOW_METERED_PAYMENTS": "true",
        }
    )
    assert settings.shops() == {"siglume": Shop("tea_house", allow_metered_payments=True), "other": Shop()}


def test_the_console_is_told_its_origin_its_proxies_and_the_roles_of_groups() -> None:
    settings = Settings.from_env(
        {
            "KESSAI_CONSOLE_ORIGIN": "https://kessai.example.com",
            "KESSAI_CONSOLE_PROXIES": "10.0.0.7, fd00::/8",
            "KESSAI_CONSOLE_TLS_PROXIES": "10.0.0.8,192.168.0.0/16",
            "KESSAI_CONSOLE_GROUPS": "sre=operator, a=b=admin",
        }
    )
    assert str(settings.origin_of_console()) == "https://kessai.example.com"
    assert [str(network) for network in settings.believed_proxies()] == ["10.0.0.7/32", "fd00::/8"]
    assert [str(network) for network in settings.tls_proxies()] == ["10.0.0.8/32", "192.168.0.0/16"]
    assert settings.roles_of_groups() == {"sre": Role.OPERATOR, "a=b": Role.ADMIN}
    assert Settings.from_env({}).origin_of_console() is None
    assert (Settings.from_env({}).believed_proxies(), Settings.from_env({}).tls_proxies()) == ((), ())


def test_a_proxy_is_believed_only_by_a_console_that_knows_its_own_name() -> None:
    with pytest.raises(SettingsError, match="KESSAI_CONSOLE_ORIGIN"):
        Settings.from_env({"KESSAI_CONSOLE_PROXIES": "10.0.0.7"}).believed_proxies()


@pytest.mark.parametrize("origin", ["", "http://kessai.example.com"])
def test_a_proxy_that_ends_tls_needs_the_https_origin_that_makes_cookies_secure(origin: str) -> None:
    settings = Settings.from_env({"KESSAI_CONSOLE_TLS_PROXIES": "10.0.0.8", "KESSAI_CONSOLE_ORIGIN": origin})
    with pytest.raises(SettingsError, match="KESSAI_CONSOLE_TLS_PROXIES needs KESSAI_CONSOLE_ORIGIN"):
        settings.tls_proxies()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("KESSAI_CONSOLE_ORIGIN", value) for value in ("kessai.example.com", "https://", "https://a/b", "ftp://a")),
        *(("KESSAI_CONSOLE_PROXIES", value) for value in ("localhost", "10.0.0.1/8", "*", "0.0.0.0/0")),
        *(("KESSAI_CONSOLE_TLS_PROXIES", value) for value in ("localhost", "10.0.0.1/8", "*", "10.0.0.8,::/0")),
        *(("KESSAI_CONSOLE_GROUPS", value) for value in ("sre", "sre=root", "=admin")),
    ],
)
def test_what_the_console_cannot_be_told_is_named_by_its_variable(name: str, value: str) -> None:
    settings = Settings.from_env({"KESSAI_CONSOLE_ORIGIN": "https://kessai.example.com", name: value})
    with pytest.raises(SettingsError, match=name):
        (settings.origin_of_console(), settings.tls_proxies(), settings.believed_proxies(), settings.roles_of_groups())


KEYS = """
    [endpoints.books]
    secret_files = ["always"]
    [[endpoints.books.keys]]
    secret = "whsec_old"
    not_after = 2026-12-03T00:00:00Z
    [[endpoints.books.keys]]
    secret_file = "new"
    not_before = 2026-12-01T09:00:00+09:00
    """


@pytest.mark.parametrize(
    ("now", "live"),
    [
        ("2026-11-30T23:59:59+00:00", ["whsec_always", "whsec_old"]),
        ("2026-12-01T00:00:00+00:00", ["whsec_always", "whsec_new", "whsec_old"]),
        ("2026-12-02T23:59:59+00:00", ["whsec_always", "whsec_new", "whsec_old"]),
        ("2026-12-03T00:00:00+00:00", ["whsec_always", "whsec_new"]),
    ],
)
def test_a_secret_vouches_within_its_window_and_one_that_ends_is_tried_last(
    tmp_path: Path, now: str, live: list[str]
) -> None:
    for name in ("always", "new"):
        (tmp_path / name).write_text(f"whsec_{name}\n", encoding="utf-8")
    door = Settings.from_env({"KESSAI_CONFIG": toml(tmp_path, KEYS)}).endpoints()["books"]
    moment = datetime.fromisoformat(now)
    assert [secret.key.decode() for secret in door.live_secrets(moment.timestamp())] == live
    assert [key.secret.key.decode() for key in door.live_keys(moment)] == live
    assert len(door.secrets) == 3
    assert {key.given_by for key in door.keys} >= {str(tmp_path / "always"), str(tmp_path / "new")}


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ("keys = 3", "tables"),
        ('keys = ["whsec_a"]', "tables"),
        ("keys = [{}]", "either"),
        ('keys = [{secret = "whsec_a", secret_file = "a"}]', "either"),
        ('keys = [{secret = " "}]', "blank"),
        ('keys = [{secret_file = "nowhere"}]', "nowhere"),
        ('keys = [{secret = "whsec_a", until = 2026-12-01T00:00:00Z}]', "unknown settings until"),
        ('keys = [{secret = "whsec_a", not_after = "2026-12-01"}]', "offset"),
        ('keys = [{secret = "whsec_a", not_after = 2026-12-01}]', "offset"),
        ('keys = [{secret = "whsec_a", not_before = 2026-12-01T00:00:00}]', "offset"),
        ('keys = [{secret = "whsec_a", not_before = 2026-12-01T00:00:00Z, not_after = 2026-12-01T00:00:00Z}]', "later"),
        ('secrets = ["whsec_a"]\nkeys = [{secret = "whsec_a", not_after = 2026-12-01T00:00:00Z}]', "two windows"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, keys: str, named: str) -> None:
    line = refusal(KESSAI_CONFIG=toml(tmp_path, f"[endpoints.books]\n{keys}\n"))
    assert "endpoints.books" in line
    assert named in line
    assert "whsec_a" not in line


def test_a_secret_that_is_listed_twice_is_one(tmp_path: Path) -> None:
    config = toml(tmp_path, '[endpoints.books]\nsecrets = ["whsec_a", "whsec_a"]\n')
    assert len(Settings.from_env({"KESSAI_CONFIG": config}).endpoints()["books"].secrets) == 1
