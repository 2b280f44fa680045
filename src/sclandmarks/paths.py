"""Where everything lives, relative to the root of the DVC repository (the working directory)."""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
DATASETS = Path("datasets.yaml")
DATASETS_LOCK = Path("datasets.lock.json")
FETCHED = Path("data/fetched")
RAW = Path("data/raw")
SPLIT = Path("data/split.parquet")
EXPRESSION = Path("data/processed")
LISTS = Path("lists")
PANELS = Path("panels")
TARGETS = Path("data/targets.parquet")
MODELS = Path("models")
METRICS = Path("metrics")
COMPARISON = METRICS / "comparison.json"
REPORTS = Path("reports")
TABLES = REPORTS / "tables"
FIGURES = REPORTS / "figures"
REPORT = REPORTS / "report.html"
STUDIES = TABLES / "studies"
STUDY_FIGURES = REPORTS / "figures-studies"
STUDIES_PAGE = REPORTS / "studies.html"
TUNING = TABLES / "tuning"
TUNING_FIGURES = REPORTS / "figures-tuning"
TUNING_METRICS = REPORTS / "tuning.json"
TUNING_PAGE = REPORTS / "tuning.html"
STATE = Path("state")
SEARCHES = STATE / "tune"
DOWNLOADS = STATE / "downloads"
CHECKPOINTS = STATE / "checkpoints"
MLFLOW_DATABASE = STATE / "mlflow.db"
MLFLOW_ARTIFACTS = STATE / "mlartifacts"


def raw(dataset: str) -> Path:
    """Folder of the raw matrix of one data set."""
    return RAW / dataset


def panel(name: str) -> Path:
    """Table of one panel."""
    return PANELS / f"{name}.parquet"


def panel_history(name: str) -> Path:
    """Path or training history of one panel."""
    return METRICS / "panels" / f"{name}.history.parquet"


def panel_path(name: str) -> Path:
    """Genes at each place of one panel's path in lambda."""
    return METRICS / "panels" / f"{name}.path.parquet"


def panel_metrics(name: str) -> Path:
    """Figures of one panel's selection."""
    return METRICS / "panels" / f"{name}.json"


def model(fit: str) -> Path:
    """Folder of one fitted predictor."""
    return MODELS / fit


def fit_metrics(fit: str) -> Path:
    """Training metrics of one fitted predictor."""
    return METRICS / "fits" / f"{fit}.json"
