"""pip's own settings, read as pip writes them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sclandmarks.errors import SourceError
from sclandmarks.io.sources import package_index
from sclandmarks.io.sources.package_index import PYPI, PipSettings, parse_settings, pip_settings


def test_without_settings_it_is_pypi() -> None:
    assert parse_settings("", {}) == PipSettings(indexes=(PYPI,), timeout=15.0)


def test_files_are_read_quoted_or_not_and_several_by_blanks() -> None:
    lines = [
        "global.index-url='https://mirror.example/simple'",
        "global.extra-index-url='https://b.example/s file:///c'",
        "global.find-links='\\n/wheels\\n/more'",
        "global.cert=/ca.pem",
        "global.trusted-host='mirror.example b.example:8080'",
        "global.proxy='proxy.example:3128'",
        "global.default-timeout='60'",
        "install.index-url='https://install.example'",
        "a line that is something else",
    ]
    assert parse_settings("\n".join(lines), {}) == PipSettings(
        indexes=("https://mirror.example/simple", "https://b.example/s", "file:///c"),
        find_links=("/wheels", "/more"),
        trusted_hosts=("mirror.example", "b.example:8080"),
        cert="/ca.pem",
        proxy="http://proxy.example:3128",
        timeout=60.0,
    )


def test_environment_wins_over_download_over_global() -> None:
    listing = "download.index-url='d'\nglobal.index-url='g'\ndownload.timeout='3'\n:env:.index-url='seen by pip'"
    assert parse_settings(listing, {}).indexes == ("d",)
    settings = parse_settings(listing, {"PIP_INDEX_URL": "e", "PIP_TIMEOUT": "", "OTHER": "x"})
    assert settings.indexes == ("e",)
    assert settings.timeout == 3.0


def test_no_index_leaves_find_links_alone() -> None:
    settings = parse_settings("", {"PIP_NO_INDEX": "1", "PIP_EXTRA_INDEX_URL": "https://x", "PIP_FIND_LINKS": "~/w"})
    assert settings.places == [("find_links", str(Path("~/w").expanduser()))]


def test_places_on_this_machine_come_first() -> None:
    settings = PipSettings(indexes=("https://a", "file:///b"), find_links=("http://c", "/d"))
    assert [url for _, url in settings.places] == ["/d", "file:///b", "http://c", "https://a"]


def test_a_timeout_that_is_no_number_is_refused() -> None:
    with pytest.raises(SourceError, match="got soon"):
        parse_settings("", {"PIP_TIMEOUT": "soon"})


def test_pip_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.example/simple\n")
    for name in ("PIP_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert pip_settings().indexes[0] == "https://mirror.example/simple"


def test_without_pip_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], returncode=1, stdout="", stderr="No module named pip")
    monkeypatch.setattr(package_index.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert pip_settings().indexes == ("https://mirror.example/simple",)


def test_certificates_that_are_not_there_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "none.pem"))
    with pytest.raises(SourceError, match=r"certificates at .*none\.pem"):
        package_index.download("x==1", "x-1.tar.gz", "0" * 64, tmp_path / "x")
