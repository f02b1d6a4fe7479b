"""``comfychain api`` as a process, and beside a worker; ``comfychain token``."""

import http.client
import json
import signal
import socket
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from comfychain.cli.running import read_running
from tests.cli.commands import Data, Process, until


def ask(url: str, path: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, json.loads(body)


def url_of(process: Process) -> str:
    process.says("stop with Ctrl-C")
    (line,) = [line for line in process.text.splitlines() if line.startswith("API")]
    return line.split()[1].removesuffix("/api/v1")


def test_the_api_runs_by_itself_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """What signs its cookies and links is the owner's alone, and outlives a restart."""
    secrets = []
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        api = Process(tmp_path, "api", "--port", 0, "--data-dir", tmp_path / "data")
        try:
            url = url_of(api)
            assert ask(url, "/ping") == (200, {"status": "ok"})
            assert ask(url, "/api/v1/chains")[0] == 200
            api.popen.send_signal(number)
            assert api.ends() == code, api.text
        finally:
            api.kill()
        path = tmp_path / "data" / "api.secret"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        secrets.append(path.read_bytes())
    assert secrets[0] == secrets[1]
    assert len(secrets[0]) == 32


def test_without_a_token_it_does_not_listen_to_other_machines(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    for way in (("--host", "0.0.0.0"), ()):
        public = {} if way else {"API_PUBLIC_URL": "https://review.example.com"}
        api = Process(tmp_path, "api", "--port", 0, "--data-dir", data.folder, *way, **public)
        try:
            assert api.ends() == 2, api.text
            assert "comfychain token create" in api.text
        finally:
            api.kill()
    up = Process(tmp_path, "up", "--data-dir", data.folder, API_HOST="0.0.0.0")
    try:
        assert up.ends() == 2, up.text
    finally:
        up.kill()
    token = data.good("token", "create", "ci", "--scope", "artifact:read").out.strip()
    api = Process(tmp_path, "api", "--port", 0, "--data-dir", data.folder, "--host", "0.0.0.0")
    try:
        here = f"http://127.0.0.1:{urlsplit(url_of(api)).port}"
        assert ask(here, "/api/v1/chains")[1]["code"] == "unauthenticated"
        assert ask(here, "/api/v1/chains", token)[0] == 200
        data.good("token", "revoke", "ci")
        assert ask(here, "/api/v1/chains", token)[1]["code"] == "unauthenticated"
    finally:
        api.kill()


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        api = Process(tmp_path, "api", "--port", port, "--data-dir", tmp_path / "data")
        try:
            assert api.ends() == 2
            assert f"port {port}" in api.text
        finally:
            api.kill()


def test_up_brings_the_api_and_says_where_it_is(house: Data) -> None:
    running = read_running(house.folder / "running.json")
    assert running is not None
    assert running.api_url is not None
    assert "api" in running.pids
    url = running.api_url

    def answers() -> bool:
        try:
            return ask(url, "/ping")[0] == 200
        except OSError:
            return False

    until(answers, "the API answers")
    servers = ask(url, "/api/v1/servers")[1]["items"]
    assert {server["name"] for server in servers} == {"a", "b"}


def test_tokens_are_created_listed_and_revoked(tmp_path: Path) -> None:
    data = Data(tmp_path / "data")
    made = data.good(
        "token",
        "create",
        "ci",
        "--scope",
        "review",
        "--scope",
        "admin",
        "--lasts",
        "90d",
        "--by",
        "ada",
        "--json",
    ).document
    assert made["token"].startswith("comfychain_")
    assert made["scopes"] == ["admin", "review"]
    again = data.good("token", "create", "ci", "--scope", "review").out.strip()
    assert again != made["token"]
    listed = data.good("token", "list", "--json")
    assert made["token"] not in listed.out
    assert again not in listed.out
    rows = {row["id"]: row for row in listed.document["tokens"]}
    assert rows[made["id"]]["created_by"] == "ada"
    assert rows[made["id"]]["expires_at"] > made["created_at"]
    shown = data.good("token", "list").out
    assert shown.count("usable") == 2
    assert [row["id"] for row in data.good("token", "revoke", made["id"], "--json").document["tokens"]] == [
        made["id"]
    ]
    data.good("token", "revoke", "ci")
    assert data.good("token", "list").out.count("revoked") == 2
    assert data("token", "revoke", "ci").code == 3
    assert data("token", "create", "ci", "--scope", "everything").code == 2
    assert data("token", "create", "ci").code == 2
    assert data("token", "create", "ci", "--scope", "review", "--lasts", "soon").code == 2
