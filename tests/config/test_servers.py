import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from config.servers import ServerSettings, parse_server_option, parse_server_options
from config.settings import load_settings
from contracts.failures import ComfychainError, FailureCategory


def test_a_server_in_the_file_keeps_all_it_says(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_AUTH", "bearer:t0ken")
    write(
        """
        [[servers]]
        name = "gpu-a"
        url = "https://gpu.example.com:8443/comfy/"
        tags = ["image", "video"]
        auth = "GPU_AUTH"
        input_dir = "/mnt/gpu/input"
        output_dir = "/mnt/gpu/output"
        models_dir = "/mnt/gpu/models"
        slots = 3

        [[servers]]
        url = "http://gpu-b:8188"
        """
    )
    first, second = load_settings().servers
    assert (first.name, first.url, first.tags) == (
        "gpu-a",
        "https://gpu.example.com:8443/comfy",
        ("image", "video"),
    )
    assert (first.input_dir, first.output_dir) == (Path("/mnt/gpu/input"), Path("/mnt/gpu/output"))
    assert (first.models_dir, first.slots) == (Path("/mnt/gpu/models"), 3)
    assert first.headers() == {"Authorization": "Bearer t0ken"}
    assert (second.name, second.slots, second.headers()) == ("gpu-b", 2, {})


@pytest.mark.parametrize(
    ("option", "name", "url"),
    [
        ("http://gpu-a:8188", "gpu-a", "http://gpu-a:8188"),
        ("http://127.0.0.1:8188/", "127.0.0.1", "http://127.0.0.1:8188"),
        ("render=http://gpu-a:8188", "render", "http://gpu-a:8188"),
        ("http://[::1]:8188", "1", "http://[::1]:8188"),
        ("a=http://gpu-a:8188/x=y", "a", "http://gpu-a:8188/x=y"),
        ("http://gpu-a:8188/x=y", "gpu-a", "http://gpu-a:8188/x=y"),
    ],
)
def test_a_server_on_the_command_line_is_named_or_called_after_its_host(
    option: str, name: str, url: str
) -> None:
    server = parse_server_option(option)
    assert (server.name, server.url) == (name, url)


def test_several_unnamed_servers_on_one_host_are_told_apart_by_port() -> None:
    servers = parse_server_options(["http://localhost:8188", "http://localhost:8189", "http://gpu:8188"])
    assert [server.name for server in servers] == ["localhost-8188", "localhost-8189", "gpu"]


def test_two_servers_of_one_name_are_refused() -> None:
    with pytest.raises(ComfychainError, match="two servers are named a"):
        parse_server_options(["a=http://x:1", "a=http://y:1"])


@pytest.mark.parametrize(
    "option",
    [
        "",
        "gpu-a",
        "gpu-a:8188",
        "ftp://gpu-a",
        "http://",
        "http://gpu:99999",
        "http://[::1",
        "a b=http://gpu:1",
        "http://gpu:8188/?x=1",
        "http://user:geheim@gpu:8188",
    ],
)
def test_what_is_no_server_is_refused_with_its_form_and_without_its_password(option: str) -> None:
    with pytest.raises(ComfychainError) as refused:
        parse_server_option(option)
    assert refused.value.category is FailureCategory.INVALID_INPUT
    assert str(refused.value).startswith("--server: ")
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        ("basic:user:pass:word", {"Authorization": "Basic " + base64.b64encode(b"user:pass:word").decode()}),
        ("bearer:t0ken", {"Authorization": "Bearer t0ken"}),
        ('{"X-Api-Key": "k", "X-Studio": "s"}', {"X-Api-Key": "k", "X-Studio": "s"}),
    ],
)
def test_a_secret_becomes_headers(value: str, headers: dict[str, str]) -> None:
    server = ServerSettings(url="http://gpu:8188", auth="GPU_AUTH")
    assert server.headers({"GPU_AUTH": value}) == headers


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "geheim",
        "basic:geheim",
        "bearer:",
        "bearer:geheim\r\nX: y",
        "{geheim",
        '{"X": 5}',
        '{"X Y": "geheim"}',
        '{"X": "geheim\\r\\nY: z"}',
    ],
)
def test_a_secret_that_cannot_be_used_is_named_and_not_shown(value: str | None) -> None:
    server = ServerSettings(url="http://gpu:8188", auth="GPU_AUTH")
    with pytest.raises(ComfychainError, match="GPU_AUTH") as refused:
        server.headers({} if value is None else {"GPU_AUTH": value})
    assert "geheim" not in str(refused.value)


def test_a_missing_secret_is_an_error_at_start(write: Callable[[str], Path]) -> None:
    write('[[servers]]\nurl = "http://gpu:8188"\nauth = "GPU_AUTH"')
    with pytest.raises(ComfychainError, match="GPU_AUTH, which `auth` of the server gpu names, is not set"):
        load_settings()


@pytest.mark.parametrize(
    "url", ["http://a b:8188", "http://@host:8188", "http://ho\tst:8188", "http://host:8188/\n"]
)
def test_a_url_that_the_client_could_not_use_is_refused_in_the_settings(url: str) -> None:
    with pytest.raises(ComfychainError):
        parse_server_option(f"name={url}")
