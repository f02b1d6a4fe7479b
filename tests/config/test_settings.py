import os
from collections.abc import Callable
from pathlib import Path

import pytest

from config.settings import load_settings
from contracts.failures import ComfychainError, FailureCategory

Write = Callable[[str], Path]


def refusal(**overrides: object) -> str:
    with pytest.raises(ComfychainError) as refused:
        load_settings(**overrides)
    assert refused.value.category is FailureCategory.INVALID_INPUT
    return str(refused.value)


def test_without_any_setting_everything_lies_under_data(tmp_path: Path) -> None:
    settings = load_settings()
    data = tmp_path / "data"
    assert settings.data_dir == data
    assert settings.database_url == f"sqlite+aiosqlite:///{data}/comfychain.db"
    assert settings.temporal_db_path == data / "temporal.db"
    assert settings.artifacts_dir == data / "artifacts"
    assert settings.running_path == data / "running.json"
    assert (settings.chains_path, settings.graphs_path, settings.input_dirs) == ((), (), ())
    assert (settings.api_host, settings.api_port) == ("127.0.0.1", 8800)
    assert (settings.temporal_address, settings.temporal_namespace) == (None, "default")
    assert settings.servers == ()


def test_an_option_beats_the_environment_and_that_beats_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write('data_dir = "/file"\napi_port = 1\napi_host = "file"\n')
    monkeypatch.setenv("COMFYCHAIN_DATA_DIR", "/environment")
    monkeypatch.setenv("COMFYCHAIN_API_PORT", "2")
    settings = load_settings(data_dir=Path("/option"), api_port=None)
    assert (settings.data_dir, settings.api_port, settings.api_host) == (Path("/option"), 2, "file")
    assert settings.database_url == "sqlite+aiosqlite:////option/comfychain.db"


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYCHAIN_API_PORT", "")
    assert load_settings().api_port == 8800


def test_the_file_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "etc" / "studio.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_text("api_port = 9000")
    monkeypatch.setenv("COMFYCHAIN_CONFIG", str(elsewhere))
    assert load_settings().api_port == 9000


def test_lists_of_folders_are_written_like_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COMFYCHAIN_INPUT_DIRS", os.pathsep.join(["/plates", "relative", "~/home"]))
    assert load_settings().input_dirs == (Path("/plates"), tmp_path / "relative", Path("~/home").expanduser())


def test_lists_of_folders_are_arrays_in_the_file(write: Write) -> None:
    write('chains_path = ["/chains"]\ngraphs_path = ["/a", "/b"]')
    settings = load_settings()
    assert (settings.chains_path, settings.graphs_path) == ((Path("/chains"),), (Path("/a"), Path("/b")))


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@db/name", "postgresql+asyncpg://u:p@db/name"),
        ("postgres://u:p@db/name", "postgresql+asyncpg://u:p@db/name"),
        ("postgresql+asyncpg://u:p@db/name", "postgresql+asyncpg://u:p@db/name"),
        ("sqlite:////var/x.db", "sqlite+aiosqlite:////var/x.db"),
    ],
)
def test_a_database_url_gets_the_driver_we_use(given: str, used: str) -> None:
    assert load_settings(database_url=given).database_url == used


def test_the_database_password_is_not_shown() -> None:
    assert "geheim" not in repr(load_settings(database_url="postgresql://u:geheim@db/name"))
    assert "geheim" not in refusal(database_url="mysql://u:geheim@db/name")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("API_PORT", "many", "valid integer"),
        ("API_PORT", "70000", "65535"),
        ("DATABASE_URL", "mysql://u@h/d", "postgresql+asyncpg://"),
        ("TEMPORAL_ADDRESS", "http://temporal:7233", "host:7233"),
        ("TEMPORAL_ADDRESS", "temporal", "host:7233"),
        ("STORE_BACKEND", "s3", "not possible yet"),
        ("STORE_BACKEND", "ftp", "local"),
        ("S3_BUCKET", "renders", "not possible yet"),
        ("CONFIG", "/nowhere/comfychain.toml", "/nowhere/comfychain.toml"),
        ("DATADIR", "/data", "COMFYCHAIN_DATA_DIR"),
        ("SERVERS", "http://gpu:8188", "[[servers]]"),
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"COMFYCHAIN_{variable}", value)
    message = refusal()
    assert message.startswith(f"COMFYCHAIN_{variable}: ")
    assert said in message


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("api_port = 'x'", "comfychain.toml: api_port:", "valid integer"),
        ("api_prot = 1", "comfychain.toml: api_prot:", "did you mean api_port?"),
        ("[temporal]\naddress = 'x'", "comfychain.toml: temporal:", "no such setting"),
        ("store_backend = 's3'", "comfychain.toml: store_backend:", "not possible yet"),
        ("s3_bucket = 'renders'", "comfychain.toml: s3_bucket:", "not possible yet"),
        ("api_host = 'a'\napi_port = x", "comfychain.toml: this is not TOML", "line 2"),
        ("data_dir = 5", "comfychain.toml: data_dir:", "path"),
        ("servers = 5", "comfychain.toml: servers:", "tuple"),
        ("[[servers]]\nname = 'a'", "comfychain.toml: servers[0].url:", "required"),
        ("[[servers]]\nurl = 'gpu'", "comfychain.toml: servers[0].url:", "http://host:8188"),
        ("[[servers]]\nurl = 'http://a'\nslots = 0", "comfychain.toml: servers[0].slots:", "1"),
        ("[[servers]]\nurl = 'http://a'\ntag = ['x']", "comfychain.toml: servers[0].tag:", "not permitted"),
        (
            "[[servers]]\nurl = 'http://a:1'\n[[servers]]\nurl = 'http://a:2'",
            "comfychain.toml: servers:",
            "named a",
        ),
    ],
)
def test_a_wrong_key_of_the_file_is_named(write: Write, text: str, place: str, said: str) -> None:
    write(text)
    message = refusal()
    assert message.startswith(place)
    assert said in message


def test_all_wrong_settings_are_named_at_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("api_port = -1")
    monkeypatch.setenv("COMFYCHAIN_TEMPORAL_ADDRESS", "x")
    message = refusal(store_backend="tape")
    for place in ("comfychain.toml: api_port:", "COMFYCHAIN_TEMPORAL_ADDRESS:", "--store-backend:"):
        assert place in message


def test_variables_that_an_orchestrator_adds_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYCHAIN_PORT", "tcp://10.0.0.1:8800")
    monkeypatch.setenv("COMFYCHAIN_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("COMFYCHAIN_PORT_8800_TCP_ADDR", "10.0.0.1")
    assert load_settings().api_port == 8800
