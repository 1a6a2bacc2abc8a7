from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest


def test_a_missing_extra_is_named(run: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "litestar" else found(name))
    result = run("serve", "--bundle", bundle, code=6)
    assert 'The server needs litestar. Try: pip install "serendip[serve]"' in result.stderr


def test_a_busy_port_is_named(run: Any, bundle: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("serve", "--bundle", bundle, "--port", port, code=6)
    assert f"Port {port} on 127.0.0.1 is already in use" in result.stderr


def test_another_address_is_refused(run: Any, bundle: Path) -> None:
    assert "host must be 127.0.0.1" in run("serve", "--bundle", bundle, "--host", "0.0.0.0", code=4).stderr


def test_no_bundle(run: Any) -> None:
    assert "There is no bundle" in run("serve", code=5).stderr


def test_it_answers_and_ends(bundle: Path, here: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "serendip", "serve", "--bundle", str(bundle), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = line.partition(" at ")[2].split("/  ")[0]
        with urllib.request.urlopen(f"{address}/health/ready") as reply:
            assert reply.status == 200
        process.terminate()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0
