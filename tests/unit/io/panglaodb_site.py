"""A server of PanglaoDB's form on loopback: tables of samples, R workspaces, clusters and pages of cell types."""

from __future__ import annotations

import hashlib
import runpy
import threading
import time
import zlib
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from sclandmarks.io.sources.panglaodb import addresses

RDATA = runpy.run_path(str(Path(__file__).parent / "raw" / "rdata_bytes.py"))
GENES = [f"XG{i}_ENSG{i:011}.{i % 3 + 1}" for i in range(40)]
HEAD = '"{}","{}","{}","10x chromium","{}","NextSeq 500","40","20","3","0","1","0"\n'


class Made:
    """A sample as PanglaoDB publishes it: counts of each gene and cell, a cluster of each cell, a type of each."""

    def __init__(self, name: str, n_cells: int = 30, n_genes: int = 40, types: tuple[str, ...] = ("T cells",)) -> None:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.sra, self.srs = name.split("/")
        self.genes = [GENES[i] for i in sorted(rng.choice(len(GENES), n_genes, replace=False))]
        self.X_GC = rng.poisson(2, (n_genes, n_cells))
        self.X_GC[:, :] += self.X_GC.sum(axis=0) == 0
        self.barcodes = [f"{i:04}AAAC" for i in range(n_cells)]
        self.clusters = [str(i % (len(types) + 1)) for i in range(n_cells)]  # the last has no type
        self.types = {str(i): name for i, name in enumerate(types)}

    def files(self) -> dict[str, bytes]:
        """Role -> content."""
        slots = RDATA["slots"](self.X_GC, self.genes, self.barcodes)
        pairs = zip(self.barcodes, self.clusters, strict=False)
        rows = "".join(f"<tr><td>{c}</td><td>1</td><td>{t}</td></tr>" for c, t in self.types.items())
        header = "<tr><th>Cluster ID</th><th>Number of cells</th><th>Inferred cell type</th></tr>"
        return {
            "counts": RDATA["workspace"](slots),
            "clusters": "".join(f"{barcode} {cluster}\n" for barcode, cluster in pairs).encode(),
            "annotations": f'<html><table id="tbl">{header}{rows}</table></html>'.encode(),
        }


class Site:
    """The server. Paths in `missing` are 404; those in `cut` break off in the middle, once; in `stalls` say nothing."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.metadata = ""
        self.missing: set[str] = set()
        self.cut: set[str] = set()
        self.stalls: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.ranges: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.root = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def table(self) -> str:
        """Address of the table of samples."""
        return f"{self.root}/metadata.txt"

    @property
    def n_asked(self) -> int:
        """Requests so far."""
        return self.asked.total()

    def has(self, sample: Made, tissue: str, species: str = "Homo sapiens") -> None:
        """Publish a sample."""
        self.publish(sample.sra, sample.srs, tissue, sample.files(), species)

    def publish(self, sra: str, srs: str, tissue: str, files: dict[str, bytes], species: str = "Homo sapiens") -> None:
        """Publish files as a sample, and its line in the table."""
        self.files |= {url: files[role] for role, url in addresses("", sra, srs).items()}
        self.metadata += HEAD.format(sra, srs, tissue, species)
        self.files["/metadata.txt"] = self.metadata.encode()

    def close(self) -> None:
        """Stop."""
        self.http.shutdown()
        self.http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path
        self.asked[path] += 1
        while path in self.stalls:
            time.sleep(0.02)
        body = None if path in self.missing else self.files.get(path)
        if body is None or not (request.headers["User-Agent"] or "").startswith("Mozilla/5.0"):
            request.send_error(404 if body is None else 403)
            return
        asked = request.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.ranges += [asked] * bool(asked)
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')  # noqa: S324
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        if path in self.cut:
            self.cut.remove(path)
            body = body[: start + (len(body) - start) // 2]
        request.wfile.write(body[start:])
        request.wfile.flush()
